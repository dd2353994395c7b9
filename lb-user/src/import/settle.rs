//! The last word is the checker's: what it refuses is left out and named, until it accepts the rest.
//!
//! Where a draft is written with care this finds nothing to refuse. It is here because `check` learns new rules, and because
//! a file can be wrong in more ways than anybody lists.

use super::{
    finding::{Finding, Place},
    yaml::Map,
};
use crate::config::{self, ConfigErrors, Diagnostic, Diagnostics, Severity};

/// The text of a document that `check` accepts, with the warnings of `check` about it; `None`: nothing usable is left.
pub(super) fn settle(mut document: Map, name: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let start = Place {
        file: name.into(),
        line: 1,
    };
    loop {
        if ["services", "vrrp_instances"]
            .iter()
            .all(|key| document.lacks(key))
        {
            return None;
        }
        let text = format!(
            "# From {}, by `ballast import`.\n{}",
            one_line(name),
            document.render()
        );
        let refused = match config::validate_str(name, &text) {
            Ok(loaded) => {
                tell(&document, &loaded.warnings, &start, findings);
                return Some(text);
            }
            Err(ConfigErrors::Invalid(refused)) => refused,
            Err(ConfigErrors::Unreadable { .. }) => return None,
        };
        if !leave_out(&mut document, &refused, &start, findings) {
            return None;
        }
    }
}

/// What `check` says of what it accepts, but for what was said here in better words.
fn tell(document: &Map, warnings: &Diagnostics, start: &Place, findings: &mut Vec<Finding>) {
    for warning in warnings {
        let said = SAID
            .iter()
            .any(|(path, text)| warning.path.ends_with(path) && warning.message.contains(text));
        if !said {
            findings.push(Finding {
                at: document.place(&warning.path).unwrap_or(start).clone(),
                severity: Severity::Warning,
                message: with_key(warning),
            });
        }
    }
}

/// The message, with the setting that it is about.
fn with_key(diagnostic: &Diagnostic) -> String {
    let key = diagnostic.path.rsplit('.').next().unwrap_or_default();
    let key = key.split('[').next().unwrap_or_default();
    if key.is_empty() {
        diagnostic.message.clone()
    } else {
        format!("`{key}`: {}", diagnostic.message)
    }
}

/// Leaves out every part that something is wrong with; whether there was one.
fn leave_out(
    document: &mut Map,
    refused: &Diagnostics,
    start: &Place,
    findings: &mut Vec<Finding>,
) -> bool {
    let mut paths: Vec<(String, Finding)> = Vec::new();
    let mut whole: Vec<Finding> = Vec::new();
    for error in refused.iter().filter(|d| d.severity == Severity::Error) {
        let at = document.place(&error.path).unwrap_or(start).clone();
        let part = part(&error.path);
        let left_out = if part.is_some() { ": left out" } else { "" };
        let finding = Finding {
            at,
            severity: Severity::Error,
            message: format!("{}{left_out}", with_key(error)),
        };
        match part {
            // Several mistakes of one part are one reason to leave it out.
            Some(part) if paths.iter().any(|(known, _)| *known == part) => {}
            Some(part) => paths.push((part, finding)),
            None => whole.push(finding),
        }
    }
    // From the back, so that the places of those before stay what they are.
    let mut any = false;
    for (path, finding) in paths.into_iter().rev() {
        if document.remove(&path).is_some() {
            findings.push(finding);
            any = true;
        }
    }
    // What is wrong with all of it may be gone with a part, like "and 7 more".
    if !any {
        findings.append(&mut whole);
    }
    any
}

/// The smallest part of the document around a path that the rest does without.
fn part(path: &str) -> Option<String> {
    let mut best = None;
    for (at, _) in path.match_indices(']') {
        let list = path[..at].rsplit_once('[').map_or("", |(list, _)| list);
        let list = list.rsplit(['.', ']']).next().unwrap_or(list);
        if LISTS.contains(&list) {
            best = Some(at + 1);
        }
    }
    for (at, key) in keys(path) {
        if KEYS.contains(&key) && best.is_none_or(|b| b < at) {
            best = Some(at);
        }
    }
    best.map(|end| path[..end].to_owned())
}

/// The keys of a path, each with where it ends.
fn keys(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    path.split('.').map(move |step| {
        let key = step.split('[').next().unwrap_or(step);
        let at = end + key.len();
        end += step.len() + 1;
        (at, key)
    })
}

fn one_line(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Lists whose items can be left out.
const LISTS: &[&str] = &[
    "backends",
    "files",
    "interfaces",
    "members",
    "processes",
    "scripts",
    "services",
    "to",
    "unicast_peers",
    "virtual_addresses",
    "virtual_routes",
    "vrrp_instances",
    "vrrp_sync_groups",
];
/// Settings that can be left out.
const KEYS: &[&str] = &[
    "alerts",
    "authentication",
    "body_regex",
    "fallback",
    "garp",
    "health_check",
    "ipvs",
    "notify",
    "persistence",
    "quorum",
    "router_id",
    "timeouts",
    "unicast_source",
];
/// Warnings of `check`, by the end of their path and a piece of their text, that were said in words about keepalived.
const SAID: &[(&str, &str)] = &[("user", "runs as root"), ("backends", "nobody answers")];
