//! Pure: what the outcomes of one check mean for its backend, and when the next attempt is due.
//!
//! ```text
//!            more than `retries` bad in a row
//!       Up ────────────────────────────────────▶ Down ◀──┐ bad
//!       ▲                                        │  │    │
//!       │        `rise` good in a row, calm      │  └──▶ Held
//!       └────────────────────────────────────────┘       │
//!       └────────────────────────────────────────────────┘ good, when the hold is over
//! ```
//!
//! * A backend starts as up: a restart must not take every backend out until it was checked.
//! * Attempts start on a grid of `interval`, shifted by a share of it that the check's hash gives, so that checks which start together
//!   spread. An attempt that takes longer than the interval skips the points it missed.
//! * After a bad attempt of an up backend, the next follows `retry_delay` after its end, up to `retries` times (as keepalived's
//!   `retry` and `delay_before_retry`). A backend that is down is tried once per interval.
//! * An inconclusive outcome (our failure, not theirs) changes neither health nor counts towards a change.
//! * A backend that falls often is held back on its return ([`damping`]). A failure is never delayed.

use std::time::{Duration, Instant};

use self::damping::Damper;
use super::{probe::Outcome, text::Text};

mod damping;
#[cfg(test)]
mod tests;

/// When attempts are made, and how many it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// From the start of one check to the start of the next; not zero.
    pub interval: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// The pause before each of them.
    pub retry_delay: Duration,
    /// Good attempts in a row that bring a backend back.
    pub rise: u32,
}

impl Timing {
    /// The longest time from a backend's death to the verdict, if every attempt takes its whole timeout.
    #[must_use]
    pub fn detection(&self) -> Duration {
        let retries = self
            .retry_delay
            .saturating_add(self.timeout)
            .saturating_mul(self.retries);
        self.interval
            .saturating_add(self.timeout)
            .saturating_add(retries)
    }
}

/// What is thought of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It answers.
    Up,
    /// It answers again, but falls too often to be trusted yet.
    Held,
    /// It does not answer.
    Down,
}

impl Health {
    /// The word for logs and `status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Held => "held",
            Self::Down => "down",
        }
    }
}

/// A health that became another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: Health,
    /// Now.
    pub to: Health,
}

/// How many attempts in a row ended alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    /// Good ones; 0 if the last that told anything was bad.
    pub good: u32,
    /// Bad ones; 0 if the last that told anything was good.
    pub bad: u32,
    /// Inconclusive ones since one that told anything.
    pub inconclusive: u32,
}

/// The last attempt that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// When it ended.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// One check of one backend.
#[derive(Clone, Debug)]
pub struct Machine {
    timing: Timing,
    health: Health,
    since: Instant,
    streak: Streak,
    last: Option<Last>,
    /// What made the backend fall, the last time it did.
    reason: Option<Text>,
    damper: Damper,
    /// The next point of the grid.
    grid: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next attempt is due.
    Waiting(Instant),
    /// An attempt runs since.
    Trying(Instant),
}

