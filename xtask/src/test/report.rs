//! What is printed around the tests: headers, the table, the skips, the closing line.

use std::{
    fmt::{self, Display},
    process::ExitCode,
    time::Duration,
};

use super::{
    AllowedSkip, UNSTABLE_LIMIT,
    output::{Skip, Tally},
};

/// What a tier, or a check beside them, came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    name: String,
    tally: Tally,
    /// Failures that no test reported.
    failures: Vec<String>,
    /// How long it ran.
    pub(super) took: Duration,
}

impl Outcome {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// A check with one failure.
    pub(super) fn failed(name: &str, why: String) -> Self {
        let mut outcome = Self::new(name);
        outcome.fail(why);
        outcome
    }

    pub(super) fn add(&mut self, tally: Tally) {
        self.tally.merge(tally);
    }

    /// Adds a failure that no test reported.
    pub(super) fn fail(&mut self, why: String) {
        self.failures.push(why);
    }

    fn failed_count(&self) -> usize {
        self.tally.failed + self.failures.len()
    }
}

/// All outcomes.
#[derive(Debug)]
pub(super) struct Report {
    outcomes: Vec<Outcome>,
    /// `Some`: any other skip is a failure.
    allowed_skips: Option<&'static [AllowedSkip]>,
}

impl Report {
    pub(super) fn new(allowed_skips: Option<&'static [AllowedSkip]>) -> Self {
        Self {
            outcomes: Vec::new(),
            allowed_skips,
        }
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// Prints everything, and says how we exit.
    pub(super) fn finish(mut self) -> ExitCode {
        self.fail_unwanted_skips();
        self.fail_unstable();
        println!("\n{self}");
        if self.totals().1 == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn fail_unwanted_skips(&mut self) {
        let Some(allowed) = self.allowed_skips else {
            return;
        };
        let mut unwanted = Outcome::new("skips");
        for skip in self
            .outcomes
            .iter()
            .flat_map(|outcome| &outcome.tally.skips)
        {
            if covered_by(skip, allowed).is_none() {
                unwanted.fail(format!("not allowed under CI: {}", Shown(skip)));
            }
        }
        if unwanted.failed_count() > 0 {
            self.add(unwanted);
        }
    }

    /// A stall of the machine hits a test or two. More is a fault of the tests, or of ours.
    fn fail_unstable(&mut self) {
        let unstable = |outcome: &Outcome| outcome.tally.unstable.len();
        let count: usize = self.outcomes.iter().map(unstable).sum();
        if count > UNSTABLE_LIMIT {
            self.add(Outcome::failed(
                "unstable",
                format!("{count} tests passed only when run again, {UNSTABLE_LIMIT} may"),
            ));
        }
    }

    /// Passed, failed, skipped.
    fn totals(&self) -> (usize, usize, usize) {
        let sum = |count: fn(&Outcome) -> usize| self.outcomes.iter().map(count).sum();
        (
            sum(|outcome| outcome.tally.passed()),
            sum(Outcome::failed_count),
            sum(|outcome| outcome.tally.skips.len()),
        )
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>7} {:>7} {:>7} {:>8}",
            "", "passed", "failed", "skipped", "seconds"
        )?;
        for outcome in &self.outcomes {
            let (passed, skipped) = (outcome.tally.passed(), outcome.tally.skips.len());
            let (failed, seconds) = (outcome.failed_count(), outcome.took.as_secs_f64());
            let name = &outcome.name;
            writeln!(
                f,
                "{name:<12} {passed:>7} {failed:>7} {skipped:>7} {seconds:>8.1}"
            )?;
        }
        for outcome in &self.outcomes {
            for skip in &outcome.tally.skips {
                write!(f, "SKIPPED: {}: {}", outcome.name, Shown(skip))?;
                match covered_by(skip, self.allowed_skips.unwrap_or_default()) {
                    Some(test) => writeln!(f, " (covered by {test})")?,
                    None => writeln!(f)?,
                }
            }
        }
        for outcome in &self.outcomes {
            for test in &outcome.tally.unstable {
                let name = &outcome.name;
                writeln!(
                    f,
                    "UNSTABLE: {name}: {test} failed once, and passed when run again"
                )?;
            }
        }
        for outcome in &self.outcomes {
            for failure in &outcome.failures {
                writeln!(f, "FAILED: {}: {failure}", outcome.name)?;
            }
        }
        let (passed, failed, skipped) = self.totals();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Where the same is tested, if this skip is allowed.
fn covered_by(skip: &Skip, allowed: &[AllowedSkip]) -> Option<&'static str> {
    let entry = allowed
        .iter()
        .find(|entry| skip.reason.starts_with(entry.reason));
    entry.map(|entry| entry.covered_by)
}

/// A skip as people read it.
struct Shown<'a>(&'a Skip);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.test {
            Some(test) => write!(f, "{test}: {}", self.0.reason),
            None => f.write_str(&self.0.reason),
        }
    }
}

/// Prints what comes next.
pub(super) fn header(name: &str, about: &str) {
    let colon = if about.is_empty() { "" } else { ": " };
    println!("\n=== {name}{colon}{about} ===");
}

#[cfg(test)]
mod tests;
