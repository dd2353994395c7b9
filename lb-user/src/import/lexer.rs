//! Lines to words and braces. A statement ends where its line ends, or at a brace; words in quotes are one word.

#[cfg(test)]
mod tests;

use super::{
    finding::{Finding, Place, quote},
    read::Line,
};
use crate::config::Severity;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// What a piece of a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Without its quotes, but with its backslashes: what those mean depends on the keyword.
    Word(String),
    /// `{`
    Open,
    /// `}`
    Close,
    /// The end of the line.
    End,
}

/// The tokens of lines that have no comments any more.
pub(super) fn tokens(lines: &[Line], findings: &mut Vec<Finding>) -> Vec<Token> {
    let mut tokens = Vec::new();
    for line in lines {
        let mut push = |kind| {
            tokens.push(Token {
                at: line.at.clone(),
                kind,
            });
        };
        let mut rest = line.text.as_str();
        let mut quotes = Quotes::default();
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else {
                break;
            };
            match first {
                '{' | '}' => {
                    push(if first == '{' {
                        Kind::Open
                    } else {
                        Kind::Close
                    });
                    rest = &rest[1..];
                }
                _ => {
                    let Found { word, end, oddity } = word(rest, &mut quotes);
                    if let Some(oddity) = oddity {
                        findings.push(Finding {
                            at: line.at.clone(),
                            severity: Severity::Warning,
                            message: format!("{oddity} in {}: taken as it stands", quote(&word)),
                        });
                    }
                    push(Kind::Word(word));
                    rest = &rest[end..];
                }
            }
        }
        push(Kind::End);
    }
    tokens
}

/// A word of a line.
struct Found {
    word: String,
    /// The byte behind it.
    end: usize,
    /// What should not be in it.
    oddity: Option<&'static str>,
}

/// The first word of a text that begins with one.
fn word(text: &str, quotes: &mut Quotes) -> Found {
    let (mut word, mut end, mut oddity) = (String::new(), 0, None);
    while let Some(c) = text[end..].chars().next() {
        let rest = &text[end..];
        let len = match c {
            '{' | '}' => break,
            c if c.is_whitespace() => break,
            '"' | '\'' => match quotes.piece(rest) {
                Some(len) => {
                    word.push_str(&rest[1..len - 1]);
                    end += len;
                    continue;
                }
                None => {
                    oddity = Some("a quote without its partner");
                    1
                }
            },
            // What is defined was replaced before.
            '$' => match undefined(rest) {
                Some(len) => {
                    oddity = Some("a name that nothing defines");
                    len
                }
                None => 1,
            },
            c => c.len_utf8(),
        };
        word.push_str(&rest[..len]);
        end += len;
    }
    Found { word, end, oddity }
}

/// The bytes of `${…}`, if a text begins with it: its braces are no block's.
fn undefined(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("${")?;
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b' ');
    let len = inside.bytes().take_while(|b| name(*b)).count();
    (len > 0 && inside[len..].starts_with('}')).then_some(len + 3)
}

/// Finds the partners of the quotes of one line. One that has none is a character, and so are those like it behind it: each would be
/// looked for to the end of the line again.
#[derive(Default)]
struct Quotes {
    /// There are no more pairs of `"`, or of `'`.
    lonely: [bool; 2],
}

impl Quotes {
    /// The bytes of the quoted piece that a text begins with, quotes included; `None`: the second one is missing.
    fn piece(&mut self, text: &str) -> Option<usize> {
        let lonely = &mut self.lonely[usize::from(text.starts_with('\''))];
        let found = if *lonely { None } else { quoted(text) };
        *lonely |= found.is_none();
        found
    }
}

fn quoted(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, mark) = chars.next()?;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            c if c == mark => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A line's code, and its comment with the `#` or `!` that begins it. Neither begins one in quotes.
pub(super) fn without_comment(line: &str) -> (&str, &str) {
    let mut at = 0;
    let mut quotes = Quotes::default();
    while let Some(c) = line[at..].chars().next() {
        at += match c {
            '#' | '!' => return line.split_at(at),
            '"' | '\'' => quotes.piece(&line[at..]).unwrap_or(1),
            c => c.len_utf8(),
        };
    }
    (line, "")
}

/// What a word with backslashes means where keepalived looks at them: scripts and expressions.
pub(super) fn unescape(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(c) = after.chars().next() else {
            out.push('\\');
            return out;
        };
        let (meant, used) = escape(c, after);
        out.push(meant);
        rest = &after[used..];
    }
    out + rest
}

/// What the text after a backslash, which begins with `c`, means, and how many bytes of it that takes.
fn escape(c: char, text: &str) -> (char, usize) {
    let digits = |from: usize, radix: u32, most: usize| {
        let len = text[from..]
            .bytes()
            .take(most)
            .take_while(|b| char::from(*b).is_digit(radix))
            .count();
        let digits = &text[from..from + len];
        let number = u32::from_str_radix(digits, radix).unwrap_or(0) & 0xff;
        (char::from_u32(number).unwrap_or_default(), from + len)
    };
    match c {
        'a' => ('\x07', 1),
        'b' => ('\x08', 1),
        'E' => ('\x1b', 1),
        'f' => ('\x0c', 1),
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'v' => ('\x0b', 1),
        '0'..='7' => digits(0, 8, 3),
        'x' if text[1..].starts_with(|c: char| c.is_ascii_hexdigit()) => digits(1, 16, 2),
        other => (other, other.len_utf8()),
    }
}

/// The words of a command line: white space parts them, quotes of either kind hold them together.
pub(super) fn command_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    let mut quotes = Quotes::default();
    while !rest.is_empty() {
        let mut word = String::new();
        let mut at = 0;
        while let Some(c) = rest[at..].chars().next().filter(|c| !c.is_whitespace()) {
            let piece = matches!(c, '"' | '\'')
                .then(|| quotes.piece(&rest[at..]))
                .flatten();
            match piece {
                Some(len) => {
                    word.push_str(&rest[at + 1..at + len - 1]);
                    at += len;
                }
                None => {
                    word.push(c);
                    at += c.len_utf8();
                }
            }
        }
        words.push(word);
        rest = rest[at..].trim_start();
    }
    words
}
