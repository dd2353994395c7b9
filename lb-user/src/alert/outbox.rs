//! Pure: when what is told.
//!
//! In: changes, how an attempt ended, the time. Out: batches, one at a time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::event::Event;

#[cfg(test)]
mod tests;

/// Changes for one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Earlier ones that are not listed.
    pub left_out: u64,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that arrived.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Changes that were listed in no message.
    pub left_out: u64,
}

/// What is to be told.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Event>,
    /// Not listed in the next message.
    left_out: u64,
    /// On its way.
    under_way: Option<Batch>,
    /// When the first that waits has waited long enough for others.
    gathered: Option<Instant>,
    /// When messages arrived, the last [`BURST`].
    arrived: VecDeque<Instant>,
    /// After a failure: when the next attempt may be made, and how long that is.
    again: Option<(Instant, Duration)>,
    counts: Counts,
}

impl Outbox {
    /// Something happened.
    pub fn push(&mut self, now: Instant, event: Event) {
        self.gathered.get_or_insert(now + GATHER);
        self.waiting.push_back(event);
        self.trim();
    }

    /// So many changes never got here.
    pub fn missed(&mut self, now: Instant, changes: u64) {
        if changes > 0 {
            self.gathered.get_or_insert(now + GATHER);
            self.leave_out(changes);
        }
    }

    /// When [`poll`](Self::poll) has something, unless an attempt is under way.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        let gathered = self.gathered?;
        let allowed = self.arrived.front().filter(|_| self.arrived.len() == BURST);
        let allowed = allowed.map(|first| *first + WINDOW);
        let again = self.again.map(|(at, _)| at);
        Some(
            gathered
                .max(allowed.unwrap_or(gathered))
                .max(again.unwrap_or(gathered)),
        )
    }

    /// What is to be sent now, if anything; [`arrived`](Self::arrived) or [`failed`](Self::failed) is to follow.
    pub fn poll(&mut self, now: Instant) -> Option<Batch> {
        self.next_deadline().filter(|due| *due <= now)?;
        self.take()
    }

    /// What waits, whether it is time or not, unless an attempt is under way.
    pub fn take(&mut self) -> Option<Batch> {
        if self.under_way.is_some() || self.gathered.is_none() {
            return None;
        }
        self.gathered = None;
        let batch = Batch {
            events: self.waiting.drain(..).collect(),
            left_out: std::mem::take(&mut self.left_out),
        };
        self.under_way = Some(batch.clone());
        Some(batch)
    }

    /// The message arrived.
    pub fn arrived(&mut self, now: Instant) {
        self.under_way = None;
        self.again = None;
        self.counts.sent += 1;
        if self.arrived.len() == BURST {
            self.arrived.pop_front();
        }
        self.arrived.push_back(now);
    }

    /// It did not. `again`: what was in it is told with the next one.
    pub fn failed(&mut self, now: Instant, again: bool) {
        let Some(batch) = self.under_way.take() else {
            return;
        };
        self.counts.failed += 1;
        let pause = self.again.map_or(FIRST_PAUSE, |(_, pause)| pause * 2);
        let pause = pause.min(LONGEST_PAUSE);
        self.again = Some((now + pause, pause));
        if again {
            self.gathered.get_or_insert(now);
            self.left_out += batch.left_out;
            for event in batch.events.into_iter().rev() {
                self.waiting.push_front(event);
            }
            self.trim();
        }
    }

    /// Whoever is told is another: there is no reason to wait after failures.
    pub fn hurry(&mut self) {
        self.again = None;
    }

    /// Nobody is told any more.
    pub fn clear(&mut self) {
        *self = Self {
            counts: self.counts,
            ..Self::default()
        };
    }

    /// Changes that wait, those under way included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let under_way = self.under_way.as_ref();
        self.waiting.len() + under_way.map_or(0, |batch| batch.events.len())
    }

    /// What became of the messages so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The newest say what is true now.
    fn trim(&mut self) {
        while self.waiting.len() > WAITING {
            self.waiting.pop_front();
            self.leave_out(1);
        }
    }

    fn leave_out(&mut self, changes: u64) {
        self.left_out += changes;
        self.counts.left_out += changes;
    }
}

/// How long a change waits for others: the backends of a rack fail within a second of each other.
pub const GATHER: Duration = Duration::from_secs(1);
/// Messages that may go out in [`WINDOW`].
pub const BURST: usize = 4;
/// See [`BURST`].
pub const WINDOW: Duration = Duration::from_secs(120);
/// Changes in one message at most: what fits into one argument of a program (128 KiB) with names and reasons at their longest.
pub const WAITING: usize = 100;
/// After the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// After many.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
