//! The newest snapshot, asked for no more often than it is worth.

use std::sync::Arc;

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{AGENT_LIMIT, Asked, FRESH};
use crate::observe::snapshot::Snapshot;

/// The agent gave no snapshot: it is starting, stopping, or very busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ballast is starting, stopping or busy")]
pub(super) struct Unavailable;

/// See the head of this file. Clones share what was asked for.
#[derive(Clone, Debug)]
pub(super) struct Source {
    ask: mpsc::Sender<Asked>,
    last: Arc<Mutex<Option<Taken>>>,
}

/// A snapshot, and when it was taken.
#[derive(Debug)]
struct Taken {
    at: Instant,
    snapshot: Arc<Snapshot>,
}

impl Source {
    pub(super) fn new(ask: mpsc::Sender<Asked>) -> Self {
        Self {
            ask,
            last: Arc::default(),
        }
    }

    /// The state of not more than [`FRESH`] ago. Whoever comes while it is being asked for gets the same.
    pub(super) async fn snapshot(&self) -> Result<Arc<Snapshot>, Unavailable> {
        let mut last = self.last.lock().await;
        if let Some(Taken { at, snapshot }) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(snapshot));
        }
        let asking = async {
            let (reply, answer) = oneshot::channel();
            self.ask.send(Asked(reply)).await.map_err(|_| Unavailable)?;
            answer.await.map_err(|_| Unavailable)
        };
        let answer = timeout(AGENT_LIMIT, asking).await;
        let snapshot = Arc::new(answer.map_err(|_| Unavailable)??);
        *last = Some(Taken {
            at: Instant::now(),
            snapshot: Arc::clone(&snapshot),
        });
        Ok(snapshot)
    }
}
