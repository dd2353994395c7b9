//! The `datapath` section.

use crate::{
    config::{
        limits,
        model::{Datapath, Engine, TunnelSource, XdpMode},
        tree::Value,
        validate::address,
        walk::{Cx, Fields, Item},
    },
    types::IfName,
};

/// Reads the section, which may be absent.
pub(super) fn read(cx: &mut Cx, root: &mut Fields<'_>) -> Datapath {
    let absent = Datapath {
        interfaces: Vec::new(),
        engine: Engine::Auto,
        xdp_mode: XdpMode::Auto,
        connection_table_size: 1 << 20,
        ring_memory: 256 << 20,
        hash_key: None,
        tunnel_source: None,
        manage_sysctls: false,
    };
    let defaults = absent.clone();
    root.or(cx, "datapath", absent, |item, cx| {
        section(item, cx, defaults)
    })
}

fn section(item: &Item<'_>, cx: &mut Cx, defaults: Datapath) -> Option<Datapath> {
    let mut fields = item.fields(cx)?;
    let datapath = Datapath {
        interfaces: interfaces(cx, &mut fields),
        engine: fields.or(cx, "engine", defaults.engine, Item::word),
        xdp_mode: fields.or(cx, "xdp_mode", defaults.xdp_mode, Item::word),
        connection_table_size: fields.or(
            cx,
            "connection_table_size",
            defaults.connection_table_size,
            |item, cx| item.number(cx, limits::CONNECTIONS_MIN..=limits::CONNECTIONS_MAX),
        ),
        ring_memory: fields.or(cx, "ring_memory", defaults.ring_memory, |item, cx| {
            item.size(cx, limits::RING_MEMORY_MIN..=limits::RING_MEMORY_MAX)
        }),
        hash_key: fields
            .maybe(cx, "hash_key", |item, cx| item.text(cx).map(str::to_owned))
            .filter(|key| !key.is_empty()),
        tunnel_source: fields.maybe(cx, "tunnel_source", tunnel_source),
        manage_sysctls: fields.or(cx, "manage_sysctls", defaults.manage_sysctls, Item::flag),
    };
    fields.close(cx);
    Some(datapath)
}

fn interfaces(cx: &mut Cx, fields: &mut Fields<'_>) -> Vec<IfName> {
    super::at_most(cx, fields, "interfaces", limits::INTERFACES);
    let mut seen: Vec<IfName> = Vec::new();
    fields.each(cx, "interfaces", "interface names", |item, cx| {
        let name: IfName = item.parsed(cx)?;
        if seen.contains(&name) {
            item.error(cx, format!("`{name}` is listed twice"));
        }
        seen.push(name.clone());
        Some(name)
    })
}

fn tunnel_source(item: &Item<'_>, cx: &mut Cx) -> Option<TunnelSource> {
    if !item.as_scalar().is_some_and(|text| text.contains('/')) {
        return address::unicast(item, cx).map(TunnelSource::Address);
    }
    let network = address::network(item, cx)?;
    if !address::check_unicast(item, cx, network.network()) {
        return None;
    }
    if network.prefix_len() == network.max_prefix_len() {
        return Some(TunnelSource::Address(network.addr()));
    }
    Some(TunnelSource::Prefix(network))
}

/// Reports that services need interfaces and have none.
pub(super) fn require_interfaces(cx: &mut Cx, root: &mut Fields<'_>) {
    const WHY: &str = "missing, services need the interfaces that client traffic arrives at";
    let datapath = root.get("datapath");
    let interfaces = datapath.as_ref().and_then(|item| match &item.node.value {
        Value::Map(entries) => entries.iter().find(|e| e.key == "interfaces"),
        _ => None,
    });
    match (interfaces.map(|e| (&e.node.value, e.node.at)), datapath) {
        (Some((Value::List(list), at)), _) if list.is_empty() => {
            cx.error(
                at,
                "datapath.interfaces",
                "empty, services need the interfaces that client traffic arrives at",
            );
        }
        (Some((Value::Null, _)) | None, Some(datapath)) => {
            cx.error(datapath.node.at, "datapath.interfaces", WHY);
        }
        (None, None) => {
            let at = root.get("services").map_or(root.at, |item| item.node.at);
            cx.error(at, "datapath.interfaces", WHY);
        }
        _ => {}
    }
}
