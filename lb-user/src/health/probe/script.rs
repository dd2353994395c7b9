//! A script check: a program ends with 0. [`exec`] guards what is run, and how.

use tokio::time::Instant;

use super::failure::Failure;
use crate::{
    config::model::ScriptProbe,
    exec::{self, Limits, Outcome, User},
    health::text::Text,
};

/// Runs the program once. What kept it from running says nothing about the backend.
pub(super) async fn attempt(script: &ScriptProbe, deadline: Instant) -> Result<Text, Failure> {
    let timeout = deadline.saturating_duration_since(Instant::now());
    let limits = Limits::check(timeout, Some(User::named(&script.user)));
    let outcome = exec::run(&script.command, &[], &limits).await;
    let text = Text::new(&outcome);
    match outcome {
        Outcome::NotStarted(_) => Err(Failure::Ours(text)),
        ended if ended.verdict() == Some(true) => Ok(text),
        _ => Err(Failure::Theirs(text)),
    }
}
