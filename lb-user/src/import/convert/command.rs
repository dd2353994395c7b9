//! Programs with their arguments, and whom they run as.

use super::{Cx, Statement};
use crate::import::{
    finding::{Place, quote},
    lexer::{command_words, unescape},
    yaml::Node,
};

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) at: Place,
    pub(super) words: Vec<String>,
    /// What was chosen, for a comment.
    pub(super) note: Option<String>,
}

impl Command {
    /// The list of words.
    pub(super) fn node(&self) -> Node {
        self.words.clone().into()
    }
}

/// The command in one word of a statement; reports one that cannot be run.
pub(super) fn command(text: &str, s: &Statement, cx: &mut Cx<'_>) -> Option<Command> {
    let whole = unescape(text);
    let mut words: Vec<String> = command_words(text).iter().map(|w| unescape(w)).collect();
    let at = s.at.clone();
    let Some(program) = words.first_mut().filter(|p| !p.is_empty()) else {
        cx.error(
            &at,
            format!("`{}` without a program: left out", s.keyword()),
        );
        return None;
    };
    if program.starts_with(SHELL) {
        return Some(through_shell(whole, at, cx));
    }
    let mut note = None;
    if !program.contains('/') {
        let path = format!("{}/{program}", directory(program));
        cx.warn(
            &at,
            format!(
                "{} has no absolute path: `{path}` is written",
                quote(program)
            ),
        );
        note = Some(format!("keepalived looks for `{program}` along its PATH"));
        *program = path;
    } else if !program.starts_with('/') {
        cx.error(
            &at,
            format!(
                "{} is a relative path, give an absolute one: left out",
                quote(program)
            ),
        );
        return None;
    }
    if let Some(word) = words.iter().find(|w| OPERATORS.contains(&w.as_str())) {
        cx.warn(
            &at,
            format!(
                "{} is an argument, there is no shell: give `/bin/sh -c '…'` if one is meant",
                quote(word)
            ),
        );
    }
    Some(Command { at, words, note })
}

/// A command with a user, and perhaps a group, behind it.
pub(super) fn notify(s: &Statement, cx: &mut Cx<'_>) -> Option<Command> {
    let command = command(s.arg(0), s, cx)?;
    let user = s.arg(1);
    if !user.is_empty() && user != "root" {
        cx.warn(
            &s.at,
            format!(
                "`{}`: it runs as the agent does, not as {}; use `runuser` in it",
                s.keyword(),
                quote(user)
            ),
        );
    }
    Some(command)
}

/// What keepalived hands to a shell, because no program is called that.
fn through_shell(text: String, at: Place, cx: &mut Cx<'_>) -> Command {
    let shell = if text.contains("/dev/tcp/") || text.contains("/dev/udp/") {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    cx.warn(
        &at,
        format!(
            "{} is a shell's business: `{shell} -c` is written before it",
            quote(&text)
        ),
    );
    Command {
        at,
        words: vec![shell.to_owned(), "-c".to_owned(), text],
        note: None,
    }
}

fn directory(program: &str) -> &'static str {
    if ADMIN.contains(&program) {
        "/usr/sbin"
    } else {
        "/usr/bin"
    }
}

const SHELL: &[char] = &['<', '>', '(', '|', '&', ';', '$', '`'];
const OPERATORS: &[&str] = &["|", "||", "&&", ";", ">", ">>", "<", "2>&1", "&"];
/// Programs of /usr/sbin that scripts like to use.
const ADMIN: &[&str] = &[
    "arping",
    "bridge",
    "conntrack",
    "ethtool",
    "ip6tables",
    "iptables",
    "ipvsadm",
    "nft",
    "service",
    "sysctl",
    "tc",
];
