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
    /// The innermost part of `path` (like `services[0].port`) that the document has, and whether that is all of it.
    pub(crate) fn find(&self, path: &str) -> (&Self, bool) {
        let mut node = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.value, step.strip_suffix(']')) {
                (Value::List(items), Some(index)) => {
                    index.parse().ok().and_then(|i: usize| items.get(i))
                }
                (Value::Map(entries), None) => {
                    entries.iter().find(|e| e.key == step).map(|e| &e.node)
                }
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
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
