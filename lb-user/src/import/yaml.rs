//! Our document on its way out: values that know which line they come from, with comments where a choice was made.
//!
//! `serde_yaml` decides how a value is spelled; it knows no comments and no `{ … }` in one line, so the rest is written here.

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

    /// The document as text.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        for (n, entry) in self.entries.iter().enumerate() {
            if n > 0 && (entry.is_tall(0) || self.entries[n - 1].is_tall(0)) {
                out.push('\n');
            }
            entry.write(&mut out, 0);
        }
        out
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

    fn is_tall(&self, indent: usize) -> bool {
        let fits = |flow: String| indent + self.key.len() + 2 + flow.len() <= WIDTH;
        !self.notes.is_empty() || !self.node.flow().is_some_and(fits)
    }

    fn write(&self, out: &mut String, indent: usize) {
        self.write_notes(out, indent);
        let pad = " ".repeat(indent);
        out.push_str(&pad);
        self.write_bare(out, indent);
    }

    fn write_notes(&self, out: &mut String, indent: usize) {
        let pad = " ".repeat(indent);
        for line in self
            .notes
            .iter()
            .flat_map(|note| wrap(note, WIDTH - indent - 2))
        {
            out.push_str(&format!("{pad}# {line}\n"));
        }
    }

    /// Key and value, with the first line's indentation already written.
    fn write_bare(&self, out: &mut String, indent: usize) {
        out.push_str(self.key);
        out.push(':');
        if let Node::Scalar(value) = &self.node {
            out.push_str(&format!(" {}\n", scalar(value, false)));
            return;
        }
        match self.node.flow() {
            Some(flow) if indent + self.key.len() + 2 + flow.len() <= WIDTH => {
                out.push_str(&format!(" {flow}\n"));
            }
            _ => {
                out.push('\n');
                self.node.write(out, indent + 2);
            }
        }
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

    /// In one line, if nothing in it wants more.
    fn flow(&self) -> Option<String> {
        let all = |entries: &[Entry]| -> Option<Vec<String>> {
            let one = |e: &Entry| {
                let value = e.node.flow().filter(|_| e.notes.is_empty())?;
                Some(if e.key.is_empty() {
                    value
                } else {
                    format!("{}: {value}", e.key)
                })
            };
            entries.iter().map(one).collect()
        };
        match self {
            Self::Scalar(value) => Some(scalar(value, true)),
            // A list of mappings is one line for each.
            Self::List(items) => self
                .is_flat()
                .then(|| all(items))
                .flatten()
                .map(|items| format!("[{}]", items.join(", "))),
            Self::Map(map) if map.is_empty() => Some("{}".to_owned()),
            Self::Map(map) if map.tall => None,
            Self::Map(map) => Some(format!("{{ {} }}", all(&map.entries)?.join(", "))),
        }
    }

    /// Whether it is a list of plain values.
    fn is_flat(&self) -> bool {
        matches!(self, Self::List(items) if items.iter().all(|i| matches!(i.node, Self::Scalar(_))))
    }

    /// In several lines.
    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Scalar(value) => {
                out.push_str(&format!("{}{}\n", " ".repeat(indent), scalar(value, false)))
            }
            Self::Map(map) => map.entries.iter().for_each(|e| e.write(out, indent)),
            Self::List(items) if self.is_flat() && items.len() > MANY => {
                let text = self.flow().unwrap_or_default();
                let pad = " ".repeat(indent);
                for line in wrap(&text, WIDTH - indent) {
                    out.push_str(&format!("{pad}{line}\n"));
                }
            }
            Self::List(items) => {
                let tall = items.iter().any(|item| item.is_tall(indent));
                for (n, item) in items.iter().enumerate() {
                    if n > 0 && tall {
                        out.push('\n');
                    }
                    item.write_item(out, indent);
                }
            }
        }
    }
}

impl Entry {
    fn write_item(&self, out: &mut String, indent: usize) {
        self.write_notes(out, indent);
        let pad = " ".repeat(indent);
        let flow = self.node.flow().filter(|f| indent + 2 + f.len() <= WIDTH);
        match (&self.node, flow) {
            (Node::Scalar(value), _) => out.push_str(&format!("{pad}- {}\n", scalar(value, false))),
            (_, Some(flow)) => out.push_str(&format!("{pad}- {flow}\n")),
            (node, None) => {
                let mut entries = node.entries().iter();
                let Some(first) = entries.next() else {
                    return;
                };
                first.write_notes(out, indent);
                out.push_str(&format!("{pad}- "));
                first.write_bare(out, indent + 2);
                entries.for_each(|e| e.write(out, indent + 2));
            }
        }
    }
}

/// A value as it is spelled, in a line of its own or among brackets and commas.
fn scalar(value: &Value, among_brackets: bool) -> String {
    if let Value::String(text) = value {
        let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
        let structure = |c: char| {
            matches!(
                c,
                ',' | '[' | ']' | '{' | '}' | ':' | '#' | '\'' | '"' | '&' | '*'
            )
        };
        let needs = text.contains(odd) || (among_brackets && text.contains(structure));
        if needs {
            return double_quoted(text, odd);
        }
    }
    // A scalar of ours cannot fail to be written; if it did, an empty one is refused by the check that follows.
    serde_yaml::to_string(value).map_or_else(|_| "''".to_owned(), |text| text.trim_end().to_owned())
}

fn double_quoted(text: &str, odd: impl Fn(char) -> bool) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if odd(c) => format!("\\U{:08x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Words in lines of at most `width` characters, where they let themselves be parted.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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

/// Values of a list that are not a line each.
const MANY: usize = 16;
/// Columns of the text.
const WIDTH: usize = 110;
