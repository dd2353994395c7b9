//! The interfaces.

use std::collections::BTreeSet;

use super::uses_ipvs;
use crate::{
    config::{Config, model::XdpMode},
    doctor::{
        check::Judgement,
        facts::{Device, Facts},
    },
    net::{Link, XdpPlace, nexthop::Tables, route::RouteAnswer},
    types::IfName,
};

pub(in crate::doctor) fn interface_missing(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if let Some(tables) = judgement.need(&facts.network) {
        for (name, why) in named(config) {
            if link(tables, &name).is_none() {
                judgement.found(format!("there is no `{name}` ({why})"));
            }
        }
    }
    judgement
}

pub(in crate::doctor) fn interface_down(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if let Some(tables) = judgement.need(&facts.network) {
        for (name, why) in named(config) {
            if link(tables, &name).is_some_and(|link| !link.up) {
                judgement.found(format!("`{name}` is down or has no carrier ({why})"));
            }
        }
    }
    judgement
}

pub(in crate::doctor) fn not_ethernet(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    for name in &config.datapath.interfaces {
        if link(tables, name).is_some_and(|link| link.mac.is_none()) {
            judgement.found(format!("`{name}` has no Ethernet address"));
        }
    }
    judgement
}

pub(in crate::doctor) fn foreign_xdp(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    for (name, device) in devices(&mut judgement, config, facts) {
        if let Some(Some(program)) = judgement.need(&device.xdp)
            && !program.ours
        {
            judgement.found(format!("`{name}` runs {}", program.name));
        }
    }
    judgement
}

pub(in crate::doctor) fn native_xdp(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if config.datapath.xdp_mode == XdpMode::Generic {
        return judgement; // As asked for.
    }
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    for (name, device) in devices(&mut judgement, config, facts) {
        let Some(link) = link(tables, name) else {
            continue;
        };
        let generic = device.xdp.as_ref().is_ok_and(|program| {
            let program = program.as_ref();
            program.is_some_and(|program| program.ours && program.place == XdpPlace::Generic)
        });
        match (why_not_native(link, device), generic) {
            (Native::No(why), false) => judgement.found(format!("`{name}`: {why}")),
            (Native::No(why), true) => {
                judgement.found(format!("`{name}` runs in generic mode: {why}"));
            }
            (_, true) => judgement.found(format!(
                "`{name}` runs in generic mode; the agent's log says why"
            )),
            (Native::Yes, false) => {}
            (Native::Unknown(why), false) => judgement.unknown(format!("`{name}`: {why}")),
        }
    }
    judgement
}

enum Native {
    Yes,
    No(String),
    Unknown(String),
}

fn why_not_native(link: &Link, device: &Device) -> Native {
    let kind = link.kind.as_deref().unwrap_or_default();
    if link.mac.is_none() {
        return Native::No("it carries no Ethernet frames".to_owned());
    }
    if NEVER_NATIVE.contains(&kind) {
        return Native::No(format!("a {kind} has no native XDP"));
    }
    if SMALL_FRAMES.contains(&kind) || device.driver.as_deref() == Some("virtio_net") {
        if link.mtu > LARGEST_MTU {
            let mtu = link.mtu;
            return Native::No(format!(
                "an MTU of {mtu} is too large, at most {LARGEST_MTU}"
            ));
        }
        if device.peer_xdp == Some(false) {
            return Native::No(
                "the other end of the veth runs no XDP program: what XDP sends there is lost \
                 (attach one that passes everything)"
                    .to_owned(),
            );
        }
    }
    match (
        &device.xdp_features,
        device.driver.as_deref().unwrap_or(kind),
    ) {
        (Ok(features), _) if features & BASIC != 0 => Native::Yes,
        (Ok(_), "") => Native::No("its driver has no native XDP".to_owned()),
        (Ok(_), driver) => Native::No(format!("its driver ({driver}) has no native XDP")),
        (Err(_), driver) if WITH_XDP.contains(&driver) => Native::Yes,
        (Err(why), _) => Native::Unknown(why.to_string()),
    }
}

pub(in crate::doctor) fn receive_offloads(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    for (name, device) in devices(&mut judgement, config, facts) {
        let Some(offloads) = judgement.need(&device.offloads) else {
            continue;
        };
        for (on, what) in [
            (offloads.lro, "large-receive-offload"),
            (offloads.gro_hw, "rx-gro-hw"),
        ] {
            if on {
                judgement.found(format!("`{name}` has {what} on"));
            }
        }
    }
    judgement
}

