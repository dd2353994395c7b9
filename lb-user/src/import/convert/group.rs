//! `vrrp_sync_group`.

use super::{
    Cx, Statement,
    command::notify,
    instance::{Notify, alert_switch},
    name,
    track::{self, Track},
    walk::{Grammar, block, line},
};
use crate::import::finding::Place;

/// Instances that change role together.
pub(super) struct Group {
    pub(super) at: Place,
    pub(super) name: String,
    known_as: String,
    pub(super) members: Vec<(String, Place)>,
    /// Where the members are listed.
    pub(super) list: Place,
    pub(super) track: Track,
    /// Members keep the weights of what they track.
    pub(super) weights_count: bool,
    pub(super) notify: Notify,
}

/// Reads a group.
pub(super) fn read(groups: &mut Vec<Group>, s: &Statement, cx: &mut Cx<'_>) {
    if let Some(first) = groups.iter().find(|g| g.known_as == s.arg(0)) {
        let line = first.at.line;
        return cx.error(
            &s.at,
            format!(
                "{} is there already, in line {line}: the second one is left out",
                s.quoted()
            ),
        );
    }
    let mut group = Group {
        at: s.at.clone(),
        name: name(s.arg(0), "group", &s.at, cx),
        known_as: s.arg(0).to_owned(),
        members: Vec::new(),
        list: s.at.clone(),
        track: Track::default(),
        weights_count: false,
        notify: Notify::default(),
    };
    // The oldest versions had the members without `group { … }`.
    let (bare, rest): (Vec<&Statement>, Vec<&Statement>) =
        s.body().iter().partition(|s| is_member(s));
    for member in bare {
        cx.warn(
            &member.at,
            format!(
                "{} outside of `group {{ … }}`: taken as a member",
                member.quoted()
            ),
        );
        group
            .members
            .push((member.keyword().to_owned(), member.at.clone()));
    }
    let rest: Vec<Statement> = rest.into_iter().cloned().collect();
    if GROUP.walk(&rest, &mut group, cx).broken {
        cx.error(&s.at, format!("{} is left out", s.quoted()));
        return;
    }
    groups.push(group);
}

fn is_member(s: &Statement) -> bool {
    s.block.is_none() && s.args().is_empty() && !GROUP.knows(s.keyword())
}

const GROUP: Grammar<Group> = Grammar {
    takes: &[
        block("group", 0, 0, |g, s, _| {
            g.list = s.at.clone();
            let names = s
                .body()
                .iter()
                .flat_map(|s| s.words().iter().map(|word| (word.clone(), s.at.clone())));
            g.members.extend(names);
        }),
        block("track_interface", 0, 0, |g, s, cx| {
            track::read(&mut g.track.interfaces, s, cx);
        }),
        block("track_script", 0, 0, |g, s, cx| {
            track::read(&mut g.track.scripts, s, cx);
        }),
        block("track_process", 0, 0, |g, s, cx| {
            track::read(&mut g.track.processes, s, cx);
        }),
        block("track_file", 0, 0, |g, s, cx| {
            track::read(&mut g.track.files, s, cx);
        }),
        line("notify_master", 1, 3, |g, s, cx| {
            g.notify.master = notify(s, cx);
        }),
        line("notify_backup", 1, 3, |g, s, cx| {
            g.notify.backup = notify(s, cx);
        }),
        line("notify_fault", 1, 3, |g, s, cx| {
            g.notify.fault = notify(s, cx);
        }),
        line("notify_stop", 1, 3, |g, s, cx| {
            g.notify.stop = notify(s, cx);
        }),
        line("notify", 1, 3, |g, s, cx| g.notify.any = notify(s, cx)),
        line("smtp_alert", 0, 1, alert_switch),
        line("global_tracking", 0, 0, |g, _, _| g.weights_count = true),
        line("sync_group_tracking_weight", 0, 0, |g, _, _| {
            g.weights_count = true;
        }),
    ],
    old: &[],
    without: &[
        (
            "notify_deleted",
            "a group that is removed from the file is no group any more",
        ),
        (
            "notify_priority_changes",
            "there are no FIFOs; `notify` runs programs",
        ),
        ("track_bfd", "track a script that asks the BFD daemon"),
    ],
    same: &[],
};
