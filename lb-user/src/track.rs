//! Watches what a virtual router's priority depends on outside of the network: scripts, processes, numbers in files.
//!
//! Each tracker is one future without tasks of its own. It tells what it knows through a `watch`, whose newest value is all that
//! counts, and ends only when it is cancelled; cancelling a script's kills the script. What we cannot find out for reasons of our own
//! (no descriptor, no memory) changes nothing that is known.

mod rise_fall;

mod file;
mod process;
mod script;

use std::time::Instant;

use tokio::sync::watch;

pub use self::{file::file, process::process, rise_fall::RiseFall, script::script};

/// What a tracker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerState {
    /// Nothing yet.
    Unknown,
    /// The script succeeds; a process runs.
    Good,
    /// The script fails; no process runs.
    Bad,
    /// What the file says.
    Number(i64),
    /// There is no file, or no number in it.
    Missing,
}

/// A tracker's state and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The state.
    pub state: TrackerState,
    /// Why, as one printable line: what was last seen.
    pub text: String,
    /// Since when the state is what it is.
    pub since: Instant,
}

impl Report {
    /// What a tracker's `watch` holds at first.
    #[must_use]
    pub fn unknown(now: Instant) -> Self {
        Self {
            state: TrackerState::Unknown,
            text: "not known yet".to_owned(),
            since: now,
        }
    }

    /// The report after this one.
    fn update(&mut self, state: TrackerState, text: String, now: Instant) -> bool {
        if self.state != state {
            *self = Self {
                state,
                text,
                since: now,
            };
            return true;
        }
        let changed = self.text != text;
        self.text = text;
        changed
    }
}

/// Tells it to whoever listens, if it is news.
fn publish(out: &watch::Sender<Report>, state: TrackerState, text: String) {
    out.send_if_modified(|report| report.update(state, text, Instant::now()));
}