pub(in crate::doctor) fn veth_checksum(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Ok(tables) = &facts.network else {
        judgement.need(&facts.network);
        return judgement;
    };
    for (name, device) in devices(&mut judgement, config, facts) {
        let veth = |link: &Link| link.kind.as_deref() == Some("veth");
        if link(tables, name).is_some_and(veth)
            && let Some(offloads) = judgement.need(&device.offloads)
            && offloads.tx_checksum
        {
            judgement.found(format!("`{name}` has tx-checksumming on"));
        }
    }
    judgement
}

pub(in crate::doctor) fn rp_filter(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if !uses_ipvs(config) {
        return judgement; // XDP comes before it.
    }
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    for (name, device) in devices(&mut judgement, config, facts) {
        let Some(index) = link(tables, name).map(|link| link.index) else {
            continue;
        };
        if judgement.need(&device.rp_filter) != Some(&STRICT) {
            continue;
        }
        let elsewhere = config.services.iter().flat_map(|s| &s.backends).find(|b| {
            let way = tables.routes.get(&b.address);
            matches!(way, Some(RouteAnswer::Unicast { interface, .. }) if *interface != index)
        });
        if let Some(backend) = elsewhere {
            judgement.found(format!(
                "`{name}` has rp_filter 1, and the way to {} is by another interface",
                backend.address
            ));
        }
    }
    judgement
}

pub(in crate::doctor) fn interface_managed(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.need(&facts.network);
    let holding: BTreeSet<&IfName> = config
        .vrrp_instances
        .iter()
        .flat_map(|i| {
            let own = &i.interface;
            let addresses = i.virtual_addresses.iter();
            addresses.map(move |a| a.interface.as_ref().unwrap_or(own))
        })
        .collect();
    for name in holding {
        if let Some(manager) = facts.devices.get(name).and_then(|d| d.manager.as_ref()) {
            judgement.found(format!(
                "`{name}` is configured by {} ({})",
                manager.name, manager.evidence
            ));
        }
    }
    judgement
}

/// Every interface that the configuration names, once, and what for.
pub(in crate::doctor) fn named(config: &Config) -> Vec<(IfName, String)> {
    let mut seen = BTreeSet::new();
    let mut named = Vec::new();
    let mut add = |name: &IfName, why: String| {
        if seen.insert(name.clone()) {
            named.push((name.clone(), why));
        }
    };
    for name in &config.datapath.interfaces {
        add(name, "`datapath.interfaces`".to_owned());
    }
    for instance in &config.vrrp_instances {
        let why = format!("instance `{}`", instance.name);
        add(&instance.interface, why.clone());
        for address in &instance.virtual_addresses {
            if let Some(name) = &address.interface {
                add(name, why.clone());
            }
        }
        for route in &instance.virtual_routes {
            if let Some(name) = &route.interface {
                add(name, why.clone());
            }
        }
        for tracked in &instance.track.interfaces {
            add(&tracked.name, why.clone());
        }
    }
    named
}

/// The interface of a name.
pub(in crate::doctor) fn link<'t>(tables: &'t Tables, name: &IfName) -> Option<&'t Link> {
    tables.links.values().find(|link| link.name == *name)
}

/// Those of `datapath.interfaces` that are there.
fn devices<'f>(
    judgement: &mut Judgement,
    config: &'f Config,
    facts: &'f Facts,
) -> Vec<(&'f IfName, &'f Device)> {
    judgement.need(&facts.network);
    let names = config.datapath.interfaces.iter();
    names
        .filter_map(|name| Some((name, facts.devices.get(name)?)))
        .collect()
}

/// Kinds of links whose frames never meet a driver of their own.
const NEVER_NATIVE: &[&str] = &[
    "bridge",
    "macvlan",
    "macvtap",
    "ipvlan",
    "dummy",
    "ifb",
    "vlan",
    "vxlan",
    "geneve",
    "gretap",
    "ip6gretap",
    "team",
    "vrf",
    "macsec",
    "bareudp",
    "nlmon",
];
/// Kinds that keep a frame within a page.
const SMALL_FRAMES: &[&str] = &["veth"];
/// A page, less head room, tail room and headers.
const LARGEST_MTU: u32 = 3506;
/// `NETDEV_XDP_ACT_BASIC` (include/uapi/linux/netdev.h).
const BASIC: u64 = 1;
/// `rp_filter`: only by the interface that the way back would take (RFC 3704).
const STRICT: u8 = 1;
/// Drivers that have XDP in 6.1, for kernels that cannot be asked.
const WITH_XDP: &[&str] = &[
    "atlantic",
    "bnxt_en",
    "ena",
    "fec",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "gve",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_core",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "netsec",
    "nfp",
    "octeontx2",
    "qede",
    "rvu_nicpf",
    "sfc",
    "stmmac",
    "thunder-nicvf",
    "tun",
    "veth",
    "virtio_net",
    "xen_netfront",
];
