//! Drives the checks: one task decides, and every attempt is a task of its own for as long as it lasts.
//!
//! When the driver is cancelled or dropped, attempts under way end with it, their sockets closed. An attempt that panics is
//! inconclusive: no backend may bring the agent down.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    pool::{Action, CheckId, Load, Pool, Report},
    probe::{Outcome, Prober},
    target::{Subject, Target},
    text::Text,
};

pub use self::changes::{Changes, Verdicts};

mod changes;
#[cfg(test)]
mod tests;

/// The checks, from outside of their task.
#[derive(Clone, Debug)]
pub struct Checks {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    SetTargets(BTreeMap<Subject, Arc<Target>>),
    Report(oneshot::Sender<(BTreeMap<Subject, Report>, Load)>),
}

/// The driver has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the health checks have stopped")]
pub struct Stopped;

impl Checks {
    /// These are the checks from now on. What is not different goes on undisturbed.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn set_targets(
        &self,
        targets: BTreeMap<Subject, Arc<Target>>,
    ) -> Result<(), Stopped> {
        self.commands
            .send(Command::SetTargets(targets))
            .await
            .map_err(|_| Stopped)
    }

    /// All that is known of every backend's check, and how the checks keep up.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn report(&self) -> Result<(BTreeMap<Subject, Report>, Load), Stopped> {
        let (reply, report) = oneshot::channel();
        self.commands
            .send(Command::Report(reply))
            .await
            .map_err(|_| Stopped)?;
        report.await.map_err(|_| Stopped)
    }
}

/// Runs the checks; see [`Driver::run`].
#[derive(Debug)]
pub struct Driver<P> {
    prober: P,
    pool: Pool,
    commands: mpsc::Receiver<Command>,
    publish: changes::Publisher,
    attempts: JoinSet<Outcome>,
    by_task: HashMap<Id, CheckId>,
    by_check: HashMap<CheckId, AbortHandle>,
}

/// A driver without checks, with at most `limit` attempts at a time; its handle, and where verdicts come out.
#[must_use]
pub fn driver<P: Prober>(prober: P, limit: usize) -> (Driver<P>, Checks, Changes) {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let (publish, changes) = changes::channel();
    let driver = Driver {
        prober,
        pool: Pool::new(limit),
        commands,
        publish,
        attempts: JoinSet::new(),
        by_task: HashMap::new(),
        by_check: HashMap::new(),
    };
    (driver, Checks { commands: sender }, changes)
}

impl<P: Prober> Driver<P> {
    /// Runs until cancelled. Dropping the future ends it as well.
    pub async fn run(mut self, cancel: CancellationToken) {
        // Once all handles are gone, what was wanted goes on.
        let mut open = true;
        loop {
            let deadline = self.pool.next_deadline().map(Instant::from_std);
            // All arms are cancel safe: an attempt that loses the race stays in its set, a command in its channel.
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                command = self.commands.recv(), if open => match command {
                    Some(command) => self.obey(command),
                    None => open = false,
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.pool.handle_timeout(Instant::now().into_std());
                }
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
            }
            // All that have ended by now, before anything is published.
            while let Some(ended) = self.attempts.try_join_next_with_id() {
                self.ended(ended);
            }
            self.act();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::SetTargets(targets) => {
                self.pool.set_targets(Instant::now().into_std(), &targets);
            }
            Command::Report(reply) => {
                // Whoever asked may have gone.
                drop(reply.send((self.pool.report(), self.pool.load())));
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, outcome),
            Err(error) if error.is_cancelled() => {
                self.by_task.remove(&error.id());
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a health check panicked");
                let text = Text::new("the check panicked, please report this");
                (error.id(), Outcome::Inconclusive(text))
            }
        };
        if let Some(id) = self.by_task.remove(&task) {
            self.by_check.remove(&id);
            self.pool
                .handle_outcome(Instant::now().into_std(), id, outcome);
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Start {
                    id,
                    target,
                    deadline,
                } => {
                    let attempt = self.prober.attempt(target, Instant::from_std(deadline));
                    let task = self.attempts.spawn(attempt);
                    self.by_task.insert(task.id(), id);
                    self.by_check.insert(id, task);
                }
                Action::Cancel(id) => {
                    if let Some(task) = self.by_check.remove(&id) {
                        task.abort();
                    }
                }
                Action::Publish(subject, verdict) => self.publish.put(subject, verdict),
            }
        }
        self.publish.flush();
    }
}

/// Commands under way.
const COMMANDS: usize = 16;
