//! Why an attempt failed, and by whose fault.

use std::{error::Error, future::Future, io, time::Duration};

use nix::errno::Errno;
use tokio::time::{Instant, timeout_at};

use super::blame::{Blame, blame};
use crate::health::text::Text;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The backend's fault.
    Theirs(Text),
    /// Ours.
    Ours(Text),
}

impl Failure {
    /// The backend did something wrong.
    pub(super) fn theirs(what: impl std::fmt::Display) -> Self {
        Self::Theirs(Text::new(what))
    }

    /// Something failed with an error that may have the kernel's somewhere inside; that one decides. Without it, the peer sent
    /// something unfit.
    pub(super) fn of(what: &str, error: &(dyn Error + 'static)) -> Self {
        match errno_in(error) {
            Some(errno) => Self::errno(what, errno),
            None => Self::theirs(format_args!("{what}: {}", Text::from_error(error))),
        }
    }

    /// The kernel refused something that only concerns us, whatever its reason.
    pub(super) fn ours(what: &str, error: &io::Error) -> Self {
        match errno_in(error) {
            Some(errno) => Self::Ours(Text::new(format_args!("{what}: {}", name(errno)))),
            None => Self::Ours(Text::new(format_args!(
                "{what}: {}",
                Text::from_error(error)
            ))),
        }
    }

    fn errno(what: &str, errno: Errno) -> Self {
        let text = Text::new(format_args!("{what}: {}", name(errno)));
        match blame(errno) {
            Blame::Theirs => Self::Theirs(text),
            Blame::Ours => Self::Ours(text),
        }
    }
}

/// Waits for `work` until the deadline; `what` was not done then.
pub(super) async fn by<T>(
    deadline: Instant,
    what: &str,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    timeout_at(deadline, work)
        .await
        .map_err(|_| overdue(what, deadline, Instant::now()))
}

/// Whose fault it is that `deadline` was missed: ours, if we came to look so late that the answer may lie here unread.
fn overdue(what: &str, deadline: Instant, now: Instant) -> Failure {
    let late = now.saturating_duration_since(deadline);
    if late > STALL {
        let late = late.as_millis();
        return Failure::Ours(Text::new(format_args!(
            "{what}: this host stood still for {late} ms"
        )));
    }
    Failure::theirs(format_args!("{what}: timed out"))
}

/// The kernel's error inside of others.
fn errno_in(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    for _ in 0..DEPTH {
        let error = next?;
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if let Some(number) = io.raw_os_error() {
                return Some(Errno::from_raw(number));
            }
            // `source` of an `io::Error` skips what it wraps.
            next = io
                .get_ref()
                .map(|inner| -> &(dyn Error + 'static) { inner })
                .or_else(|| error.source());
        } else {
            next = error.source();
        }
    }
    None
}

/// `connection refused`.
fn name(errno: Errno) -> String {
    let text = errno.desc();
    let mut chars = text.chars();
    match chars.next() {
        // Not `NFS …` and its like.
        Some(first) if !chars.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// How late a timeout may be noticed on a host that runs.
const STALL: Duration = Duration::from_millis(250);
/// How deep errors are nested at most.
const DEPTH: usize = 8;

#[cfg(test)]
mod tests;
