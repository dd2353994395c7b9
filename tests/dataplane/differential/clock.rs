//! The program's clock, and its processor.

use std::num::NonZeroUsize;

use anyhow::Result;
use lb_common::connections::TICK_SHIFT;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// What two processors may differ by about the coarse clock, nanoseconds.
const GRAIN: u64 = 2_000_000;

/// CLOCK_MONOTONIC_COARSE, nanoseconds.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("a clock that Linux has");
    u64::try_from(time.tv_sec()).expect("after boot") * 1_000_000_000
        + u64::try_from(time.tv_nsec()).expect("a part of a second")
}

/// The ticks that the program may have seen in between.
pub(super) fn ticks(before: u64, after: u64) -> Vec<u32> {
    let tick = |time: u64| u32::try_from(time >> TICK_SHIFT).expect("136 years");
    let (first, last) = (tick(before - GRAIN), tick(after + GRAIN));
    (first..=last).collect()
}

/// Processors that this test may use.
pub(super) fn cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        return vec![0];
    };
    let usable = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    let parallel = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    usable.take(parallel).collect()
}

/// Keeps this thread on one: budgets and limits are each processor's own.
pub(super) fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
