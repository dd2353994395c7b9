//! Nothing happens: does the master stay the master while the machine is busy?

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::Canary;
use crate::{pair::Pair, vrrp::Adverts, wait::pause};

/// What was seen while nothing should have happened.
#[derive(Clone, Copy, Debug)]
pub struct Calm {
    /// Adverts that the backup sent: each is a take-over that should not have been, or its end.
    pub from_backup: usize,
    /// Adverts that the master sent.
    pub from_master: usize,
    /// The longest time between two of them.
    pub longest_silence: Duration,
    /// The canary's worst oversleep. It runs at a real-time priority.
    pub stall: Duration,
}

/// Watches a pair at rest for `duration`, with every core kept busy by two threads of ordinary priority.
///
/// # Errors
/// When the pair does not come to rest before.
pub fn calm(pair: &Pair<'_>, duration: Duration) -> Result<Calm> {
    let master = pair.wait_until_at_rest()?;
    let busy = Busy::all_cores();
    let watch = [
        Adverts::of(&pair.net.lbs[master])?,
        Adverts::of(&pair.net.lbs[1 - master])?,
    ];
    let canary = Canary::start();
    let end = Instant::now() + duration;
    pause(end.saturating_duration_since(Instant::now()));
    let stall = canary.stop()?.into_iter().map(|(_, late)| late).max();
    let from_master = watch[0].sent();
    let longest_silence = from_master
        .windows(2)
        .filter_map(|pair| pair[1].at.duration_since(pair[0].at).ok())
        .max();
    let from_backup = watch[1].sent().len();
    drop(busy);
    Ok(Calm {
        from_backup,
        from_master: from_master.len(),
        longest_silence: longest_silence.unwrap_or_default(),
        stall: stall.unwrap_or_default(),
    })
}

/// Threads that do nothing as fast as they can. Dropping it stops them.
#[derive(Debug)]
pub struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Two threads for each core.
    #[must_use]
    pub fn all_cores() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let threads = (0..2 * cores)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}
