//! Text that may have come from anywhere, safe to print.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

#[cfg(test)]
mod tests;

/// One printable line of at most [`LIMIT`] bytes.
///
/// Everything but letters, digits, ASCII punctuation and single spaces is escaped as Rust would write it, so that neither a terminal
/// nor a log can be fooled.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Arc<str>);

/// The longest text, in bytes.
pub const LIMIT: usize = 200;

impl Text {
    /// Of anything that can be shown.
    #[must_use]
    pub fn new(shown: impl fmt::Display) -> Self {
        let mut line = Line::default();
        // An error means only that the line is full.
        if write!(line, "{shown}").is_err() {
            line.cut();
        }
        Self(line.0.into())
    }

    /// Of bytes, read as UTF-8 as far as they are.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // More cannot fit; this bounds the work.
        let start = bytes.get(..LIMIT + 1).unwrap_or(bytes);
        Self::new(String::from_utf8_lossy(start))
    }

    /// Of an error and what caused it, joined by colons; a cause that repeats what is already said is left out.
    #[must_use]
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut said = error.to_string();
        let mut cause = error.source();
        let mut depth = 0;
        while let Some(error) = cause.filter(|_| depth < CAUSES) {
            let text = error.to_string();
            if !said.contains(&text) {
                said.push_str(": ");
                said.push_str(&text);
            }
            cause = error.source();
            depth += 1;
        }
        Self::new(said)
    }

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A line as far as it is written; refuses what does not fit.
#[derive(Default)]
struct Line(String);

impl Line {
    /// Marks the line as cut.
    fn cut(&mut self) {
        let mut end = LIMIT - CUT.len();
        if self.0.len() > end {
            while !self.0.is_char_boundary(end) {
                end -= 1;
            }
            self.0.truncate(end);
        }
        self.0.push_str(CUT);
    }

    fn push(&mut self, c: char) -> fmt::Result {
        if self.0.len() + c.len_utf8() > LIMIT {
            return Err(fmt::Error);
        }
        self.0.push(c);
        Ok(())
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
                self.push(c)?;
            } else {
                c.escape_default().try_for_each(|c| self.push(c))?;
            }
        }
        Ok(())
    }
}

/// What stands for the rest.
const CUT: &str = "...";
/// Causes of causes worth telling.
const CAUSES: usize = 6;
