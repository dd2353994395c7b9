//! What the reader hands over, and its way into the tree.

use std::{collections::HashMap, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::config::{
    Pos,
    tree::{Entry, Kind, Node, Value},
    walk::{Cx, join_index, join_key},
};

/// A value as the reader's data model has it. Numbers and booleans lost their spelling; [`convert`] fetches it from the text.
pub(super) enum Raw {
    Null,
    Bool,
    Number,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Bool)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// The place of a location; the reader's unknown place is line 0.
pub(super) fn pos(location: Location) -> Pos {
    let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Pos {
        line: clamp(location.line()),
        column: clamp(location.column()),
    }
}

/// The tree of a document read from `text`.
pub(super) fn convert(cx: &mut Cx, text: &str, raw: Spanned<Raw>) -> Node {
    node(cx, text, raw, "")
}

fn node(cx: &mut Cx, text: &str, raw: Spanned<Raw>, path: &str) -> Node {
    // For an alias this is the alias, not what it stands for: the place that the user has to look at first.
    let at = pos(raw.referenced);
    let spelled = |defined: Location| {
        let span = defined.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let len = usize::try_from(span.byte_len()?).ok()?;
        text.get(start..start.checked_add(len)?)
            .map(|s| s.trim().to_owned())
    };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool => Value::Scalar {
            text: spelled(raw.defined).unwrap_or_default(),
            kind: Kind::Bool,
        },
        Raw::Number => Value::Scalar {
            text: spelled(raw.defined).unwrap_or_default(),
            kind: Kind::Number,
        },
        Raw::Text(text) => Value::Scalar {
            text,
            kind: Kind::Text,
        },
        Raw::List(items) => Value::List(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| node(cx, text, item, &join_index(path, i)))
                .collect(),
        ),
        Raw::Map(entries) => Value::Map(map(cx, text, entries, path)),
    };
    Node { at, value }
}

fn map(cx: &mut Cx, text: &str, raw: Vec<(Spanned<Raw>, Spanned<Raw>)>, path: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    let mut lines: HashMap<String, u32> = HashMap::with_capacity(raw.len());
    for (key, value) in raw {
        let key = node(cx, text, key, path);
        let Value::Scalar { text: name, .. } = key.value else {
            cx.error(
                key.at,
                path,
                format!("{} as a key, keys are words", key.what()),
            );
            continue;
        };
        let value = node(cx, text, value, &join_key(path, &name));
        if let Some(line) = lines.get(&name) {
            cx.error(
                key.at,
                &join_key(path, &name),
                format!("given twice, first in line {line}"),
            );
            continue;
        }
        lines.insert(name.clone(), key.at.line);
        entries.push(Entry {
            key: name,
            at: key.at,
            node: value,
        });
    }
    entries
}
