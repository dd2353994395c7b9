//! The one walk over the tree: readers that take a value or say what is wrong with it, and go on.
//!
//! A reader that fails has reported; its caller puts any value in the place (the configuration is thrown away when there was an error)
//! or gives up the enclosing item. So every mistake of a file is found at once.

use std::{
    collections::BTreeSet, fmt::Display, net::IpAddr, num::NonZeroU16, ops::RangeInclusive,
    path::PathBuf, str::FromStr, sync::Arc, time::Duration,
};

use super::{
    Diagnostic, Pos, Severity,
    model::{Command, Word},
    suggest,
    tree::{Entry, Kind, Node, Value},
    units,
};

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

/// A value that was given, and its path.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

/// The entries of a mapping while they are read. [`close`](Self::close) reports those nobody asked for.
pub(super) struct Fields<'a> {
    pub(super) at: Pos,
    pub(super) path: String,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
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

impl<'a> Item<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    pub(super) fn error(&self, cx: &mut Cx, message: impl Into<String>) {
        cx.error(self.node.at, &self.path, message);
    }

    pub(super) fn warn(&self, cx: &mut Cx, message: impl Into<String>) {
        cx.warn(self.node.at, &self.path, message);
    }

    /// The value is not what it should be.
    fn expected<T>(&self, cx: &mut Cx, expected: impl Display) -> Option<T> {
        let message = match &self.node.value {
            Value::Scalar { text, .. } => format!("{} is not {expected}", quote(text)),
            _ => format!("{} here, expected {expected}", self.node.what()),
        };
        self.error(cx, message);
        None
    }

    /// The text of a scalar of any kind, or why not.
    fn scalar(&self, cx: &mut Cx, expected: impl Display) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => self.expected(cx, expected),
        }
    }

    /// The text of a scalar, if it is one.
    pub(super) fn as_scalar(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// Text without control characters; may be empty.
    pub(super) fn text(&self, cx: &mut Cx) -> Option<&'a str> {
        let text = self.scalar(cx, "text")?;
        if text.chars().any(char::is_control) {
            return self.expected(cx, "text without control characters");
        }
        Some(text)
    }

    /// Text that is not empty.
    pub(super) fn some_text(&self, cx: &mut Cx) -> Option<&'a str> {
        let text = self.text(cx)?;
        if text.is_empty() {
            self.error(cx, "must not be empty");
            return None;
        }
        Some(text)
    }

    /// What `T` reads, else `T`'s own words on why not.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, cx: &mut Cx) -> Option<T> {
        let text = self.scalar(cx, "a name")?;
        text.parse()
            .map_err(|error| self.error(cx, format!("{} is {error}", quote(text))))
            .ok()
    }

    pub(super) fn flag(&self, cx: &mut Cx) -> Option<bool> {
        match &self.node.value {
            Value::Scalar {
                text,
                kind: Kind::Bool,
            } => Some(text.eq_ignore_ascii_case("true")),
            _ => self.expected(cx, "true or false"),
        }
    }

    /// A whole number within limits.
    pub(super) fn number<T: TryFrom<i64>>(
        &self,
        cx: &mut Cx,
        allowed: RangeInclusive<i64>,
    ) -> Option<T> {
        let (low, high) = (*allowed.start(), *allowed.end());
        let expected = format!("a whole number from {low} to {high}");
        let text = self.scalar(cx, &expected)?;
        match text.parse::<i64>() {
            Ok(n) if allowed.contains(&n) => T::try_from(n).ok(),
            _ => self.expected(cx, expected),
        }
    }

    pub(super) fn port(&self, cx: &mut Cx) -> Option<NonZeroU16> {
        self.number::<u16>(cx, 1..=65_535).and_then(NonZeroU16::new)
    }

    pub(super) fn duration(
        &self,
        cx: &mut Cx,
        allowed: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (low, high) = (
            units::show_duration(*allowed.start()),
            units::show_duration(*allowed.end()),
        );
        let expected = format!("a duration from {low} to {high}, like `500ms`, `6s` or `2m`");
        let text = self.scalar(cx, &expected)?;
        match units::duration(text) {
            Some(d) if allowed.contains(&d) => Some(d),
            _ => self.expected(cx, expected),
        }
    }

    pub(super) fn size(&self, cx: &mut Cx, allowed: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (
            units::show_size(*allowed.start()),
            units::show_size(*allowed.end()),
        );
        let expected =
            format!("a size from {low} to {high}, like `256MiB`, `64KiB` or a number of bytes");
        let text = self.scalar(cx, &expected)?;
        match units::size(text) {
            Some(bytes) if allowed.contains(&bytes) => Some(bytes),
            _ => self.expected(cx, expected),
        }
    }

    pub(super) fn word<T: Word>(&self, cx: &mut Cx) -> Option<T> {
        let words = || T::WORDS.iter().map(|(word, _)| *word);
        let expected = one_of(words());
        let text = self.scalar(cx, &expected)?;
        match T::WORDS.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some(*value),
            None => {
                let hint = suggest::hint(text, words());
                self.expected(cx, format!("{expected}{hint}"))
            }
        }
    }

    pub(super) fn address(&self, cx: &mut Cx) -> Option<IpAddr> {
        let expected = "an IPv4 or IPv6 address";
        let text = self.scalar(cx, expected)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => self.expected(cx, expected),
        }
    }

    pub(super) fn absolute_path(&self, cx: &mut Cx) -> Option<PathBuf> {
        let path = PathBuf::from(self.some_text(cx)?);
        if !path.is_absolute() {
            return self.expected(cx, "an absolute path");
        }
        Some(path)
    }

    /// A list; nothing at all is an empty one.
    pub(super) fn list(&self, cx: &mut Cx, of: &str) -> Option<Vec<Item<'a>>> {
        match &self.node.value {
            Value::List(nodes) => Some(
                nodes
                    .iter()
                    .enumerate()
                    .map(|(i, node)| Item {
                        node,
                        path: join_index(&self.path, i),
                    })
                    .collect(),
            ),
            _ => self.expected(cx, format!("a list of {of}")),
        }
    }

    /// A program and its arguments, as a list.
    pub(super) fn command(&self, cx: &mut Cx) -> Option<Command> {
        let words = self.list(
            cx,
            "a program and its arguments, like `[/usr/bin/pidof, haproxy]`",
        )?;
        let Some((first, rest)) = words.split_first() else {
            self.error(cx, "empty, expected a program and its arguments");
            return None;
        };
        let program = first.absolute_path(cx);
        let args: Vec<Option<String>> = rest
            .iter()
            .map(|word| word.text(cx).map(str::to_owned))
            .collect();
        Command::new(program?, args.into_iter().collect::<Option<_>>()?)
    }

    /// The entries of a mapping.
    pub(super) fn fields(&self, cx: &mut Cx) -> Option<Fields<'a>> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => return self.expected(cx, "a mapping of keys to values"),
        };
        Some(Fields {
            at: self.node.at,
            path: self.path.clone(),
            entries,
            asked: Vec::new(),
        })
    }
}

