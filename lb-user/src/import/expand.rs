//! What a file says about its own lines: comments, `@id` conditions, `$NAME=value` definitions and their use, `~SEQ` and `~LST`.
//!
//! As in keepalived, all of it works on lines, before anything knows what a statement is. Replacement happens where a name is used, so
//! a definition may use names that are defined after it.

mod repeat;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use super::{
    finding::{Finding, Place, quote},
    lexer::without_comment,
    read::{INCLUDES, Line},
};
use crate::config::Severity;

/// The lines that are meant, without comments, for the host that is called `id`; `None`: there is no end to them.
pub(super) fn expand(lines: Vec<Line>, id: &str, findings: &mut Vec<Finding>) -> Option<Vec<Line>> {
    let mut expander = Expander {
        id,
        findings,
        defined: HashMap::new(),
        lines: Vec::new(),
        work: 0,
        condition: None,
        skipped: 0,
        commented_braces: None,
        endless: false,
    };
    expander.all(lines);
    expander.tell();
    (!expander.endless).then_some(expander.lines)
}

struct Expander<'a> {
    id: &'a str,
    findings: &'a mut Vec<Finding>,
    defined: HashMap<String, Vec<Line>>,
    /// What came out.
    lines: Vec<Line>,
    /// Lines and replacements so far.
    work: usize,
    /// The first line with a condition.
    condition: Option<Place>,
    /// Lines that a condition left out.
    skipped: usize,
    /// The first line whose comment holds braces, behind something that is no comment.
    commented_braces: Option<Place>,
    /// Definitions stand for each other, or for more than anybody means; nothing more is looked at.
    endless: bool,
}

impl Expander<'_> {
    fn all(&mut self, lines: Vec<Line>) {
        let mut lines = lines.into_iter();
        while !self.endless
            && let Some(Line { at, text }) = lines.next()
        {
            let (code, comment) = without_comment(&text);
            if !code.trim().is_empty() && comment.contains(['{', '}']) {
                self.commented_braces.get_or_insert_with(|| at.clone());
            }
            let code = code.trim();
            let Some(code) = self.meant(&at, code) else {
                skip_definition(code, &mut lines);
                continue;
            };
            match definition(code) {
                Some((name, value)) => {
                    let value = body(&at, value, &mut lines);
                    self.defined.insert(name.to_owned(), value);
                }
                None => {
                    let code = code.to_owned();
                    self.line(Line { at, text: code }, 0);
                }
            }
        }
    }

    /// What is behind a line's condition, if the condition holds.
    fn meant<'t>(&mut self, at: &Place, mut code: &'t str) -> Option<&'t str> {
        while let Some(condition) = code.strip_prefix('@') {
            self.condition.get_or_insert_with(|| at.clone());
            let (id, rest) = condition
                .split_once(char::is_whitespace)
                .unwrap_or((condition, ""));
            let holds = match id.strip_prefix('^') {
                Some(other) => other != self.id,
                None => id == self.id,
            };
            if !holds {
                self.skipped += 1;
                return None;
            }
            code = rest.trim_start();
        }
        Some(code)
    }

    /// One line of code to as many as it stands for.
    fn line(&mut self, line: Line, depth: usize) {
        self.work += 1;
        if depth > MAX_DEPTH || self.work > MAX_WORK {
            return self.too_much(&line.at);
        }
        let Some(code) = self.meant(&line.at, line.text.trim()) else {
            return;
        };
        // Within a definition of several lines there may be definitions, of one line each.
        if let Some((name, value)) = definition(code) {
            let text = value.trim().to_owned();
            self.defined
                .insert(name.to_owned(), vec![Line { at: line.at, text }]);
            return;
        }
        if let Some(repeat) = repeat::of(code) {
            self.repeat(&line.at, repeat, depth);
            return;
        }
        match self.replaced(&line.at, code) {
            Replaced::Line(text) => self.out(line.at, text, depth),
            Replaced::Lines(lines) => lines
                .into_iter()
                .for_each(|line| self.line(line, depth + 1)),
        }
    }

    fn out(&mut self, at: Place, text: String, depth: usize) {
        let again = text.starts_with('@') || repeat::of(&text).is_some();
        if again {
            // A definition stood for a condition or a repetition.
            return self.line(Line { at, text }, depth + 1);
        }
        let keyword = text.split_whitespace().next().unwrap_or_default();
        if INCLUDES.contains(&keyword) {
            let what = quote(&text);
            self.warn(
                &at,
                format!("{what} depends on a condition or a definition: not followed"),
            );
        } else if !text.is_empty() {
            self.lines.push(Line { at, text });
        }
    }

    fn repeat(&mut self, at: &Place, repeat: Result<repeat::Repeat<'_>, String>, depth: usize) {
        let repeat = match repeat {
            Ok(repeat) => repeat,
            Err(why) => return self.warn(at, format!("{why}: left out")),
        };
        for values in repeat.values {
            for (name, value) in repeat.names.iter().zip(values) {
                let line = Line {
                    at: at.clone(),
                    text: value,
                };
                self.defined.insert(name.clone(), vec![line]);
            }
            if self.endless {
                return;
            }
            let text = repeat.rest.to_owned();
            self.line(
                Line {
                    at: at.clone(),
                    text,
                },
                depth + 1,
            );
        }
    }

    /// A line with the names in it replaced.
    fn replaced(&mut self, at: &Place, code: &str) -> Replaced {
        let mut text = code.to_owned();
        let mut from = 0;
        while let Some((start, end, name)) = next_name(&text, from) {
            self.work += 1;
            if self.work > MAX_WORK || text.len() > MAX_LINE {
                self.too_much(at);
                return Replaced::Line(String::new());
            }
            let value = match predefined(&name, at, self.id) {
                Some(value) => vec![Line {
                    at: at.clone(),
                    text: value,
                }],
                None => match self.defined.get(&name) {
                    Some(value) => value.clone(),
                    None => {
                        from = end;
                        continue;
                    }
                },
            };
            if name.starts_with("_RANDOM") {
                self.warn(
                    at,
                    format!("`${{{name}}}` is another number each time: the smallest is taken"),
                );
            }
            match value.as_slice() {
                [only] => text.replace_range(start..end, &only.text),
                _ => return Replaced::Lines(in_context(&text[..start], value, &text[end..])),
            }
        }
        Replaced::Line(text.trim().to_owned())
    }

    fn too_much(&mut self, at: &Place) {
        if !std::mem::replace(&mut self.endless, true) {
            self.findings.push(Finding {
                at: at.clone(),
                severity: Severity::Error,
                message: "definitions that stand for each other, or for more lines than any configuration has".to_owned(),
            });
        }
    }

    fn warn(&mut self, at: &Place, message: String) {
        self.findings.push(Finding {
            at: at.clone(),
            severity: Severity::Warning,
            message,
        });
    }

    fn tell(&mut self) {
        if let Some(at) = self.condition.take() {
            let (id, skipped) = (quote(self.id), self.skipped);
            let lines = if skipped == 1 { "line is" } else { "lines are" };
            self.warn(
                &at,
                format!("conditions: this is the file as {id} reads it (--config-id), {skipped} {lines} for others"),
            );
        }
        if let Some(at) = self.commented_braces.take() {
            self.warn(
                &at,
                "the line goes on after `#` or `!`, with braces: all of that is a comment. Has the file lost its line breaks?".to_owned(),
            );
        }
    }
}

