//! The agent's part in remembered flows: it sweeps the connection table, a batch a second, and looks
//! after grace times.

use lb_common::connections::TICK_SHIFT;
use nix::time::{ClockId, clock_gettime};

use super::desired::Datapath;
use crate::dataplane::bpf::Clock;

/// What time it is.
pub(super) fn clock() -> Clock {
    let now = |clock| {
        let time = clock_gettime(clock).expect("every kernel we run on has these clocks");
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        (seconds, u64::try_from(time.tv_nsec()).unwrap_or(0))
    };
    let (seconds, nanos) = now(ClockId::CLOCK_MONOTONIC);
    let ticks = (seconds * 1_000_000_000 + nanos) >> TICK_SHIFT;
    let (boot, _) = now(ClockId::CLOCK_BOOTTIME);
    Clock {
        // Counted modulo 2^32, like the program's.
        tick: u32::try_from(ticks & u64::from(u32::MAX)).unwrap_or(0),
        boot: u32::try_from(boot).unwrap_or(u32::MAX),
    }
}

impl Datapath {
    /// Sweeps a batch. Whether the image has to be made again: a grace time has ended, or a sweep has
    /// found something that matters.
    pub(super) fn look_after_flows(&mut self) -> bool {
        let clock = clock();
        let due = self.cache.is_due(clock.boot);
        let inserts = |sums: &[u64]| sums.get(INSERTS).copied().unwrap_or(0);
        let inserted: u64 = self.rates.now.1.flows.values().map(|s| inserts(s)).sum();
        let is_empty = self.usage.as_ref().is_some_and(|usage| usage.flows == 0);
        if is_empty && inserted == self.swept_inserts && !self.cache.wants_sweep() {
            return due;
        }
        // A scheduler that counts wants to know every second; else there is time.
        let length = self.bpf.table().length();
        let bytes = if self.cache.counts_flows() {
            length
        } else {
            (length / BATCHES).max(BATCH)
        };
        let Some(usage) = self.bpf.sweep(self.cache.lifetimes(), bytes, clock) else {
            return due;
        };
        self.usage = Some(usage);
        self.swept_inserts = std::mem::replace(&mut self.sweep_inserts, inserted);
        due || self.cache.wants_sweep() || self.cache.counts_flows()
    }
}

/// Where inserts are among a service's sums.
const INSERTS: usize = lb_common::verdict::FlowEvent::Insert as usize;
/// Seconds that a whole sweep takes, in which nobody waits for its result.
const BATCHES: u32 = 4;
/// Bytes looked at in one go, at least.
const BATCH: u32 = 4 << 20;
