//! A steady load: threads that make one request after another at a given rate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};

use super::Get;
use crate::{netns::Host, wait};

/// How hard to push.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests at a time.
    pub threads: u32,
    /// Requests a second, all threads together.
    pub rate: u32,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When it started.
    pub start: Instant,
    /// Until its answer or its failure.
    pub took: Duration,
    /// Who answered, or why nobody did.
    pub result: Result<String, String>,
}

/// A load that is running. Dropping it stops it.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    started: AtomicUsize,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Load {
    /// Starts making `get` from `host` until stopped.
    #[must_use]
    pub fn start(host: &Host, get: &Get, pace: Pace) -> Self {
        let shared = Arc::new(Shared::default());
        let interval = Duration::from_secs(1) * pace.threads / pace.rate.max(1);
        let threads = (0..pace.threads)
            .map(|n| {
                let (shared, get) = (Arc::clone(&shared), get.clone());
                // Spread over the interval, so that the rate is steady and not in bursts.
                let offset = interval * n / pace.threads;
                host.thread(move || {
                    shared.run(&get, Instant::now() + offset, interval);
                    Ok(())
                })
            })
            .collect();
        Self { shared, threads }
    }

    /// Requests finished so far, answered or not.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.shared
            .outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Waits until `count` more requests than now have finished.
    ///
    /// # Errors
    /// When they have not within `limit`.
    pub fn wait_for_more(&self, count: usize, limit: Duration) -> Result<()> {
        let goal = self.finished() + count;
        wait::wait_for(&format!("{count} more requests"), limit, || {
            let finished = self.finished();
            (finished >= goal)
                .then_some(())
                .ok_or(format!("{} to go", goal.saturating_sub(finished)))
        })?;
        Ok(())
    }

    /// Stops, waits for requests under way, and reports.
    ///
    /// # Errors
    /// When a thread could not enter the host.
    pub fn stop(mut self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread
                .join()
                .map_err(|_| anyhow!("a client thread panicked"))??;
        }
        let mut outcomes = self
            .shared
            .outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = std::mem::take(&mut *outcomes);
        outcomes.sort_by_key(|outcome| outcome.start);
        Ok(Report { outcomes })
    }

    /// Makes exactly `count` requests with `threads` threads, as fast as they go.
    ///
    /// # Errors
    /// When a thread could not enter the host.
    pub fn burst(host: &Host, get: &Get, threads: usize, count: usize) -> Result<Report> {
        let shared = Arc::new(Shared::default());
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (shared, get) = (Arc::clone(&shared), get.clone());
                host.thread(move || {
                    while shared.started.fetch_add(1, Ordering::Relaxed) < count {
                        shared.one(&get);
                    }
                    Ok(())
                })
            })
            .collect();
        Self {
            shared,
            threads: workers,
        }
        .stop()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn run(&self, get: &Get, mut next: Instant, interval: Duration) {
        while !self.stop.load(Ordering::Acquire) {
            wait::pause(next.saturating_duration_since(Instant::now()));
            self.one(get);
            // Late after a slow request: go on from now, without catching up in a burst.
            next = (next + interval).max(Instant::now());
        }
    }

    fn one(&self, get: &Get) {
        let start = Instant::now();
        let result = match get.send_here() {
            Ok(reply) if reply.status == 200 => Ok(reply.server),
            Ok(reply) => Err(format!("status {}", reply.status)),
            Err(error) => Err(format!("{error:#}")),
        };
        let outcome = Outcome {
            start,
            took: start.elapsed(),
            result,
        };
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome);
    }
}

/// Every request of a load, in the order they started.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The requests.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// How many were made.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.outcomes.len()
    }

    /// How many got no answer, or a wrong one.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.result.is_err())
            .count()
    }

    /// Answers per server.
    #[must_use]
    pub fn by_server(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for outcome in &self.outcomes {
            if let Ok(server) = &outcome.result {
                *counts.entry(server.as_str()).or_default() += 1;
            }
        }
        counts
    }

    /// The longest time from a request's start to its answer.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.outcomes
            .iter()
            .map(|outcome| outcome.took)
            .max()
            .unwrap_or_default()
    }

    /// The longest time between two answers: what a user would call the outage.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let mut answers: Vec<_> = self
            .outcomes
            .iter()
            .filter(|o| o.result.is_ok())
            .map(|o| o.start + o.took)
            .collect();
        answers.sort();
        answers
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or_default()
    }

    /// Fails unless every request was answered; the message has the first failures.
    ///
    /// # Errors
    /// With the numbers and the first failures.
    pub fn all_answered(&self) -> Result<()> {
        if self.failed() == 0 && self.sent() > 0 {
            Ok(())
        } else {
            Err(anyhow!("{self}"))
        }
    }

    /// Fails unless every request was answered, by exactly these servers.
    ///
    /// # Errors
    /// With the numbers and the first failures.
    pub fn answered_by(&self, names: &[&str]) -> Result<()> {
        self.all_answered()?;
        let seen: BTreeSet<_> = self.by_server().into_keys().collect();
        ensure!(
            seen == names.iter().copied().collect(),
            "answered by {self}"
        );
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} failed, {:?}",
            self.sent(),
            self.failed(),
            self.by_server()
        )?;
        let first = self.outcomes.first().map(|outcome| outcome.start);
        let failures = self
            .outcomes
            .iter()
            .filter_map(|o| Some((o, o.result.as_ref().err()?)));
        for (outcome, error) in failures.take(5) {
            let at = first.map_or(Duration::ZERO, |first| outcome.start - first);
            write!(f, "; at {at:.3?} for {:.3?}: {error}", outcome.took)?;
        }
        Ok(())
    }
}
