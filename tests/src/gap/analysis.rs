//! Pure: from numbered probes and their answers to the gap.

use std::time::Duration;

/// Everything that was sent and answered. Times are nanoseconds of the real-time clock, from which
/// the kernel's receive timestamps come.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// When probe n was sent.
    pub sent: Vec<u64>,
    /// When the answer to probe n arrived first.
    pub answered: Vec<Option<u64>>,
    /// How often and how late the canary woke: (when, by how much), only what is above 1 ms.
    pub overslept: Vec<(u64, Duration)>,
}

/// What the client saw around an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The longest time between two answers.
    pub silence: Duration,
    /// When the last answer before it came, and the first after it.
    pub between: (u64, u64),
    /// Probes without an answer, of those sent between the two times asked about.
    pub lost: usize,
}

impl Trace {
    /// What happened from `from` to `to`; both ends count as answers if there is none beside them, so
    /// that a silence that does not end is not shorter than it was.
    #[must_use]
    pub fn gap(&self, from: u64, to: u64) -> Gap {
        let mut answers: Vec<u64> = self.answered.iter().flatten().copied().collect();
        answers.sort_unstable();
        let before = answers.iter().rev().find(|at| **at <= from);
        let after = answers.iter().find(|at| **at >= to);
        let inside = answers.iter().filter(|at| (from..=to).contains(at));
        let mut times = vec![before.copied().unwrap_or(from)];
        times.extend(inside);
        times.push(after.copied().unwrap_or(to));
        let (silence, between) = times
            .windows(2)
            .map(|pair| (pair[1].saturating_sub(pair[0]), (pair[0], pair[1])))
            .max()
            .unwrap_or((0, (from, to)));
        let lost = self
            .sent
            .iter()
            .zip(&self.answered)
            .filter(|(sent, answer)| (from..=to).contains(sent) && answer.is_none())
            .count();
        Gap {
            silence: Duration::from_nanos(silence),
            between,
            lost,
        }
    }

    /// The canary's worst oversleep from `from` to `to`.
    #[must_use]
    pub fn worst_oversleep(&self, from: u64, to: u64) -> Duration {
        self.overslept
            .iter()
            .filter(|(at, late)| {
                // It slept until `at`; the stall is what lies before.
                *at >= from && at.saturating_sub(nanos(*late)) <= to
            })
            .map(|(_, late)| *late)
            .max()
            .unwrap_or_default()
    }
}

/// A duration in nanoseconds; 584 years at most.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
