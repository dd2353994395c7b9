//! The document as it was written: values that know their place. Nothing here knows what a key means.

use super::Pos;

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) at: Pos,
    pub(crate) value: Value,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A word, number or quoted string: `text` is what stands in the file, without quotes.
    Scalar {
        text: String,
        kind: Kind,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// How YAML's core schema reads a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Number,
    Text,
}

/// A key, its place, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Pos,
    pub(crate) node: Node,
}

impl Node {
    /// Where to point at for `path` (like `services[0].port`), or for the innermost part of it that the document has, and whether
    /// that is all of it. A value that begins below its key is pointed at by its key.
    pub(crate) fn find(&self, path: &str) -> (Pos, bool) {
        let (mut node, mut at) = (self, self.at);
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.value, step.strip_suffix(']')) {
                (Value::List(items), Some(index)) => index
                    .parse()
                    .ok()
                    .and_then(|i: usize| items.get(i))
                    .map(|item| (item, item.at)),
                (Value::Map(entries), None) => entries
                    .iter()
                    .find(|e| e.key == step)
                    .map(|e| (&e.node, e.place())),
                _ => None,
            };
            match next {
                Some(next) => (node, at) = next,
                None => return (at, false),
            }
        }
        (at, true)
    }

    /// What this is called in a message.
    pub(crate) fn what(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar {
                kind: Kind::Bool, ..
            } => "true or false",
            Value::Scalar {
                kind: Kind::Number, ..
            } => "a number",
            Value::Scalar {
                kind: Kind::Text, ..
            } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl Entry {
    fn place(&self) -> Pos {
        if self.node.at.line == self.at.line {
            self.node.at
        } else {
            self.at
        }
    }
}
