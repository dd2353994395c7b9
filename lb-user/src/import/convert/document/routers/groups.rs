//! `vrrp_sync_groups`, and `notify` of both kinds.

use std::collections::{HashMap, HashSet};

use crate::import::{
    convert::{Cx, group::Group, instance::Notify, quote},
    yaml::{Entry, Map},
};

/// Writes a group of those members that were `written` (by their name in the file, with ours) and are `grouped` nowhere else.
pub(super) fn sync_group<'a>(
    g: &'a Group,
    written: &HashMap<&str, &str>,
    grouped: &mut HashSet<&'a str>,
    cx: &mut Cx<'_>,
) -> Option<Entry> {
    let mut members = Vec::new();
    for (name, at) in &g.members {
        match written.get(name.as_str()) {
            None => cx.warn(
                at,
                format!(
                    "there is no usable instance {}: left out of the group",
                    quote(name)
                ),
            ),
            Some(_) if !grouped.insert(name) => {
                cx.warn(
                    at,
                    format!(
                        "{} is in a group already: left out of this one",
                        quote(name)
                    ),
                );
            }
            Some(called) => members.push(Entry::item_at(*called, at)),
        }
    }
    if members.is_empty() {
        cx.error(
            &g.at,
            format!("the sync group {} has no members: left out", quote(&g.name)),
        );
        return None;
    }
    let mut map = Map::default();
    map.tall = true;
    map.put("name", g.name.as_str());
    map.put("members", members).at(&g.list);
    map.put_filled("notify", notify(&g.notify));
    Some(Entry::item_at(map, &g.at))
}

/// Writes `notify`.
pub(super) fn notify(notify: &Notify) -> Map {
    let mut map = Map::default();
    let programs = [
        ("master", &notify.master),
        ("backup", &notify.backup),
        ("fault", &notify.fault),
        ("stop", &notify.stop),
        ("any", &notify.any),
    ];
    for (key, command) in programs {
        if let Some(command) = command {
            let entry = map.put(key, command.node()).at(&command.at);
            if let Some(note) = &command.note {
                entry.note(note.as_str());
            }
        }
    }
    map
}
