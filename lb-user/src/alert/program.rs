//! By a program of the operator's, with two more arguments: the subject, and the text with a line for each change.

use std::time::Duration;

use super::{
    text::Message,
    worker::{Deliver, Failure},
};
use crate::{
    config::model::Command,
    exec::{self, Leftovers, Limits, Outcome},
};

#[derive(Debug)]
pub(super) struct Program;

impl Deliver for Program {
    type Target = Command;

    async fn deliver(_: String, command: Command, message: Message) -> Result<(), Failure> {
        let limits = Limits {
            timeout: LIMIT,
            grace: GRACE,
            user: None,
            leftovers: Leftovers::Leave,
        };
        let args = [message.subject, message.body];
        let outcome = exec::run(&command, &args, &limits).await;
        match outcome.verdict() {
            Some(true) => Ok(()),
            // What has run may have told somebody already; what has not is told later.
            verdict => Err(Failure::new(
                &format!("{command}: {outcome}"),
                verdict.is_none() && !matches!(outcome, Outcome::NotStarted(exec::StartError::Nul)),
            )),
        }
    }
}

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Between SIGTERM and SIGKILL for one that takes longer.
const GRACE: Duration = Duration::from_secs(5);
