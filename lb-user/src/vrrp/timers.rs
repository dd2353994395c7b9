//! The deadlines of one virtual router, as data.

use std::time::Instant;

/// What a virtual router waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Backup: the master has been silent for too long (RFC 9568, section 6.2).
    MasterDown,
    /// Master: the next advertisement is due (RFC 9568, section 6.2).
    Advert,
    /// Backup: how long a lower master is left alone.
    PreemptDelay,
    /// Master: the second burst of announcements.
    SecondBurst,
    /// Master: announcements at regular times.
    Refresh,
    /// Master: another master spoke, and should have stopped by now.
    Settled,
}

impl Timer {
    /// In the order in which those that are due at one time are handled: what may take the role
    /// away comes before what needs it.
    pub const ALL: [Self; 6] = [
        Self::MasterDown,
        Self::PreemptDelay,
        Self::Advert,
        Self::SecondBurst,
        Self::Refresh,
        Self::Settled,
    ];
}

/// A deadline for each timer, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Sets or moves a deadline.
    pub fn arm(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Removes a deadline.
    pub fn disarm(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0 = Default::default();
    }

    /// The deadline of one.
    #[must_use]
    pub fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// The first of all deadlines.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes the first timer that is due, with its deadline; it is disarmed.
    pub fn take_due(&mut self, now: Instant) -> Option<(Timer, Instant)> {
        let due = |timer: &Timer| self.get(*timer).is_some_and(|at| at <= now);
        let timer = Timer::ALL.into_iter().find(due)?;
        let at = self.0[timer as usize].take()?;
        Some((timer, at))
    }
}

const _: () = {
    let mut seen = 0_u32;
    let mut i = 0;
    while i < Timer::ALL.len() {
        seen |= 1 << Timer::ALL[i] as u32;
        i += 1;
    }
    assert!(
        seen == (1 << Timer::ALL.len()) - 1,
        "every timer is listed once"
    );
};
