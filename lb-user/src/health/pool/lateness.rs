//! How late attempts start: a histogram that costs nothing.

use std::time::Duration;

/// Counts by lateness, in powers of two of milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// `counts[i]`: less than 2^i ms late, and not in one before.
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Lateness {
    /// Counts one.
    pub fn record(&mut self, late: Duration) {
        let bits = u128::BITS - late.as_millis().leading_zeros();
        let index = usize::try_from(bits).map_or(BUCKETS - 1, |bits| bits.min(BUCKETS - 1));
        self.counts[index] += 1;
        self.sum = self.sum.saturating_add(late);
    }

    /// The lateness of all together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// All that were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bounds beside the number of attempts that were less late and are not in one before. The last bound is that of the
    /// largest number there is.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.counts
            .iter()
            .zip(0u32..)
            .map(|(count, power)| match usize::try_from(power) {
                Ok(index) if index == BUCKETS - 1 => (Duration::MAX, *count),
                _ => (Duration::from_millis(1 << power), *count),
            })
    }

    /// A lateness that at least this share of all (of 1,000) did not reach; `None` before any was counted.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let wanted = (self.total() * per_mille).div_ceil(1000);
        let mut seen = 0;
        self.buckets()
            .find(|(_, count)| {
                seen += count;
                *count > 0 && seen >= wanted
            })
            .map(|(bound, _)| bound)
    }
}

/// Up to 2^14 ms, and everything beyond.
const BUCKETS: usize = 16;

#[cfg(test)]
mod tests;
