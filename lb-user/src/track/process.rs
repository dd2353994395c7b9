//! Whether a process of a name runs.
//!
//! While one does, its death is heard of at once, through a pidfd, and costs nothing to wait for; four times a second we look whether
//! it still has the name. While none does, `/proc` is searched: ten times a second, or less often where that would take more than a
//! twentieth of one processor (measured: 10 µs for each process of the host). The kernel's process connector would hear of a new
//! process sooner, but it costs the host a message for every process anybody starts, and is refused in a child pid namespace.
//!
//! What counts is what `ps` shows here: processes of containers, too, as with keepalived and `pidof`; not zombies. How names are
//! matched is said at `scan::matches`.

mod scan;

use std::{fmt::Write as _, io, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use nix::unistd::Pid;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Report, TrackerState, publish};
use crate::exec::Pidfd;

/// Watches for processes of this name: good while there is one.
pub async fn process(name: String, out: watch::Sender<Report>, cancel: CancellationToken) {
    let tracker = ProcessTracker {
        name,
        trouble: None,
        out,
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tracker.run() => {}
    }
}

struct ProcessTracker {
    name: String,
    /// Why `/proc` cannot be searched, so that the log says so once.
    trouble: Option<io::ErrorKind>,
    out: watch::Sender<Report>,
}

impl ProcessTracker {
    async fn run(mut self) {
        loop {
            let started = Instant::now();
            let found = self.search().await;
            let pause = PAUSE.max(started.elapsed() * PAUSE_PER_SEARCH);
            match found {
                Ok(held) if held.is_empty() => {
                    self.publish(false, format!("no process is called {}", self.name));
                    sleep(pause).await;
                }
                Ok(held) => {
                    self.publish(true, describe(&held));
                    self.until_none_is_left(held).await;
                }
                Err(error) => {
                    self.complain(&error);
                    sleep(pause).await;
                }
            }
        }
    }

    /// A few of the processes of the name, by descriptors that stay theirs.
    async fn search(&mut self) -> io::Result<Vec<Held>> {
        let name = self.name.clone();
        let found = spawn_blocking(move || scan::find(&name, HELD)).await;
        let mut held = Vec::new();
        for pid in found.map_err(io::Error::other)?? {
            let pidfd = match Pidfd::open(pid) {
                Ok(pidfd) => pidfd,
                Err(error) if scan::is_gone(&error) => continue,
                Err(error) => return Err(error),
            };
            // Asked again, now that the number cannot be another's any more; a zombie has ended.
            if !pidfd.has_ended() && scan::matches(pid, &self.name)? {
                held.push(Held { pid, pidfd });
            }
        }
        self.trouble = None;
        Ok(held)
    }

    /// Ends when every one of them is dead or is called something else.
    async fn until_none_is_left(&self, held: Vec<Held>) {
        let mut ends: FuturesUnordered<_> = held.into_iter().map(|held| self.end(held)).collect();
        while ends.next().await.is_some() {}
    }

    async fn end(&self, held: Held) {
        let mut recheck = interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel safe: both are.
            tokio::select! {
                () = held.pidfd.ended() => return,
                _ = recheck.tick() => {
                    // What cannot be asked has not changed.
                    if !scan::matches(held.pid, &self.name).unwrap_or(true) {
                        return;
                    }
                }
            }
        }
    }

    fn publish(&self, runs: bool, text: String) {
        let state = if runs {
            TrackerState::Good
        } else {
            TrackerState::Bad
        };
        publish(&self.out, state, text);
    }

    fn complain(&mut self, error: &io::Error) {
        if self.trouble != Some(error.kind()) {
            tracing::warn!(process = %self.name, %error, "processes cannot be searched, the state stays");
            self.trouble = Some(error.kind());
        }
    }
}

/// A process that is waited for.
struct Held {
    pid: Pid,
    pidfd: Pidfd,
}

fn describe(held: &[Held]) -> String {
    let mut text = String::from("runs as");
    for (n, held) in held.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        write!(text, "{comma} {}", held.pid).expect("a string takes all");
    }
    text
}

/// Processes of one name that are waited for; when all are dead, the others are found.
const HELD: usize = 8;
/// Between two searches, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// How many times longer than a search the pause after it is, at least.
const PAUSE_PER_SEARCH: u32 = 20;
/// How often a process is asked for its name.
const RECHECK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
