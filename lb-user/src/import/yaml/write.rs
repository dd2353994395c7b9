//! The document as text.

use serde_yaml::Value;

use super::{Entry, Map, Node};

impl Map {
    /// The document as text.
    pub(in crate::import) fn render(&self) -> String {
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

impl Entry {
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

impl Node {
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
                out.push_str(&format!("{}{}\n", " ".repeat(indent), scalar(value, false)));
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

/// A value as it is spelled, in a line of its own or among brackets and commas.
pub(super) fn scalar(value: &Value, among_brackets: bool) -> String {
    if let Value::String(text) = value {
        let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
        let structure = |c: char| {
            matches!(
                c,
                ',' | '[' | ']' | '{' | '}' | ':' | '#' | '\'' | '"' | '&' | '*'
            )
        };
        // `12e3456` is a number to some readers, and too large for one.
        let too_large = text.parse().is_ok_and(|number: f64| !number.is_finite());
        let needs = too_large || text.contains(odd) || (among_brackets && text.contains(structure));
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

/// Values of a list that are not a line each.
const MANY: usize = 16;
/// Columns of the text.
const WIDTH: usize = 110;
