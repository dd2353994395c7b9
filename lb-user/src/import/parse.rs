//! Tokens to statements and the blocks behind them.
//!
//! A file whose braces do not match has no tree, only guesses at one; it is refused as a whole, with the place where a brace is
//! most likely missing.

#[cfg(test)]
mod tests;

use super::{
    finding::{Finding, Place, quote},
    lexer::{Kind, Token},
};
use crate::config::Severity;

/// A keyword, what follows it, and the block behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) at: Place,
    /// Not empty.
    words: Vec<String>,
    pub(super) block: Option<Vec<Statement>>,
}

impl Statement {
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// What follows the keyword.
    pub(super) fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Argument `n`, which counts from 0; empty if there is none.
    pub(super) fn arg(&self, n: usize) -> &str {
        self.args().get(n).map_or("", String::as_str)
    }

    /// All words: a line of a list has no keyword.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The statements of its block, none if it has none.
    pub(super) fn body(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The statement as it was written, in quotes, for messages.
    pub(super) fn quoted(&self) -> String {
        quote(&self.words.join(" "))
    }
}

/// A block that is not closed yet.
struct Frame {
    owner: Statement,
    statements: Vec<Statement>,
}

struct Parser<'a> {
    findings: &'a mut Vec<Finding>,
    top: Vec<Statement>,
    open: Vec<Frame>,
    words: Vec<String>,
    at: Option<Place>,
    /// The last statement of the current block may still get a block: only the ends of lines came after it.
    waiting: bool,
    broken: bool,
    /// Whether a missing brace was told already: the end of the file says it again otherwise.
    misnested: bool,
}

/// The statements of a file; `None`: its braces do not match, and `findings` says where.
pub(super) fn statements(tokens: &[Token], findings: &mut Vec<Finding>) -> Option<Vec<Statement>> {
    let mut parser = Parser {
        findings,
        top: Vec::new(),
        open: Vec::new(),
        words: Vec::new(),
        at: None,
        waiting: false,
        broken: false,
        misnested: false,
    };
    for Token { at, kind } in tokens {
        match kind {
            Kind::Word(word) => parser.word(at, word),
            Kind::End => parser.flush(),
            Kind::Open => parser.open(at),
            Kind::Close => parser.close(at),
        }
    }
    parser.finish()
}

impl Parser<'_> {
    fn word(&mut self, at: &Place, word: &str) {
        self.at.get_or_insert_with(|| at.clone());
        self.words.push(word.to_owned());
    }

    fn flush(&mut self) {
        if let Some(statement) = self.take() {
            self.list().push(statement);
            self.waiting = true;
        }
    }

    /// The statement whose words were collected.
    fn take(&mut self) -> Option<Statement> {
        Some(Statement {
            at: self.at.take()?,
            words: std::mem::take(&mut self.words),
            block: None,
        })
    }

    /// Where statements go now.
    fn list(&mut self) -> &mut Vec<Statement> {
        match self.open.last_mut() {
            Some(frame) => &mut frame.statements,
            None => &mut self.top,
        }
    }

    fn open(&mut self, at: &Place) {
        let owner = match self.take() {
            Some(owner) => Some(owner),
            None if self.waiting => self.list().pop(),
            None => None,
        };
        self.waiting = false;
        let Some(owner) = owner else {
            self.error(at, "`{` without a keyword before it".to_owned());
            self.push(Statement {
                at: at.clone(),
                words: vec!["{".to_owned()],
                block: None,
            });
            return;
        };
        if let Some(frame) = self.open.last()
            && TOP_ONLY.contains(&owner.keyword())
            && !self.misnested
        {
            self.misnested = true;
            let message = format!(
                "{} is still open here, since line {}: a `}}` is missing before {}",
                frame.owner.quoted(),
                frame.owner.at.line,
                owner.quoted()
            );
            self.error(&owner.at.clone(), message);
        }
        self.push(owner);
    }

    fn push(&mut self, owner: Statement) {
        if self.open.len() >= MAX_DEPTH {
            // The one message that could come a million times.
            if !self.broken {
                self.error(
                    &owner.at.clone(),
                    format!("blocks are nested deeper than {MAX_DEPTH}"),
                );
            }
            self.broken = true;
            self.misnested = true;
            return;
        }
        self.open.push(Frame {
            owner,
            statements: Vec::new(),
        });
    }

    fn close(&mut self, at: &Place) {
        self.flush();
        self.waiting = false;
        match self.open.pop() {
            Some(Frame {
                mut owner,
                statements,
            }) => {
                owner.block = Some(statements);
                self.list().push(owner);
            }
            None if self.misnested => {}
            None => {
                self.misnested = true;
                let hint = without_block(&self.top).map_or_else(String::new, |s| {
                    format!(
                        ": perhaps {} in line {} lacks its `{{`",
                        s.quoted(),
                        s.at.line
                    )
                });
                self.error(at, format!("`}}` closes nothing{hint}"));
            }
        }
    }

    fn finish(mut self) -> Option<Vec<Statement>> {
        self.flush();
        if !self.misnested {
            for frame in std::mem::take(&mut self.open) {
                let message = format!(
                    "{} is never closed: a `}}` is missing",
                    frame.owner.quoted()
                );
                self.error(&frame.owner.at, message);
            }
        }
        (!self.broken).then_some(self.top)
    }

    fn error(&mut self, at: &Place, message: String) {
        self.broken = true;
        self.findings.push(Finding {
            at: at.clone(),
            severity: Severity::Error,
            message,
        });
    }
}

/// The first statement that should have a block and has none.
fn without_block(statements: &[Statement]) -> Option<&Statement> {
    statements.iter().find_map(|s| match &s.block {
        None => {
            let needs = TOP_ONLY.contains(&s.keyword()) || INNER.contains(&s.keyword());
            needs.then_some(s)
        }
        Some(block) => without_block(block),
    })
}

/// Other keywords that mean nothing without a block.
const INNER: &[&str] = &[
    "DNS_CHECK",
    "HTTP_GET",
    "MISC_CHECK",
    "PING_CHECK",
    "SMTP_CHECK",
    "SSL_GET",
    "TCP_CHECK",
    "UDP_CHECK",
    "authentication",
    "group",
    "notification_email",
    "real_server",
    "track_interface",
    "track_process",
    "track_script",
    "unicast_peer",
    "url",
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "virtual_routes",
];
/// Keywords whose blocks are in no other block.
const TOP_ONLY: &[&str] = &[
    "bfd_instance",
    "garp_group",
    "global_defs",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "virtual_server",
    "virtual_server_group",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_file",
    "vrrp_track_process",
];
/// Blocks within blocks; the vocabulary needs six.
const MAX_DEPTH: usize = 32;
