//! Statements to our document.
//!
//! Two steps. The files of the first (`global`, `scripts`, `track`, `instance`, `group`, `service`, `check`) read a block each into
//! a draft: what keepalived understands by it, with its defaults not yet applied, because a thing may be defined after it is used. The
//! second (`document` and the files below it) writes drafts as our document, and knows what differs.

mod walk;

mod command;
mod value;

mod address;
mod check;
mod global;
mod group;
mod instance;
mod route;
mod scripts;
mod service;
mod track;

mod document;

pub(super) use self::{
    document::document,
    service::{Backend, Front, Fronts, Method, Protocol, Service, scheduler},
};
use self::{
    global::Global,
    group::Group,
    instance::Instance,
    scripts::{File, Process, Script},
    service::VirtualGroup,
    walk::{Grammar, block, line},
};
use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use super::{
    Options,
    finding::{Finding, Place, quote},
    parse::Statement,
};
use crate::config::Severity;

/// What goes along while a file is read.
pub(super) struct Cx<'a> {
    pub(super) options: &'a Options,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Cx<'a> {
    pub(super) fn new(options: &'a Options, findings: Vec<Finding>) -> Self {
        Self { options, findings }
    }

    /// Taken over differently, or not at all where that is a detail.
    pub(super) fn warn(&mut self, at: &Place, message: impl Into<String>) {
        self.push(at, Severity::Warning, message.into());
    }

    /// Something whole is left out.
    pub(super) fn error(&mut self, at: &Place, message: impl Into<String>) {
        self.push(at, Severity::Error, message.into());
    }

    fn push(&mut self, at: &Place, severity: Severity, message: String) {
        let at = at.clone();
        self.findings.push(Finding {
            at,
            severity,
            message,
        });
    }
}

/// All drafts of a file.
#[derive(Default)]
pub(super) struct Everything {
    global: Global,
    scripts: Vec<Script>,
    processes: Vec<Process>,
    files: Vec<File>,
    instances: Vec<Instance>,
    groups: Vec<Group>,
    virtual_groups: Vec<VirtualGroup>,
    services: Vec<Service>,
}

impl Everything {
    /// Services and nothing else.
    pub(super) fn of(services: Vec<Service>) -> Self {
        Self {
            services,
            ..Self::default()
        }
    }
}

/// Reads all blocks of a file.
pub(super) fn collect(statements: &[Statement], cx: &mut Cx<'_>) -> Everything {
    let mut everything = Everything::default();
    let statements = limited(statements, cx);
    // A crowded line out here was reported, and there is no block that it could spoil.
    let _walked = TOP.walk(&statements, &mut everything, cx);
    everything
}

/// The statements without those of a kind that nobody has so many of: names are compared with each other.
fn limited<'s>(statements: &'s [Statement], cx: &mut Cx<'_>) -> Cow<'s, [Statement]> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut kept = Vec::new();
    for s in statements {
        let count = counts.entry(s.keyword()).or_default();
        *count += 1;
        match (*count).cmp(&(MANY + 1)) {
            Ordering::Less => kept.push(s),
            Ordering::Equal => too_many(s, &format!("{} here", quote(s.keyword())), cx),
            Ordering::Greater => {}
        }
    }
    if kept.len() == statements.len() {
        Cow::Borrowed(statements)
    } else {
        Cow::Owned(kept.into_iter().cloned().collect())
    }
}

const TOP: Grammar<Everything> = Grammar {
    takes: &[
        block("global_defs", 0, 0, |all, s, cx| all.global.read(s, cx)),
        block("vrrp_script", 1, 1, |all, s, cx| {
            scripts::script(&mut all.scripts, s, cx);
        }),
        block("vrrp_track_process", 1, 1, |all, s, cx| {
            scripts::process(&mut all.processes, s, cx);
        }),
        block("track_file", 1, 1, |all, s, cx| {
            scripts::file(&mut all.files, s, cx);
        }),
        block("vrrp_instance", 1, 1, |all, s, cx| {
            instance::read(&mut all.instances, s, cx);
        }),
        block("vrrp_sync_group", 1, 1, |all, s, cx| {
            group::read(&mut all.groups, s, cx);
        }),
        block("virtual_server_group", 1, 1, |all, s, cx| {
            service::group(&mut all.virtual_groups, s, cx);
        }),
        block("virtual_server", 1, 2, |all, s, cx| {
            service::read(&mut all.services, s, cx);
        }),
        line("include", 0, walk::ANY, |_, s, cx| {
            cx.warn(
                &s.at,
                format!(
                    "{} is behind something else in its line: not followed",
                    s.quoted()
                ),
            );
        }),
    ],
    old: &[("vrrp_track_file", "track_file")],
    without: &[
        (
            "SSL",
            "checks bring no certificate of their own and trust any (`tls_verify: false`)",
        ),
        (
            "bfd_instance",
            "VRRP with sub-second intervals (`version: 3`) notices a dead peer as soon",
        ),
        (
            "child_wait_time",
            "there are no child processes to wait for",
        ),
        ("garp_group", "announcements are not slowed down"),
        (
            "instance",
            "give each agent a `runtime_dir` and a `bpffs_dir` of its own",
        ),
        (
            "interface_up_down_delays",
            "an interface counts as down at once",
        ),
        ("linkbeat_interfaces", "the kernel says which links are up"),
        ("linkbeat_use_polling", "the kernel says which links are up"),
        ("namespace_with_ipsets", "there are no ipsets"),
        (
            "net_namespace",
            "start the agent in the namespace (`NetworkNamespacePath=` of its unit)",
        ),
        (
            "net_namespace_ipvs",
            "start the agent in the namespace (`NetworkNamespacePath=` of its unit)",
        ),
        (
            "static_ipaddress",
            "addresses that stay belong to the host's network configuration",
        ),
        (
            "static_route",
            "routes that stay belong to the host's network configuration",
        ),
        (
            "static_routes",
            "routes that stay belong to the host's network configuration",
        ),
        (
            "static_rules",
            "rules belong to the host's network configuration",
        ),
        (
            "static_track_group",
            "only virtual addresses and routes are looked after",
        ),
        (
            "track_group",
            "only virtual addresses and routes are looked after",
        ),
    ],
    same: &["use_pid_dir"],
};

/// Items of a list that are read: more than Ballast takes of anything but real servers.
const MANY: usize = crate::config::limits::SERVICES;

/// Says that a list goes on beyond [`MANY`].
fn too_many(s: &Statement, what: &str, cx: &mut Cx<'_>) {
    cx.error(
        &s.at,
        format!("more than {MANY} {what}: the rest is left out"),
    );
}

/// A name as Ballast's are: up to 63 bytes without white space.
fn name(text: &str, what: &str, at: &Place, cx: &mut Cx<'_>) -> String {
    let mut name: String = text
        .chars()
        .map(|c| {
            if c.is_whitespace() || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect();
    while name.len() > crate::types::NAME_MAX {
        name.pop();
    }
    if name.is_empty() {
        what.clone_into(&mut name);
    }
    if name != text {
        cx.warn(
            at,
            format!(
                "{} is no name of Ballast's: the {what} is called {}",
                quote(text),
                quote(&name)
            ),
        );
    }
    name
}
