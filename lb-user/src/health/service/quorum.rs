//! Pure: whether enough weight serves.

use std::time::Instant;

/// Whether enough weight serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// Whether it does.
    pub up: bool,
    /// Since when.
    pub since: Instant,
    /// The weight that serves, or would but for the fallback.
    pub weight: u64,
}

/// How much is enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) up: u64,
    pub(super) hysteresis: u64,
}

impl Thresholds {
    /// As keepalived: gained at `up + hysteresis`, lost below `up - hysteresis` or with nobody. At the start (`before` is `None`), it
    /// has to be gained.
    pub(super) fn decide(
        self,
        now: Instant,
        before: Option<QuorumState>,
        weight: u64,
    ) -> QuorumState {
        let Self { up, hysteresis } = self;
        let is_up = if before.is_some_and(|quorum| quorum.up) {
            weight > 0 && weight >= up.saturating_sub(hysteresis)
        } else {
            weight >= up + hysteresis
        };
        let since = match before {
            Some(quorum) if quorum.up == is_up => quorum.since,
            _ => now,
        };
        QuorumState {
            up: is_up,
            since,
            weight,
        }
    }
}
