//! Many measurements: medians and maxima, side by side.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Event, Measurement, STALL};
use crate::pair::Stack;

/// One event at one interval with one stack.
#[derive(Clone, Debug)]
pub struct Row {
    /// What happened.
    pub event: Event,
    /// The advertisement interval.
    pub interval: Duration,
    /// Who elected.
    pub stack: Stack,
    /// Silences, in the order they were measured.
    pub gaps: Vec<Duration>,
    /// Silences of as long a time before each event, likewise.
    pub quiet: Vec<Duration>,
    /// Probes without an answer, likewise.
    pub lost: Vec<usize>,
    /// From the last advert of a master that could not say goodbye to its successor's first, likewise.
    pub elected: Vec<Duration>,
    /// From the last advert of a master that could not say goodbye to the first answer, likewise.
    pub since_advert: Vec<Duration>,
    /// Measurements thrown away because the machine stalled.
    pub stalled: usize,
    /// The canary's worst oversleep in those that count.
    pub worst_oversleep: Duration,
    /// Measurements after which somebody else forwarded than was master.
    pub forwarded_by_others: usize,
}

impl Row {
    /// No measurement yet.
    #[must_use]
    pub fn new(event: Event, interval: Duration, stack: Stack) -> Self {
        Self {
            event,
            interval,
            stack,
            gaps: Vec::new(),
            quiet: Vec::new(),
            lost: Vec::new(),
            elected: Vec::new(),
            since_advert: Vec::new(),
            stalled: 0,
            worst_oversleep: Duration::ZERO,
            forwarded_by_others: 0,
        }
    }

    /// Takes a measurement, unless the machine stalled: then it is counted and `false`.
    pub fn add(&mut self, measurement: &Measurement, master: &str) -> bool {
        if measurement.stall > STALL.max(self.interval / 10) {
            self.stalled += 1;
            return false;
        }
        self.gaps.push(measurement.gap.silence);
        self.quiet.push(measurement.quiet);
        self.lost.push(measurement.gap.lost);
        self.elected.extend(measurement.elected);
        self.since_advert.extend(measurement.since_advert);
        self.worst_oversleep = self.worst_oversleep.max(measurement.stall);
        let [_, after] = &measurement.forwarded_by;
        if after.as_deref() != Some(master) {
            self.forwarded_by_others += 1;
        }
        true
    }

    /// The median gap; of an even number, the upper one.
    #[must_use]
    pub fn median(&self) -> Duration {
        median(&self.gaps)
    }

    /// The longest gap.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.gaps.iter().max().copied().unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({
            "event": self.event.name(),
            "interval_ms": self.interval.as_millis(),
            "stack": self.stack.name(),
            "runs": self.gaps.len(),
            "gap_ms": {
                "p50": ms(self.median()),
                "max": ms(self.max()),
                "all": self.gaps.iter().map(|gap| ms(*gap)).collect::<Vec<_>>(),
            },
            "quiet_ms": {
                "p50": ms(median(&self.quiet)),
                "max": self.quiet.iter().max().map(|quiet| ms(*quiet)),
            },
            "lost": { "p50": median(&self.lost), "max": self.lost.iter().max() },
            "elected_ms": {
                "p50": (!self.elected.is_empty()).then(|| ms(median(&self.elected))),
                "max": self.elected.iter().max().map(|since| ms(*since)),
            },
            "since_advert_ms": {
                "p50": (!self.since_advert.is_empty()).then(|| ms(median(&self.since_advert))),
                "max": self.since_advert.iter().max().map(|since| ms(*since)),
            },
            "stalled_and_repeated": self.stalled,
            "canary_max_ms": ms(self.worst_oversleep),
            "forwarded_by_others": self.forwarded_by_others,
        })
    }
}

/// The rows of one run.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// In the order they were measured.
    pub rows: Vec<Row>,
}

impl Table {
    /// Everything, for scripts.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| (row.event, std::cmp::Reverse(row.interval), row.stack));
        let mut text = format!(
            "{:14} {:>8}  {:10} {:>4} {:>10} {:>10} {:>10} {:>11} {:>9} {:>8} {:>8} {:>8}\n",
            "event",
            "interval",
            "elected by",
            "runs",
            "gap p50",
            "gap max",
            "quiet p50",
            "advert p50",
            "lost p50",
            "lost max",
            "stalled",
            "canary"
        );
        for row in rows {
            let since = match row.since_advert.as_slice() {
                [] => "-".to_owned(),
                since => format!("{:.1} ms", ms(median(since))),
            };
            writeln!(
                text,
                "{:14} {:>8}  {:10} {:>4} {:>10} {:>10} {:>10} {since:>11} {:>9} {:>8} {:>8} {:>8}",
                row.event,
                format!("{:?}", row.interval),
                row.stack.name(),
                row.gaps.len(),
                format!("{:.1} ms", ms(row.median())),
                format!("{:.1} ms", ms(row.max())),
                format!("{:.1} ms", ms(median(&row.quiet))),
                median(&row.lost),
                row.lost.iter().max().copied().unwrap_or_default(),
                row.stalled,
                format!("{:.1} ms", ms(row.worst_oversleep)),
            )?;
        }
        f.write_str(&text)
    }
}

fn median<T: Ord + Copy + Default>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds with one digit.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests;
