//! The one walk over the tree: readers that take a value or say what is wrong with it, and go on.
//!
//! A reader that fails has reported; its caller puts any value in the place (the configuration is thrown away when there was an error)
//! or gives up the enclosing item. So every mistake of a file is found at once.

mod fields;
mod item;

use std::{collections::BTreeSet, sync::Arc};

pub(super) use self::{fields::Fields, item::Item};
use super::{Diagnostic, Pos, Severity};

/// Collects what is wrong.
pub(super) struct Cx {
    file: Arc<str>,
    found: Vec<Diagnostic>,
    /// How many more there are than are kept.
    dropped: usize,
    /// Every key that was asked for, as a path without indices: the schema, as far as the file leads to it.
    asked: BTreeSet<String>,
}

impl Cx {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: Arc::from(file),
            found: Vec::new(),
            dropped: 0,
            asked: BTreeSet::new(),
        }
    }

    pub(super) fn error(&mut self, at: Pos, path: &str, message: impl Into<String>) {
        self.push(at, path, message.into(), Severity::Error);
    }

    pub(super) fn warn(&mut self, at: Pos, path: &str, message: impl Into<String>) {
        self.push(at, path, message.into(), Severity::Warning);
    }

    fn push(&mut self, at: Pos, path: &str, message: String, severity: Severity) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        self.found.push(Diagnostic {
            file: Arc::clone(&self.file),
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message,
            severity,
        });
    }

    /// Whether further diagnostics are only counted. Whoever makes one at a cost looks here first.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= DIAGNOSTICS
    }

    pub(super) fn has_errors(&self) -> bool {
        self.dropped > 0 || self.found.iter().any(|d| d.severity == Severity::Error)
    }

    /// See the field.
    #[cfg(test)]
    pub(super) fn asked(&self) -> &BTreeSet<String> {
        &self.asked
    }

    /// Everything found, and one more that counts the rest.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        if self.dropped > 0 {
            let (line, column) = self
                .found
                .iter()
                .map(|d| (d.line, d.column))
                .max()
                .unwrap_or((1, 1));
            self.found.push(Diagnostic {
                file: self.file,
                line,
                column,
                path: String::new(),
                message: format!("and {} more", self.dropped),
                severity: Severity::Error,
            });
        }
        self.found
    }
}

/// `key` of the mapping at `path`.
pub(super) fn join_key(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Item `index` of the list at `path`.
pub(super) fn join_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// A piece of the file in a message: in backquotes, without control characters, not too long.
pub(super) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED + 1).collect();
    let short: String = cut
        .chars()
        .take(QUOTED)
        .flat_map(char::escape_debug)
        .collect();
    let dots = if cut.chars().count() > QUOTED {
        "…"
    } else {
        ""
    };
    format!("`{short}{dots}`")
}

/// `a, b or c`.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Diagnostics kept of one file; nobody reads more.
const DIAGNOSTICS: usize = 1000;
/// Characters of a value shown in a message.
const QUOTED: usize = 60;
