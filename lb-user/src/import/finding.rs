//! Where something stands in a foreign file, and what is to be said about it.

use std::{fmt, sync::Arc};

use crate::config::Severity;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as the user, or the line that included it, named it.
    pub file: Arc<str>,
    /// Counts from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something that could not be taken over as it was.
///
/// Displays as `FILE:LINE: what, and what Ballast does instead`; an error has `error: ` before what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands.
    pub at: Place,
    /// A warning: taken over differently, or a setting without an equal. An error: it is wrong, and an instance, a service or another
    /// whole thing was left out for it, or has to be corrected by hand.
    pub severity: Severity,
    /// What, and what Ballast does instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if self.severity == Severity::Error {
            f.write_str("error: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A piece of the file in a message: in backquotes, without control characters, not too long.
pub(super) fn quote(text: &str) -> String {
    let short: String = text
        .chars()
        .take(QUOTED)
        .flat_map(|c| {
            c.is_control()
                .then(|| c.escape_default())
                .map_or_else(|| vec![c], Iterator::collect)
        })
        .collect();
    let dots = if text.chars().nth(QUOTED).is_some() {
        "…"
    } else {
        ""
    };
    format!("`{short}{dots}`")
}

/// The known word that an unknown one most likely stands for.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison costs the square of the length.
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() + 2) / 4;
    known
        .into_iter()
        .map(|k| (strsim::osa_distance(word, k), k))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, k)| k)
}

/// Characters of the file shown in a message.
const QUOTED: usize = 60;
