//! Tasks with names, an orderly end, and the service manager.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The agent's tasks. One that ends before it was told to is an error, and so is a panic.
pub(super) struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    cancel: CancellationToken,
}

impl Tasks {
    pub(super) fn new(cancel: CancellationToken) -> Self {
        Self {
            set: JoinSet::new(),
            cancel,
        }
    }

    /// Starts a task; it is to end when the token it was given is cancelled.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits for a task that ends too early. Cancel safe: `join_next` is.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        match self.set.join_next().await {
            None => std::future::pending().await,
            Some(Err(panic)) => anyhow::anyhow!("a task panicked: {panic}"),
            Some(Ok((name, Err(error)))) => error.context(format!("the {name} failed")),
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("the {name} ended by itself"),
        }
    }

    /// Waits for the end of all tasks, after cancellation.
    pub(super) async fn join(mut self, limit: Duration) -> anyhow::Result<()> {
        debug_assert!(
            self.cancel.is_cancelled(),
            "tasks end when they are cancelled"
        );
        let all = async {
            let mut first = Ok(());
            while let Some(ended) = self.set.join_next().await {
                let result = match ended {
                    Ok((name, result)) => {
                        result.map_err(|e| e.context(format!("the {name} failed")))
                    }
                    Err(panic) => Err(anyhow::anyhow!("a task panicked: {panic}")),
                };
                first = first.and(result);
            }
            first
        };
        match tokio::time::timeout(limit, all).await {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!("a task did not end in time and was cut off");
                Ok(())
            }
        }
    }
}

/// The same future, whose panic is an error: what comes after it is still done. What it worked on is
/// only to be given up then.
pub(super) async fn caught<T>(part: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // The panic itself is in the log.
    let result = AssertUnwindSafe(part).catch_unwind().await;
    result.unwrap_or_else(|_| Err(anyhow::anyhow!("the agent panicked")))
}

/// Tells the service manager that the end may take this long: `TimeoutStopSec` is for an agent that
/// does not get this far. Also stops the watchdog, whom nobody serves any more.
pub(super) fn stopping(limit: Duration) {
    let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(limit)]);
}

/// Tells the service manager that start-up is over.
pub(super) fn ready(services: usize) {
    let status = format!("{services} services");
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Tells the service manager that the agent's loop turns.
pub(super) struct Watchdog {
    every: Option<Duration>,
    last: Instant,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        Self {
            every,
            last: Instant::now(),
        }
    }

    pub(super) fn kick(&mut self) {
        if self.every.is_some_and(|every| self.last.elapsed() >= every) {
            self.last = Instant::now();
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests;
