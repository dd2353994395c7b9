//! One value, and the readers of all kinds of values.

use std::{
    fmt::Display, net::IpAddr, num::NonZeroU16, ops::RangeInclusive, path::PathBuf, str::FromStr,
    time::Duration,
};

use super::{Cx, Fields, join_index, join_key, one_of, quote};
use crate::config::{
    model::{Command, Word},
    suggest,
    tree::{Kind, Node, Value},
    units,
};

/// A value that was given, and its path.
#[derive(Clone, Debug)]
pub(in crate::config) struct Item<'a> {
    pub(in crate::config) node: &'a Node,
    pub(in crate::config) path: String,
}

impl<'a> Item<'a> {
    pub(in crate::config) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    pub(in crate::config) fn error(&self, cx: &mut Cx, message: impl Into<String>) {
        cx.error(self.node.at, &self.path, message);
    }

    pub(in crate::config) fn warn(&self, cx: &mut Cx, message: impl Into<String>) {
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
    pub(in crate::config) fn as_scalar(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(in crate::config) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(in crate::config) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// Text without control characters; may be empty.
    pub(in crate::config) fn text(&self, cx: &mut Cx) -> Option<&'a str> {
        let text = self.scalar(cx, "text")?;
        if text.chars().any(char::is_control) {
            return self.expected(cx, "text without control characters");
        }
        Some(text)
    }

    /// Text that is not empty.
    pub(in crate::config) fn some_text(&self, cx: &mut Cx) -> Option<&'a str> {
        let text = self.text(cx)?;
        if text.is_empty() {
            self.error(cx, "must not be empty");
            return None;
        }
        Some(text)
    }

    /// What `T` reads, else `T`'s own words on why not.
    pub(in crate::config) fn parsed<T: FromStr<Err: Display>>(&self, cx: &mut Cx) -> Option<T> {
        let text = self.scalar(cx, "a name")?;
        text.parse()
            .map_err(|error| self.error(cx, format!("{} is {error}", quote(text))))
            .ok()
    }

    pub(in crate::config) fn flag(&self, cx: &mut Cx) -> Option<bool> {
        match &self.node.value {
            Value::Scalar {
                text,
                kind: Kind::Bool,
            } => Some(text.eq_ignore_ascii_case("true")),
            _ => self.expected(cx, "true or false"),
        }
    }

    /// A whole number within limits.
    pub(in crate::config) fn number<T: TryFrom<i64>>(
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

    pub(in crate::config) fn port(&self, cx: &mut Cx) -> Option<NonZeroU16> {
        self.number::<u16>(cx, 1..=65_535).and_then(NonZeroU16::new)
    }

    pub(in crate::config) fn duration(
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

    pub(in crate::config) fn size(&self, cx: &mut Cx, allowed: RangeInclusive<u64>) -> Option<u64> {
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

    pub(in crate::config) fn word<T: Word>(&self, cx: &mut Cx) -> Option<T> {
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

    pub(in crate::config) fn address(&self, cx: &mut Cx) -> Option<IpAddr> {
        let expected = "an IPv4 or IPv6 address";
        let text = self.scalar(cx, expected)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => self.expected(cx, expected),
        }
    }

    pub(in crate::config) fn absolute_path(&self, cx: &mut Cx) -> Option<PathBuf> {
        let path = PathBuf::from(self.some_text(cx)?);
        if !path.is_absolute() {
            return self.expected(cx, "an absolute path");
        }
        Some(path)
    }

    /// A list; nothing at all is an empty one.
    pub(in crate::config) fn list(&self, cx: &mut Cx, of: &str) -> Option<Vec<Item<'a>>> {
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
    pub(in crate::config) fn command(&self, cx: &mut Cx) -> Option<Command> {
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

    /// The value of `key`, if this is a mapping that has it, else the item itself: where to point at.
    pub(in crate::config) fn child_or_self(&self, key: &str) -> Self {
        let Value::Map(entries) = &self.node.value else {
            return self.clone();
        };
        match entries.iter().find(|e| e.key == key) {
            Some(entry) => Self {
                node: &entry.node,
                path: join_key(&self.path, key),
            },
            None => self.clone(),
        }
    }

    /// The entries of a mapping.
    pub(in crate::config) fn fields(&self, cx: &mut Cx) -> Option<Fields<'a>> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => return self.expected(cx, "a mapping of keys to values"),
        };
        Some(Fields::new(self.node.at, self.path.clone(), entries))
    }
}
