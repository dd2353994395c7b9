//! A backend that falls again and again is held back before it may return.
//!
//! Each return and fall moves its share of flows twice, which is worse for clients than one server less. The first [`FREE`] falls
//! within [`WINDOW`] cost nothing. From then on, each holds the backend back for twice as long as the one before, counted from the
//! fall: [`FIRST`], then 2, 4, … times that, up to [`LONGEST`]. A backend that is calm for [`WINDOW`] starts anew.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The falls of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Damper {
    /// Of the last [`WINDOW`], oldest first; not more than matter.
    falls: VecDeque<Instant>,
    held_until: Option<Instant>,
}

impl Damper {
    /// The backend went down.
    pub(super) fn fell(&mut self, now: Instant) {
        self.falls
            .retain(|fall| now.saturating_duration_since(*fall) < WINDOW);
        if self.falls.len() == MATTER {
            self.falls.pop_front();
        }
        self.falls.push_back(now);
        let paid = self.falls.len().saturating_sub(FREE);
        self.held_until = u32::try_from(paid)
            .ok()
            .and_then(|paid| paid.checked_sub(1))
            .map(|doublings| now + FIRST.saturating_mul(1 << doublings).min(LONGEST));
    }

    /// Whether it may not return yet.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// When it may; `None` if the last fall cost nothing.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }
}

/// How long a fall is remembered.
const WINDOW: Duration = Duration::from_secs(300);
/// Falls within the window that cost nothing.
const FREE: usize = 4;
/// What the first fall beyond those costs.
const FIRST: Duration = Duration::from_secs(10);
/// What a fall costs at most.
const LONGEST: Duration = Duration::from_secs(120);
/// Falls that make a difference: beyond them, a fall costs [`LONGEST`].
const MATTER: usize = FREE + 5;

const _: () = assert!(FIRST.as_secs() << (MATTER - FREE - 1) >= LONGEST.as_secs());
const _: () = assert!(LONGEST.as_secs() < WINDOW.as_secs());
