//! Files to lines that know their place, with what they include put in the place of the line that says so. The only room here that
//! touches files.
//!
//! As in keepalived, an `include` is found before conditions and definitions are looked at, so it can depend on neither.

mod glob;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::finding::{Finding, Place, quote};
use crate::{config::Severity, input_file};

/// A line of some file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub at: Place,
    /// Without its line break.
    pub text: String,
}

/// All lines of a file and of what it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// In the order in which keepalived reads them.
    pub(super) lines: Vec<Line>,
    /// What is wrong with the files as files.
    pub(super) findings: Vec<Finding>,
    /// In the order in which they were opened.
    pub(super) files: Vec<Arc<str>>,
}

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", file.display())]
pub struct ReadError {
    /// The file as the user named it.
    pub file: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl Source {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// The file itself cannot be read. An included one that cannot is a finding.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let text = contents(path, MAX_BYTES).map_err(|source| ReadError {
            file: path.to_owned(),
            source,
        })?;
        let mut reader = Reader {
            source: Self::default(),
            open: Vec::new(),
            left: MAX_BYTES,
        };
        reader.file(path, &text);
        Ok(reader.source)
    }

    /// A text without a file system: an `include` in it stays a line.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        let mut source = Self::default();
        source.lines(name, text.as_bytes(), |source, line| {
            source.lines.push(line);
        });
        source
    }

    /// What the user called the first file.
    pub(super) fn name(&self) -> String {
        self.files
            .first()
            .map_or_else(String::new, |file| file.to_string())
    }

    fn lines(&mut self, name: &str, bytes: &[u8], mut each: impl FnMut(&mut Self, Line)) {
        let file: Arc<str> = name.into();
        if !self.files.contains(&file) {
            self.files.push(Arc::clone(&file));
        }
        let place = |line: usize| Place {
            file: Arc::clone(&file),
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
        };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut count = 0;
        for (n, raw) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            count = n;
            let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            let text = String::from_utf8_lossy(raw).replace('\0', "\u{fffd}");
            // In comments, which say nothing to us, Latin-1 is common.
            let said = super::lexer::without_comment(&text).0;
            if text.as_bytes() != raw && said.contains('\u{fffd}') {
                self.findings.push(Finding {
                    at: place(n),
                    severity: Severity::Error,
                    message: format!(
                        "{} has bytes that are not UTF-8 text, shown as \u{fffd}: save the file as UTF-8, or correct the line in the result",
                        quote(said.trim())
                    ),
                });
            }
            each(self, Line { at: place(n), text });
        }
        if bytes.last().is_some_and(|b| *b != b'\n') {
            self.findings.push(warning(
                place(count),
                "the file does not end with a line break: is it complete?".to_owned(),
            ));
        }
    }
}

struct Reader {
    source: Source,
    /// Files being read, outermost first.
    open: Vec<PathBuf>,
    /// Bytes that may still be read.
    left: u64,
}

impl Reader {
    fn file(&mut self, path: &Path, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.open
            .push(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        let mut lines = Vec::new();
        let name = path.to_string_lossy();
        self.source.lines(&name, bytes, |_, line| lines.push(line));
        for line in lines {
            match included(&line.text) {
                None => self.source.lines.push(line),
                Some(pattern) => self.include(&line, path, pattern),
            }
        }
        self.open.pop();
    }

    fn include(&mut self, line: &Line, includer: &Path, pattern: &str) {
        let mut problem = |what: String| {
            self.source.findings.push(warning(line.at.clone(), what));
        };
        if pattern.is_empty() {
            return problem("`include` without a file: left out".to_owned());
        }
        if self.open.len() >= MAX_DEPTH {
            return problem(format!(
                "includes are nested deeper than {MAX_DEPTH}: {} is left out",
                quote(pattern)
            ));
        }
        let found = match glob::files(includer.parent().unwrap_or(Path::new("")), pattern) {
            Ok(found) => found,
            Err(why) => return problem(format!("{} {why}: left out", quote(pattern))),
        };
        if found.is_empty() {
            return problem(format!(
                "there is no file {}: nothing is included",
                quote(pattern)
            ));
        }
        for path in found {
            self.included_file(line, &path);
        }
    }

    fn included_file(&mut self, line: &Line, path: &Path) {
        let name = quote(&path.to_string_lossy());
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let result = if self.open.contains(&real) {
            Err(format!("{name} includes itself: not a second time"))
        } else {
            contents(path, self.left)
                .map_err(|error| format!("cannot read {name}: {error}: nothing is included"))
        };
        match result {
            Ok(bytes) => self.file(path, &bytes),
            Err(what) => self.source.findings.push(warning(line.at.clone(), what)),
        }
    }
}

/// The file that a line includes, if that is what it does.
fn included(line: &str) -> Option<&str> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if !INCLUDES.contains(&word) {
        return None;
    }
    let rest = super::lexer::without_comment(rest).0.trim();
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|q| rest.strip_prefix(*q)?.strip_suffix(*q));
    Some(unquoted.unwrap_or(rest))
}

fn contents(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input_file::open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn warning(at: Place, message: String) -> Finding {
    Finding {
        at,
        severity: Severity::Warning,
        message,
    }
}

/// The spellings of `include`; they differ in what keepalived says about missing files.
pub(super) const INCLUDES: &[&str] = &[
    "include", "includer", "includem", "includew", "includeb", "includea",
];
/// Files within files.
const MAX_DEPTH: usize = 32;
/// All files together.
const MAX_BYTES: u64 = 16 << 20;
