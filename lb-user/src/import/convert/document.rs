//! Drafts to our document, section by section.

mod checks;
mod routers;
mod services;

use std::collections::{HashMap, HashSet};

use super::{Cx, Everything, Place, quote, scripts::Script, value::show};
use crate::import::yaml::{Entry, Map};

/// The whole document.
pub(in crate::import) fn document(all: &Everything, cx: &mut Cx<'_>) -> Map {
    let mut document = Map::default();
    if let Some((id, at)) = &all.global.router_id {
        document.put("router_id", id.as_str()).at(at);
    }
    let mut user = Users {
        default: all.global.script_user.clone(),
        told: false,
    };
    let routers = routers::write(all, cx);
    let scripts: Vec<Entry> = all
        .scripts
        .iter()
        .filter_map(|s| script(s, &mut user, cx))
        .collect();
    let services = services::write(all, &mut user, cx);
    unused(all, cx);

    if !services.is_empty() {
        let interfaces = interfaces(all, cx);
        let mut datapath = Map::default();
        datapath.tall = true;
        datapath
            .put("interfaces", interfaces.names)
            .note(interfaces.note);
        document.put("datapath", datapath);
    }
    document.put_filled("vrrp_instances", routers.instances);
    document.put_filled("vrrp_sync_groups", routers.groups);
    document.put_filled("scripts", scripts);
    document.put_filled("services", services);
    if let Some((alerts, at)) = all.global.alerts(cx) {
        document.put("alerts", alerts).at(&at);
    }
    if let Some((ipvs, at)) = sync(all) {
        document.put("ipvs", ipvs).at(&at);
    }
    document
}

/// Says what was defined and is in no place of the document, because nothing uses it.
fn unused(all: &Everything, cx: &mut Cx<'_>) {
    let tracks = || {
        let of_instances = all.instances.iter().map(|i| &i.track);
        of_instances.chain(all.groups.iter().map(|g| &g.track))
    };
    let processes: HashSet<&str> = tracks()
        .flat_map(|t| &t.processes)
        .map(|t| t.name.as_str())
        .collect();
    let files: HashSet<&str> = tracks()
        .flat_map(|t| &t.files)
        .map(|t| t.name.as_str())
        .collect();
    let groups: HashSet<&str> = all
        .services
        .iter()
        .filter_map(|s| s.fronts.group())
        .collect();
    let mut tell = |at: &Place, what: &str, name: &str, used: &HashSet<&str>| {
        if !used.contains(name) {
            cx.warn(
                at,
                format!("nothing uses the {what} {}: left out", quote(name)),
            );
        }
    };
    for process in &all.processes {
        tell(&process.at, "process", &process.known_as, &processes);
    }
    for file in &all.files {
        tell(&file.at, "file", &file.known_as, &files);
    }
    for group in &all.virtual_groups {
        tell(&group.at, "group", &group.name, &groups);
    }
}

/// Whom scripts run as.
struct Users {
    /// `script_user`.
    default: Option<String>,
    /// The lack of one was told.
    told: bool,
}

impl Users {
    /// Writes `user`, which root is unless something was said.
    fn put(&mut self, map: &mut Map, own: Option<&String>, at: &Place, cx: &mut Cx<'_>) {
        if let Some(user) = own.or(self.default.as_ref()) {
            map.put("user", user.as_str());
            return;
        }
        if !std::mem::replace(&mut self.told, true) {
            cx.warn(
                at,
                "no user for scripts: `user: root` is written (keepalived takes keepalived_script if there is such a user, else root)",
            );
        }
        map.put("user", "root")
            .note("or one with fewer rights, if that does");
    }
}

fn script(script: &Script, users: &mut Users, cx: &mut Cx<'_>) -> Option<Entry> {
    if !script.usable() {
        let why = if script.command.is_none() {
            "there is nothing to run: "
        } else {
            ""
        };
        let name = quote(&script.known_as);
        cx.error(&script.at, format!("{why}the script {name} is left out"));
        return None;
    }
    let mut map = Map::default();
    map.tall = true;
    map.put("name", script.name.as_str());
    if let Some(command) = &script.command {
        let entry = map.put("command", command.node()).at(&command.at);
        if let Some(note) = &command.note {
            entry.note(note.as_str());
        }
    }
    let second = super::value::secs(1);
    let timeout = script.timeout.unwrap_or(script.interval);
    map.put_some(
        "interval",
        (script.interval != second).then(|| show(script.interval)),
    );
    map.put_some("timeout", (timeout != second).then(|| show(timeout)));
    map.put_some("rise", (script.rise != 1).then_some(script.rise));
    map.put_some("fall", (script.fall != 1).then_some(script.fall));
    if script.weight.reverse {
        cx.warn(
            &script.at,
            "`reverse` has no equal: the script has no weight",
        );
    } else if script.weight.value != 0 {
        map.put("weight", script.weight.value);
    }
    users.put(&mut map, script.user.as_ref(), &script.at, cx);
    Some(Entry::item_at(map, &script.at))
}

struct Interfaces {
    names: Vec<String>,
    note: &'static str,
}

/// Where clients' traffic arrives, which keepalived need not know.
fn interfaces(all: &Everything, cx: &mut Cx<'_>) -> Interfaces {
    if !cx.options.interfaces.is_empty() {
        let note = "as given to `ballast import`";
        return Interfaces {
            names: cx.options.interfaces.clone(),
            note,
        };
    }
    let mut names: Vec<String> = Vec::new();
    for instance in &all.instances {
        let devices = instance
            .addresses
            .iter()
            .filter_map(|a| a.interface.clone());
        for name in instance.interface.iter().cloned().chain(devices) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if !names.is_empty() {
        let note = "where clients' traffic arrives: the interfaces of the VRRP instances";
        return Interfaces { names, note };
    }
    if let Some(service) = all.services.first() {
        cx.warn(
            &service.at,
            "the file does not say at which interface clients' traffic arrives: eth0 is written (--interface)",
        );
    }
    Interfaces {
        names: vec!["eth0".to_owned()],
        note: "where clients' traffic arrives: a guess",
    }
}

fn sync(all: &Everything) -> Option<(Map, Place)> {
    let of_instance = || all.instances.iter().find_map(|i| i.sync.as_ref());
    let sync = all.global.sync.as_ref().or_else(of_instance)?;
    let ids: HashMap<&str, u8> = all
        .instances
        .iter()
        .filter_map(|i| Some((i.known_as.as_str(), i.id.as_ref()?.0)))
        .collect();
    let instance = sync
        .instance
        .as_ref()
        .and_then(|name| ids.get(name.as_str()).copied());
    let mut inner = Map::default();
    inner.put("interface", sync.interface.as_str());
    inner.put_some("id", sync.id.or(instance).filter(|id| *id != 0));
    let mut ipvs = Map::default();
    ipvs.put("sync", inner);
    Some((ipvs, sync.at.clone()))
}
