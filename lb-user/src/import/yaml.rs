//! Our document on its way out: values that know which line they come from, with comments where a choice was made.
//!
//! `serde_yaml` decides how a value is spelled; it knows no comments and no `{ … }` in one line, so the rest is written here.

mod write;

#[cfg(test)]
mod tests;

use serde_yaml::Value;

use super::finding::Place;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Scalar(Value),
    List(Vec<Entry>),
    Map(Map),
}

/// A mapping, in the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Map {
    entries: Vec<Entry>,
    /// Never in one line.
    pub(super) tall: bool,
}

/// A value of a mapping or a list. Two are equal if they read the same, wherever they come from.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Empty in a list.
    key: &'static str,
    node: Node,
    at: Option<Place>,
    notes: Vec<String>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.key, &self.node, &self.notes) == (other.key, &other.node, &other.notes)
    }
}

impl Map {
    /// Adds a value.
    pub(super) fn put(&mut self, key: &'static str, node: impl Into<Node>) -> &mut Entry {
        self.entries.push(Entry::new(key, node.into()));
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    /// Adds a value if there is one.
    pub(super) fn put_some(&mut self, key: &'static str, node: Option<impl Into<Node>>) {
        if let Some(node) = node {
            self.put(key, node);
        }
    }

    /// Adds a list or mapping unless it is empty.
    pub(super) fn put_filled(&mut self, key: &'static str, node: impl Into<Node>) {
        let node = node.into();
        let empty = match &node {
            Node::Scalar(_) => false,
            Node::List(items) => items.is_empty(),
            Node::Map(map) => map.is_empty(),
        };
        if !empty {
            self.put(key, node);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is nothing at a key.
    pub(super) fn lacks(&self, key: &str) -> bool {
        let entry = self.entries.iter().find(|e| e.key == key);
        entry.is_none_or(|e| e.node.entries().is_empty())
    }

    /// The place of the innermost part of a path like `services[0].backends[1].port` that has one.
    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        let mut found = None;
        let mut entries = self.entries.as_slice();
        for step in steps(path) {
            let entry = match step {
                Step::Key(key) => entries.iter().find(|e| e.key == key),
                Step::Index(n) => entries.get(n),
            };
            let Some(entry) = entry else {
                break;
            };
            found = entry.at.as_ref().or(found);
            entries = entry.node.entries();
        }
        found
    }

    /// Takes what is at a path out of the document.
    pub(super) fn remove(&mut self, path: &str) -> Option<Entry> {
        let mut entries = &mut self.entries;
        let mut steps = steps(path).peekable();
        while let Some(step) = steps.next() {
            let at = match step {
                Step::Key(key) => entries.iter().position(|e| e.key == key)?,
                Step::Index(n) => (n < entries.len()).then_some(n)?,
            };
            if steps.peek().is_none() {
                return Some(entries.remove(at));
            }
            entries = entries[at].node.entries_mut()?;
        }
        None
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '['])
        .filter(|s| !s.is_empty())
        .map(
            |step| match step.strip_suffix(']').and_then(|n| n.parse().ok()) {
                Some(n) => Step::Index(n),
                None => Step::Key(step),
            },
        )
}

impl Entry {
    fn new(key: &'static str, node: Node) -> Self {
        Self {
            key,
            node,
            at: None,
            notes: Vec::new(),
        }
    }

    /// An item of a list.
    pub(super) fn item(node: impl Into<Node>) -> Self {
        Self::new("", node.into())
    }

    /// Which line it comes from.
    pub(super) fn at(&mut self, place: &Place) -> &mut Self {
        self.at = Some(place.clone());
        self
    }

    /// An item that comes from a line.
    pub(super) fn item_at(node: impl Into<Node>, place: &Place) -> Self {
        let mut item = Self::item(node);
        item.at(place);
        item
    }

    /// A comment above it.
    pub(super) fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.notes.push(note.into());
        self
    }
}

impl Node {
    fn entries(&self) -> &[Entry] {
        match self {
            Self::Scalar(_) => &[],
            Self::List(entries) => entries,
            Self::Map(map) => &map.entries,
        }
    }

    fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match self {
            Self::Scalar(_) => None,
            Self::List(entries) => Some(entries),
            Self::Map(map) => Some(&mut map.entries),
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Scalar(Value::from(text))
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Scalar(Value::from(text))
    }
}

impl From<bool> for Node {
    fn from(flag: bool) -> Self {
        Self::Scalar(Value::from(flag))
    }
}

impl From<i64> for Node {
    fn from(number: i64) -> Self {
        Self::Scalar(Value::from(number))
    }
}

impl From<u32> for Node {
    fn from(number: u32) -> Self {
        Self::Scalar(Value::from(number))
    }
}

impl From<u16> for Node {
    fn from(number: u16) -> Self {
        Self::Scalar(Value::from(number))
    }
}

impl From<u8> for Node {
    fn from(number: u8) -> Self {
        Self::Scalar(Value::from(number))
    }
}

impl From<Map> for Node {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<Vec<Entry>> for Node {
    fn from(items: Vec<Entry>) -> Self {
        Self::List(items)
    }
}

impl From<Vec<String>> for Node {
    fn from(items: Vec<String>) -> Self {
        Self::List(items.into_iter().map(Entry::item).collect())
    }
}
