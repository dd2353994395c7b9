//! Reads what `cargo test … -- --show-output` prints, line by line: counts results, finds skips,
//! and says which lines are worth showing.

use std::collections::BTreeSet;

/// What a run of tests came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// As libtest counts: a test that skipped itself passed.
    ran_ok: usize,
    /// Failed tests.
    pub(super) failed: usize,
    /// Their names, as far as the output tells.
    pub(super) failures: Vec<String>,
    /// Tests that failed once, and passed when they were run again alone.
    pub(super) unstable: Vec<String>,
    /// Tests that said `SKIPPED: reason`, and ignored ones.
    pub(super) skips: Vec<Skip>,
    /// Result lines seen, one per test binary.
    pub(super) results: usize,
}

/// A test that did not test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    /// Its name, where the output tells.
    pub(super) test: Option<String>,
    /// Its own words.
    pub(super) reason: String,
    /// Not run at all (`#[ignore]`), so not among those that libtest says passed.
    ignored: bool,
}

impl Tally {
    /// Tests that ran and passed: without those that ran, skipped, and so "passed".
    pub(super) fn passed(&self) -> usize {
        let skips = self.skips.iter().filter(|skip| !skip.ignored);
        let tests: BTreeSet<_> = skips.filter_map(|skip| skip.test.as_deref()).collect();
        self.ran_ok.saturating_sub(tests.len())
    }

    /// Adds what another stream or call said.
    pub(super) fn merge(&mut self, other: Self) {
        self.ran_ok += other.ran_ok;
        self.failed += other.failed;
        self.results += other.results;
        self.failures.extend(other.failures);
        self.unstable.extend(other.unstable);
        self.skips.extend(other.skips);
    }

    /// Takes what running the failed `test` once more came to.
    pub(super) fn repeated(&mut self, test: &str, again: Self) {
        if again.passed() != 1 || again.failed > 0 {
            return;
        }
        self.failed -= 1;
        self.failures.retain(|failed| failed != test);
        self.unstable.push(test.to_owned());
        self.merge(again);
    }
}

/// The state of the reader between two lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    tally: Tally,
    /// Inside the output of passed tests: of interest only for their skips.
    in_successes: bool,
    /// The names that a list of failures has so far: the last such list before the result counts.
    failures: Vec<String>,
    /// Whose captured output this is.
    test: Option<String>,
}

impl Reader {
    /// Takes one line; returns whether to show it.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
        } else if line == "successes:" || line == "failures:" {
            self.in_successes = line == "successes:";
            self.test = None;
            self.failures.clear();
        } else if let Some(test) = captured_header(line) {
            self.test = Some(test.to_owned());
        } else if let Some(skip) = self.skip(line) {
            self.tally.skips.push(skip);
            return true;
        } else if let Some(test) = listed(line) {
            self.failures.push(test.to_owned());
        }
        !self.in_successes
    }

    /// Everything counted so far.
    pub(super) fn finish(self) -> Tally {
        self.tally
    }

    /// `ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s`
    fn result(&mut self, result: &str) {
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<usize>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => self.tally.ran_ok += number,
                (Some(number), Some("failed")) => self.tally.failed += number,
                _ => {}
            }
        }
        self.tally.results += 1;
        if self.in_successes {
            self.failures.clear();
        }
        self.tally.failures.append(&mut self.failures);
        self.in_successes = false;
        self.test = None;
    }

    fn skip(&self, line: &str) -> Option<Skip> {
        if let Some((name, verdict)) = line
            .strip_prefix("test ")
            .and_then(|l| l.split_once(" ... "))
        {
            if let Some(rest) = verdict.strip_prefix("ignored") {
                let reason = rest.strip_prefix(", ").unwrap_or("ignored").to_owned();
                return Some(Skip {
                    test: Some(name.to_owned()),
                    reason,
                    ignored: true,
                });
            }
            // With one thread and uncaptured output, what a test says follows its name.
            let reason = verdict.strip_prefix(SKIPPED)?.to_owned();
            return Some(Skip {
                test: Some(name.to_owned()),
                reason,
                ignored: false,
            });
        }
        let reason = line.trim_start().strip_prefix(SKIPPED)?.to_owned();
        Some(Skip {
            test: self.test.clone(),
            reason,
            ignored: false,
        })
    }
}

/// The test's name in `---- NAME stdout ----`.
fn captured_header(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// The test's name in a line of the list that closes `failures:`.
fn listed(line: &str) -> Option<&str> {
    let name = line.strip_prefix("    ")?;
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
}

/// How a test says that it did not test.
const SKIPPED: &str = "SKIPPED: ";

#[cfg(test)]
mod tests;