enum Replaced {
    Line(String),
    Lines(Vec<Line>),
}

/// `$NAME=value`, if the line is a definition.
fn definition(code: &str) -> Option<(&str, &str)> {
    let (name, value) = code.strip_prefix('$')?.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A line without the `\` that says that the next one belongs to it.
fn continued(code: &str) -> Option<&str> {
    code.trim_end().strip_suffix('\\')
}

/// The lines of a definition whose first one has `value`.
fn body(at: &Place, value: &str, lines: &mut impl Iterator<Item = Line>) -> Vec<Line> {
    let Some(first) = continued(value) else {
        return vec![Line {
            at: at.clone(),
            text: value.trim().to_owned(),
        }];
    };
    let mut body = Vec::new();
    if !first.trim().is_empty() {
        body.push(Line {
            at: at.clone(),
            text: first.trim().to_owned(),
        });
    }
    for Line { at, text } in lines {
        let code = without_comment(&text).0;
        let more = continued(code);
        body.push(Line {
            at,
            text: more.unwrap_or(code).trim().to_owned(),
        });
        if more.is_none() {
            break;
        }
    }
    body
}

/// Passes over the other lines of a definition whose first one is for another host.
fn skip_definition(mut code: &str, lines: &mut impl Iterator<Item = Line>) {
    while code.starts_with('@') {
        code = code
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest.trim_start());
    }
    if definition(code).is_none() {
        return;
    }
    let mut more = continued(code).is_some();
    while more && let Some(line) = lines.next() {
        more = continued(without_comment(&line.text).0).is_some();
    }
}

/// The next `${NAME}`, or `$NAME` before white space or the end, at or after a byte: from where to where it goes, and the name.
fn next_name(text: &str, from: usize) -> Option<(usize, usize, String)> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('$')?;
        let rest = &text[start + 1..];
        if let Some(braced) = rest.strip_prefix('{') {
            // Braces may hold arguments, too. Not everything to the end of a long line is looked at.
            let inside = braced.bytes().take(MAX_NAME).position(|b| b == b'}');
            if let Some(len) = inside
                && is_name(braced[..len].split_whitespace().next().unwrap_or_default())
            {
                return Some((start, start + len + 3, braced[..len].to_owned()));
            }
        } else {
            let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
            let len = rest.bytes().take_while(word).count();
            if is_name(&rest[..len]) && rest[len..].chars().next().is_none_or(char::is_whitespace) {
                return Some((start, start + 1 + len, rest[..len].to_owned()));
            }
        }
        at = start + 1;
    }
}

/// What keepalived defines itself.
fn predefined(name: &str, at: &Place, id: &str) -> Option<String> {
    Some(match name {
        "_HASH" => "#".to_owned(),
        "_BANG" => "!".to_owned(),
        "_INSTANCE" => id.to_owned(),
        "_PWD" => {
            let directory = Path::new(&*at.file).parent().unwrap_or(Path::new(""));
            let here = directory.as_os_str().is_empty();
            if here {
                ".".to_owned()
            } else {
                directory.to_string_lossy().into_owned()
            }
        }
        _ => {
            let limits = name.strip_prefix("_RANDOM")?;
            let least = limits.split_whitespace().next().unwrap_or("0");
            least.to_owned()
        }
    })
}

/// A definition of several lines in the line that uses it.
fn in_context(before: &str, mut value: Vec<Line>, after: &str) -> Vec<Line> {
    if let Some(first) = value.first_mut() {
        first.text.insert_str(0, before);
    }
    if let Some(last) = value.last_mut() {
        last.text.push_str(after);
    }
    value
}

/// Definitions within definitions.
const MAX_DEPTH: usize = 64;
/// Lines and replacements of all files: four for each of the backends that a configuration may have.
const MAX_WORK: usize = 1 << 19;
/// The longest name in braces, with its arguments.
const MAX_NAME: usize = 256;
/// The longest line that replacements may make.
const MAX_LINE: usize = 1 << 16;
