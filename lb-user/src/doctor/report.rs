//! The judgements of all checks, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::{CHECKS, Check, Severity, facts::Facts};
use crate::config::Config;

/// What all checks said, in the order of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Neither a problem nor a warning was found. A note is no fault, nor is what could not be looked at.
    pub ok: bool,
    /// One entry for each check.
    pub checks: Vec<Examined>,
}

/// What one check said.
#[derive(Clone, Debug, Serialize)]
pub struct Examined {
    /// The check's name; never changes.
    pub id: &'static str,
    /// The trap in a sentence.
    pub title: &'static str,
    /// What was looked at.
    pub looks_at: &'static str,
    /// How bad it is where it is found.
    pub severity: Severity,
    /// What came of it.
    pub outcome: Outcome,
    /// What was found, one sentence for each place.
    pub evidence: Vec<String>,
    /// What could not be looked at, and why; beside what was found, too.
    pub unknown: Vec<String>,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing found, and all that matters was looked at.
    Ok,
    /// The trap is there.
    Found,
    /// Nothing found, but not all could be looked at.
    Unknown,
}

impl Report {
    /// Judges.
    pub(super) fn new(config: &Config, facts: &Facts) -> Self {
        let checks: Vec<_> = CHECKS
            .iter()
            .map(|check| Examined::new(check, config, facts))
            .collect();
        let ok = !checks.iter().any(Examined::is_fault);
        Self { ok, checks }
    }

    /// How many problems, warnings and notes were found, and how many checks are not complete.
    #[must_use]
    pub fn summary(&self) -> String {
        let all = self.checks.len();
        let unknown = self.checks.iter().filter(|c| !c.unknown.is_empty()).count();
        let found: Vec<String> = [Severity::Problem, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| {
                let found = |c: &&Examined| c.outcome == Outcome::Found && c.severity == severity;
                let count = self.checks.iter().filter(found).count();
                let plural = if count == 1 { "" } else { "s" };
                (count > 0).then(|| format!("{count} {severity}{plural}"))
            })
            .collect();
        let found = if found.is_empty() {
            "nothing found".to_owned()
        } else {
            found.join(", ")
        };
        match unknown {
            0 => format!("{all} checks: {found}"),
            _ => format!("{all} checks: {found}; {unknown} not complete"),
        }
    }
}

impl Examined {
    fn new(check: &Check, config: &Config, facts: &Facts) -> Self {
        let judgement = (check.judge)(config, facts);
        let outcome = match (judgement.evidence.is_empty(), judgement.unknown.is_empty()) {
            (false, _) => Outcome::Found,
            (true, false) => Outcome::Unknown,
            (true, true) => Outcome::Ok,
        };
        Self {
            id: check.id,
            title: check.title,
            looks_at: check.looks_at,
            severity: check.severity,
            outcome,
            evidence: judgement.evidence,
            unknown: judgement.unknown,
            remedy: check.remedy,
        }
    }

    fn is_fault(&self) -> bool {
        self.outcome == Outcome::Found && self.severity != Severity::Note
    }
}

impl fmt::Display for Report {
    /// What was found, the worst first, then what could not be looked at, then one line in sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found: Vec<_> = self.checks.iter().collect();
        found.retain(|check| check.outcome == Outcome::Found);
        found.sort_by_key(|check| check.severity);
        for check in found {
            writeln!(f, "{}: {}: {}", check.severity, check.id, check.title)?;
            for evidence in &check.evidence {
                writeln!(f, "  {evidence}")?;
            }
            writeln!(f, "  remedy: {}", check.remedy)?;
        }
        for check in &self.checks {
            for reason in &check.unknown {
                writeln!(f, "unknown: {}: {reason}", check.id)?;
            }
        }
        writeln!(f, "{}", self.summary())
    }
}