impl<'a> Fields<'a> {
    /// The value of `key`, even if it is nothing.
    pub(super) fn get_even_null(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let entry = self.entries.iter().find(|e| e.key == key)?;
        Some(Item {
            node: &entry.node,
            path: join_key(&self.path, key),
        })
    }

    /// The value of `key`; a key with nothing behind it is as good as none.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.get_even_null(key)
            .filter(|item| item.node.value != Value::Null)
    }

    /// The value of `key`, which must be there.
    pub(super) fn need(&mut self, cx: &mut Cx, key: &'static str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            cx.error(
                self.at,
                &join_key(&self.path, key),
                "missing, must be given",
            );
        }
        item
    }

    /// What `read` makes of the value of `key`, or the default. Also the default where `read` fails, which it has reported.
    pub(super) fn or<T>(
        &mut self,
        cx: &mut Cx,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>, &mut Cx) -> Option<T>,
    ) -> T {
        self.get(key)
            .and_then(|item| read(&item, cx))
            .unwrap_or(default)
    }

    /// What `read` makes of the value of `key`, if there is one.
    pub(super) fn maybe<T>(
        &mut self,
        cx: &mut Cx,
        key: &'static str,
        read: impl FnOnce(&Item<'a>, &mut Cx) -> Option<T>,
    ) -> Option<T> {
        self.get(key).and_then(|item| read(&item, cx))
    }

    /// What `read` makes of each item of the list at `key`, those it can read.
    pub(super) fn each<T>(
        &mut self,
        cx: &mut Cx,
        key: &'static str,
        of: &str,
        mut read: impl FnMut(&Item<'a>, &mut Cx) -> Option<T>,
    ) -> Vec<T> {
        let items = self
            .get(key)
            .and_then(|item| item.list(cx, of))
            .unwrap_or_default();
        items.iter().filter_map(|item| read(item, cx)).collect()
    }

    /// An error about the mapping as a whole.
    pub(super) fn error(&self, cx: &mut Cx, message: impl Into<String>) {
        cx.error(self.at, &self.path, message);
    }

    /// Reports every key that was not asked for.
    pub(super) fn close(self, cx: &mut Cx) {
        for entry in self
            .entries
            .iter()
            .filter(|e| !self.asked.contains(&e.key.as_str()))
        {
            if cx.is_full() {
                cx.error(entry.at, "", "");
                continue;
            }
            let hint = suggest::hint(&entry.key, self.asked.iter().copied());
            let allowed = match (hint.is_empty(), self.asked.is_empty()) {
                (false, _) => hint,
                (true, true) => ", there are none here".to_owned(),
                (true, false) => format!(", allowed are {}", one_of(self.asked.iter().copied())),
            };
            let path = join_key(&self.path, &sanitized(&entry.key));
            cx.error(entry.at, &path, format!("unknown key{allowed}"));
        }
        if cfg!(test) {
            let without_indices: String = self
                .path
                .split('[')
                .map(|s| s.split_once(']').map_or(s, |(_, s)| s))
                .collect();
            cx.asked
                .extend(self.asked.iter().map(|key| join_key(&without_indices, key)));
        }
    }
}

/// A key in a path: as [`quote`], without the quotes.
fn sanitized(key: &str) -> String {
    quote(key).trim_matches('`').to_owned()
}

/// Diagnostics kept of one file; nobody reads more.
const DIAGNOSTICS: usize = 1000;
/// Characters of a value shown in a message.
const QUOTED: usize = 60;
