//! Waiting for a condition with a limit: the only place of the harness that lets time pass.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

/// A condition was not met within its limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Timeout {
    what: String,
    limit: Duration,
    last: String,
}

impl Display for Timeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, limit, last } = self;
        write!(f, "waited {limit:?} for {what}; last seen: {last}")
    }
}

impl std::error::Error for Timeout {}

/// What a condition may return: not yet (with what was seen instead), or the value waited for.
pub trait Condition {
    /// What `wait_for` gives back.
    type Value;
    /// `Err` says what was seen instead.
    fn met(self) -> Result<Self::Value, String>;
}

impl Condition for bool {
    type Value = ();
    fn met(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("false".to_owned())
        }
    }
}

impl<T> Condition for Option<T> {
    type Value = T;
    fn met(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Condition for Result<T, E> {
    type Value = T;
    fn met(self) -> Result<T, String> {
        self.map_err(|e| format!("{e:#}"))
    }
}

/// Asks `condition` again and again until it is met, at most for `limit`.
/// It is always asked at least once, and once more after the limit, so a slow machine gets its chance.
///
/// # Errors
/// [`Timeout`], with the state seen last.
pub fn wait_for<C: Condition>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> C,
) -> Result<C::Value, Timeout> {
    let start = Instant::now();
    loop {
        let late = start.elapsed() >= limit;
        match condition().met() {
            Ok(value) => return Ok(value),
            Err(last) if late => {
                return Err(Timeout {
                    what: what.to_owned(),
                    limit,
                    last,
                });
            }
            Err(_) => pause(POLL_INTERVAL),
        }
    }
}

/// Lets `duration` pass, for pacing (a request rate), never for hoping that something has happened.
pub fn pause(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that polls and paces"
    )]
    thread::sleep(duration);
}

const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