impl Machine {
    /// A check that has not run yet. `share` of 2^64 is where in the interval it starts.
    #[must_use]
    pub fn new(timing: Timing, share: u64, now: Instant) -> Self {
        let shift = |range: Duration| {
            let nanos = (range.as_nanos().min(u128::from(u64::MAX)) * u128::from(share)) >> 64;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        Self {
            timing,
            health: Health::Up,
            since: now,
            streak: Streak::default(),
            last: None,
            reason: None,
            damper: Damper::default(),
            grid: now + shift(timing.interval),
            phase: Phase::Waiting(now + shift(timing.interval.min(WARM_UP))),
        }
    }

    /// The same, for a backend that another check knew: its health and history stay.
    #[must_use]
    pub fn succeed(timing: Timing, share: u64, now: Instant, before: &Self) -> Self {
        Self {
            health: before.health,
            since: before.since,
            last: before.last.clone(),
            reason: before.reason.clone(),
            damper: before.damper.clone(),
            ..Self::new(timing, share, now)
        }
    }

    /// When the next attempt is due; `None` while one runs.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(due) => Some(due),
            Phase::Trying(_) => None,
        }
    }

    /// An attempt starts; returns when it must have ended.
    pub fn start(&mut self, now: Instant) -> Instant {
        self.phase = Phase::Trying(now);
        now + self.timing.timeout
    }

    /// The attempt that ran has ended.
    pub fn handle_outcome(&mut self, now: Instant, outcome: Outcome) -> Option<Change> {
        let started = match self.phase {
            Phase::Trying(since) => since,
            Phase::Waiting(_) => now,
        };
        self.count(&outcome);
        let before = self.health;
        self.health = self.judge(now, &outcome);
        if let Outcome::Bad(text) = &outcome
            && self.health == Health::Down
        {
            self.reason = Some(text.clone());
        }
        self.last = Some(Last {
            at: now,
            took: now.saturating_duration_since(started),
            outcome,
        });
        self.phase = Phase::Waiting(self.next_attempt(now));
        (self.health != before).then(|| {
            self.since = now;
            Change {
                from: before,
                to: self.health,
            }
        })
    }

    /// What is thought of the backend.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Since when; at first, since the check is there.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Attempts in a row that ended alike.
    #[must_use]
    pub fn streak(&self) -> Streak {
        self.streak
    }

    /// The last attempt; `None` before the first has ended.
    #[must_use]
    pub fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// What the last bad attempt said while the backend was, or became, down.
    #[must_use]
    pub fn reason(&self) -> Option<&Text> {
        self.reason.as_ref()
    }

    /// Until when the backend is held back, if it is.
    #[must_use]
    pub fn held_until(&self) -> Option<Instant> {
        (self.health == Health::Held)
            .then(|| self.damper.held_until())
            .flatten()
    }

    /// When attempts are made.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    fn count(&mut self, outcome: &Outcome) {
        let Streak {
            good,
            bad,
            inconclusive,
        } = self.streak;
        self.streak = match outcome {
            Outcome::Good(_) => Streak {
                good: good.saturating_add(1),
                ..Streak::default()
            },
            Outcome::Bad(_) => Streak {
                bad: bad.saturating_add(1),
                ..Streak::default()
            },
            Outcome::Inconclusive(_) => Streak {
                good,
                bad,
                inconclusive: inconclusive.saturating_add(1),
            },
        };
    }

    fn judge(&mut self, now: Instant, outcome: &Outcome) -> Health {
        match (self.health, outcome) {
            (health, Outcome::Inconclusive(_)) => health,
            (Health::Up, Outcome::Good(_)) => Health::Up,
            (Health::Up, Outcome::Bad(_)) if self.streak.bad <= self.timing.retries => Health::Up,
            (Health::Up, Outcome::Bad(_)) => {
                self.damper.fell(now);
                Health::Down
            }
            (Health::Held | Health::Down, Outcome::Bad(_)) => Health::Down,
            (Health::Held | Health::Down, Outcome::Good(_)) => {
                if self.streak.good < self.timing.rise {
                    Health::Down
                } else if self.damper.holds(now) {
                    Health::Held
                } else {
                    Health::Up
                }
            }
        }
    }

    /// Moves the grid on, and picks the next point or a retry.
    fn next_attempt(&mut self, now: Instant) -> Instant {
        self.grid = grid_after(self.grid, self.timing.interval, now);
        if self.health != Health::Up || self.streak.bad == 0 {
            return self.grid;
        }
        // Our own trouble with an immediate retry would be a loop that makes it worse.
        let least = if self.streak.inconclusive > 0 {
            BREATH
        } else {
            Duration::ZERO
        };
        now + self.timing.retry_delay.max(least)
    }
}

/// The first of `grid`, `grid + interval`, … that lies after `now`.
fn grid_after(grid: Instant, interval: Duration, now: Instant) -> Instant {
    let Some(behind) = now.checked_duration_since(grid) else {
        return grid;
    };
    let steps = behind.as_nanos() / interval.as_nanos().max(1) + 1;
    u32::try_from(steps)
        .ok()
        .and_then(|steps| interval.checked_mul(steps))
        .and_then(|ahead| grid.checked_add(ahead))
        .unwrap_or(now + interval)
}

/// First attempts are made within this time, however long the interval: a dead backend is up until then.
pub const WARM_UP: Duration = Duration::from_secs(10);
/// The least pause after an inconclusive attempt.
const BREATH: Duration = Duration::from_millis(100);
