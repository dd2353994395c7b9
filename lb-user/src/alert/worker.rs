//! Drives one way: takes changes in, sends messages out, one at a time.

use std::{fmt, pin::Pin, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    Ends, Event, State,
    outbox::{Batch, Outbox},
    text::{self, Message},
};

/// How a message gets there.
pub(super) trait Deliver {
    /// Whom to tell.
    type Target: Clone + PartialEq + fmt::Debug + Send + Sync + 'static;

    /// One attempt, which ends by itself.
    fn deliver(
        node: String,
        target: Self::Target,
        message: Message,
    ) -> impl Future<Output = Result<(), Failure>> + Send + 'static;
}

/// A message did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// One printable line.
    pub(super) reason: String,
    /// Whether to send it again.
    pub(super) again: bool,
}

impl Failure {
    /// With a reason that may have come from anywhere.
    pub(super) fn new(reason: &str, again: bool) -> Self {
        let printable = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self {
            reason: printable.take(REASON).collect(),
            again,
        }
    }
}

type Delivery = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

pub(super) struct Worker<D: Deliver> {
    ends: Ends<D::Target>,
    outbox: Outbox,
    delivery: Option<Delivery>,
    problem: Option<String>,
}

impl<D: Deliver> fmt::Debug for Worker<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("by", &self.ends.by)
            .finish_non_exhaustive()
    }
}

impl<D: Deliver> Worker<D> {
    pub(super) fn new(ends: Ends<D::Target>) -> Self {
        Self {
            ends,
            outbox: Outbox::default(),
            delivery: None,
            problem: None,
        }
    }

    /// Until cancelled, or until nobody can tell anything any more.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        loop {
            let due = self.outbox.next_deadline().map(Instant::from_std);
            // All arms are cancel safe: a delivery that loses goes on.
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                changed = self.ends.settings.changed() => match changed {
                    Ok(()) => self.settings_changed(),
                    Err(_) => break,
                },
                ended = ended(&mut self.delivery) => self.ended(ended),
                Some(event) = self.ends.inbox.recv() => self.accept(event),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let batch = self.outbox.poll(Instant::now().into_std());
                    self.send(batch);
                }
            }
            self.publish();
        }
        self.finish().await;
    }

    fn accept(&mut self, event: Event) {
        // It was on its way when whoever was to be told was taken out of the configuration.
        if self.ends.settings.borrow().target.is_none() {
            return;
        }
        let now = Instant::now().into_std();
        let missed = self.ends.overflow.swap(0, Ordering::Relaxed);
        self.outbox.missed(now, missed);
        self.outbox.push(now, event);
    }

    fn settings_changed(&mut self) {
        if self.ends.settings.borrow_and_update().target.is_some() {
            self.outbox.hurry();
        } else {
            self.delivery = None;
            self.problem = None;
            self.outbox.clear();
        }
    }

    fn send(&mut self, batch: Option<Batch>) {
        let settings = self.ends.settings.borrow();
        if let (Some(batch), Some(target)) = (batch, settings.target.clone()) {
            let node = settings.node.clone();
            let message = text::message(&node, &batch);
            self.delivery = Some(Box::pin(D::deliver(node, target, message)));
        }
    }

    fn ended(&mut self, result: Result<(), Failure>) {
        self.delivery = None;
        let now = Instant::now().into_std();
        match result {
            Ok(()) => {
                if self.problem.take().is_some() {
                    tracing::info!(by = self.ends.by, "alerts arrive again");
                }
                self.outbox.arrived(now);
            }
            Err(Failure { reason, again }) => {
                if self.problem.as_ref() != Some(&reason) {
                    tracing::error!(
                        by = self.ends.by,
                        error = reason,
                        again,
                        "an alert did not arrive"
                    );
                }
                self.problem = Some(reason);
                self.outbox.failed(now, again);
            }
        }
    }

    fn publish(&self) {
        let state = State {
            counts: self.outbox.counts(),
            waiting: self.outbox.waiting(),
            problem: self.problem.clone(),
        };
        self.ends.state.send_if_modified(|old| {
            let modified = *old != state;
            *old = state;
            modified
        });
    }

    /// One try for what is left.
    async fn finish(mut self) {
        while let Ok(event) = self.ends.inbox.try_recv() {
            self.accept(event);
        }
        let end = Instant::now() + LAST;
        for _ in 0..2 {
            if self.delivery.is_some() {
                match timeout_at(end, ended(&mut self.delivery)).await {
                    Ok(result) => self.ended(result),
                    Err(_) => break,
                }
            }
            let rest = self.outbox.take();
            self.send(rest);
        }
        if self.outbox.waiting() > 0 {
            tracing::warn!(
                by = self.ends.by,
                changes = self.outbox.waiting(),
                "the agent ends before all alerts have arrived"
            );
        }
    }
}

/// Waits for the end of a delivery, if there is one.
async fn ended(delivery: &mut Option<Delivery>) -> Result<(), Failure> {
    match delivery {
        Some(delivery) => delivery.await,
        None => std::future::pending().await,
    }
}

/// How long the end of the agent waits for alerts.
pub(super) const LAST: Duration = Duration::from_secs(1);
/// Characters of a reason.
const REASON: usize = 300;
