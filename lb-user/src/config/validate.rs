//! The tree to the [`Config`], or everything that is wrong with it.
//!
//! One file per section. Each reads its mapping key by key, in the order of the documentation, and then looks at what the values
//! say together. What concerns several sections (names, addresses) is here.

mod address;
mod backends;
mod datapath;
mod extras;
mod health;
mod names;
mod scripts;
mod services;
#[cfg(test)]
mod tests;
mod track;
mod virtuals;
mod vrrp;

use std::{collections::HashSet, net::IpAddr, path::PathBuf, time::Duration};

use self::names::Names;
use super::{
    Pos,
    model::{Alerts, Config, Engine},
    tree::{Node, Value},
    walk::{Cx, Fields, Item},
};

/// The meaning of a document. `None` only after an error; after an error, what is returned is to be thrown away.
pub(super) fn config(cx: &mut Cx, tree: &Node) -> Option<Config> {
    if empty(tree) {
        cx.error(
            Pos::START,
            "",
            "the file is empty, expected at least `services` or `vrrp_instances`",
        );
        return None;
    }
    let mut fields = Item::root(tree).fields(cx)?;
    let names = Names::collect(cx, tree);

    let router_id = fields.maybe(cx, "router_id", |item, cx| {
        item.some_text(cx).map(str::to_owned)
    });
    let runtime_dir = fields.or(
        cx,
        "runtime_dir",
        PathBuf::from("/run/ballast"),
        Item::absolute_path,
    );
    let bpffs_dir = fields.or(
        cx,
        "bpffs_dir",
        PathBuf::from("/sys/fs/bpf/ballast"),
        Item::absolute_path,
    );
    let datapath = datapath::read(cx, &mut fields);
    let scripts = scripts::read(cx, &mut fields);
    let vrrp_instances = vrrp::instances(cx, &mut fields, &names, &scripts);
    let vrrp_sync_groups = vrrp::sync_groups(cx, &mut fields, &names);
    let services = services::read(cx, &mut fields);
    let alerts = fields.or(cx, "alerts", Alerts::default(), |item, cx| {
        extras::alerts(item, cx)
    });
    let ipvs_sync = fields
        .maybe(cx, "ipvs", |item, cx| extras::ipvs(item, cx))
        .flatten();
    let observability = fields.maybe(cx, "observability", |item, cx| {
        extras::observability(item, cx)
    });

    if names.services() > 0 {
        datapath::require_interfaces(cx, &mut fields);
    }
    if datapath.engine == Engine::Xdp {
        refuse_nat(cx, tree);
    }
    let owned: HashSet<IpAddr> = vrrp_instances
        .iter()
        .flat_map(|i| &i.virtual_addresses)
        .map(|v| v.vip.addr())
        .collect();
    // Without instances somebody else owns the addresses; with a broken one nobody knows.
    if names.instances() > 0 && !cx.has_errors() {
        unowned(cx, tree, &owned);
    }
    fields.close(cx);
    if names.services() == 0 && names.instances() == 0 && !cx.has_errors() {
        cx.error(
            tree.at,
            "",
            "nothing to do, expected at least one of `services` or `vrrp_instances`",
        );
    }
    Some(Config {
        router_id,
        runtime_dir,
        bpffs_dir,
        datapath,
        vrrp_instances,
        vrrp_sync_groups,
        scripts,
        services,
        alerts,
        ipvs_sync,
        observability,
    })
}

fn empty(tree: &Node) -> bool {
    match &tree.value {
        Value::Null => true,
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Warns of services whose address no instance brings up.
fn unowned(cx: &mut Cx, tree: &Node, owned: &HashSet<IpAddr>) {
    for item in items(tree, "services") {
        let Value::Map(entries) = &item.node.value else {
            continue;
        };
        let Some(entry) = entries.iter().find(|e| e.key == "address") else {
            continue;
        };
        let Value::Scalar { text, .. } = &entry.node.value else {
            continue;
        };
        if text
            .parse()
            .is_ok_and(|address: IpAddr| !owned.contains(&address))
        {
            let path = format!("{}.address", item.path);
            cx.warn(
                entry.node.at,
                &path,
                format!("{text} is no instance's virtual address, nobody brings it up"),
            );
        }
    }
}

/// XDP alone forwards no NAT.
fn refuse_nat(cx: &mut Cx, tree: &Node) {
    for item in items(tree, "services") {
        let forwarding = item.child_or_self("forwarding");
        if forwarding.as_scalar() == Some("nat") {
            forwarding.error(
                cx,
                "nat goes through IPVS, which `datapath.engine: xdp` rules out, expected `engine: auto` or `ipvs`",
            );
        }
    }
}

/// The items of a top-level list, without a word about what is wrong with it.
fn items<'a>(tree: &'a Node, key: &str) -> Vec<Item<'a>> {
    let Value::Map(entries) = &tree.value else {
        return Vec::new();
    };
    let Some(entry) = entries.iter().find(|e| e.key == key) else {
        return Vec::new();
    };
    let Value::List(nodes) = &entry.node.value else {
        return Vec::new();
    };
    nodes
        .iter()
        .enumerate()
        .map(|(i, node)| Item {
            node,
            path: format!("{key}[{i}]"),
        })
        .collect()
}

/// Milliseconds.
const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Seconds.
const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Reports a list that is longer than allowed.
fn at_most(cx: &mut Cx, fields: &mut Fields<'_>, key: &'static str, limit: usize) {
    if let Some(item) = fields.get(key)
        && let Value::List(nodes) = &item.node.value
        && nodes.len() > limit
    {
        item.error(
            cx,
            format!("{} items, at most {limit} are allowed", nodes.len()),
        );
    }
}

/// The longest time that flows are remembered or a move is looked after.
const WEEK: Duration = secs(7 * 24 * 3600);
