//! A letter box of verdicts: the newest of every backend, none lost, none twice.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::health::{pool::Verdict, target::Subject};

/// Verdicts by backend; `None`: it is not checked any more.
pub type Verdicts = BTreeMap<Subject, Option<Verdict>>;

/// Where verdicts come out. It never holds more than one of each backend, however long nobody looks.
#[derive(Debug)]
pub struct Changes(Arc<Shared>);

impl Changes {
    /// What is new since the last call; waits until there is something. Cancel safe: what was not returned is still there.
    pub async fn next(&mut self) -> Verdicts {
        loop {
            let new = mem::take(&mut *self.0.lock());
            if !new.is_empty() {
                return new;
            }
            self.0.wake.notified().await;
        }
    }
}

/// Where verdicts go in.
#[derive(Debug)]
pub(super) struct Publisher {
    shared: Arc<Shared>,
    new: Verdicts,
}

impl Publisher {
    /// Puts one down, to be sent with the next [`flush`](Self::flush).
    pub(super) fn put(&mut self, subject: Subject, verdict: Option<Verdict>) {
        self.new.insert(subject, verdict);
    }

    /// Sends what was put down.
    pub(super) fn flush(&mut self) {
        if !self.new.is_empty() {
            self.shared.lock().append(&mut self.new);
            self.shared.wake.notify_one();
        }
    }
}

pub(super) fn channel() -> (Publisher, Changes) {
    let shared = Arc::new(Shared::default());
    let publisher = Publisher {
        shared: Arc::clone(&shared),
        new: Verdicts::new(),
    };
    (publisher, Changes(shared))
}

#[derive(Debug, Default)]
struct Shared {
    verdicts: Mutex<Verdicts>,
    wake: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
