//! A script, run again and again.

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Report, RiseFall, TrackerState, publish};
use crate::{
    config::model::Script,
    exec::{self, Limits, Outcome, StartError, User},
};

/// Runs a script every `interval`, from start to start, and never twice at once: one that is not dead yet is waited for. A timeout
/// counts as a failure; a script that could not be started leaves the state as it was.
pub async fn script(script: Script, out: watch::Sender<Report>, cancel: CancellationToken) {
    let tracker = ScriptTracker {
        results: RiseFall::new(script.rise, script.fall),
        limits: Limits::check(script.timeout, Some(User::named(&script.user))),
        script,
        trouble: None,
        out,
    };
    // Dropping a run kills it.
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tracker.run() => {}
    }
}

struct ScriptTracker {
    script: Script,
    results: RiseFall,
    limits: Limits,
    /// Why it could not be started the last time, so that the log says so once.
    trouble: Option<StartError>,
    out: watch::Sender<Report>,
}

impl ScriptTracker {
    async fn run(mut self) {
        loop {
            let next = Instant::now() + self.script.interval;
            let mut running = exec::start(&self.script.command, &[], &self.limits);
            let outcome = running.outcome().await;
            self.record(outcome);
            running.gone().await;
            sleep_until(next).await;
        }
    }

    fn record(&mut self, outcome: Outcome) {
        if let Some(good) = outcome.verdict() {
            self.trouble = None;
            if self.results.record(good).is_some() {
                tracing::info!(script = %self.script.name, good, result = %outcome, "script");
            }
        }
        let state = match self.results.verdict() {
            None => TrackerState::Unknown,
            Some(true) => TrackerState::Good,
            Some(false) => TrackerState::Bad,
        };
        let text = match (outcome.verdict(), self.results.doubt()) {
            (Some(_), Some((streak, needed))) => format!("{outcome} ({streak} of {needed})"),
            _ => outcome.to_string(),
        };
        publish(&self.out, state, text);
        if let Outcome::NotStarted(error) = outcome
            && self.trouble.as_ref() != Some(&error)
        {
            tracing::warn!(script = %self.script.name, %error, "script cannot be run, its state stays");
            self.trouble = Some(error);
        }
    }
}

#[cfg(test)]
mod tests;
