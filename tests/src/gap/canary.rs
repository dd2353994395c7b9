//! Does the machine itself stall?

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

use super::{PRIORITY, probe::now};
use crate::{sys, wait::pause};

/// A thread that wants to wake every millisecond. Dropping it stops it.
#[derive(Debug)]
pub struct Canary {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Overslept>>,
}

/// When it woke (nanoseconds of the real-time clock) and how late, for all that is above 1 ms.
type Overslept = Vec<(u64, Duration)>;

impl Canary {
    /// Starts, with the priority of probes and adverts.
    #[must_use]
    pub fn start() -> Self {
        Self::spawn(|until| {
            sys::set_realtime(PRIORITY).ok();
            watch(until)
        })
    }

    /// Starts, with the priority of health checks and everything else.
    #[must_use]
    pub fn ordinary() -> Self {
        Self::spawn(watch)
    }

    fn spawn(watch: fn(&AtomicBool) -> Overslept) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = Some(thread::spawn(move || watch(&until)));
        Self { stop, thread }
    }

    /// Stops, and returns how often it overslept by more than 1 ms, and by how much.
    ///
    /// # Errors
    /// When it panicked.
    pub fn stop(mut self) -> Result<Vec<(u64, Duration)>> {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take();
        let thread = thread.ok_or_else(|| anyhow!("it was stopped before"))?;
        thread.join().map_err(|_| anyhow!("the canary panicked"))
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn watch(stop: &AtomicBool) -> Overslept {
    let mut overslept = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let due = Instant::now() + TICK;
        pause(TICK);
        let late = Instant::now().saturating_duration_since(due);
        if late > TICK {
            overslept.push((now(), late));
        }
    }
    overslept
}

const TICK: Duration = Duration::from_millis(1);
