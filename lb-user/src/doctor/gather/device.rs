//! What interfaces are beyond rtnetlink.

use std::{collections::BTreeMap, fs, path::Path};

use super::{genetlink, read};
use crate::{
    agent,
    config::Config,
    doctor::{
        facts::{Device, Manager, Seen, Unseen, XdpProgram},
        judge::datapath::{link, named},
    },
    net::{self, Link, nexthop::Tables},
    types::{IfIndex, IfName},
};

/// The interfaces that the configuration names, those there are.
pub(super) fn devices(config: &Config, tables: &Tables) -> BTreeMap<IfName, Device> {
    let names = named(config).into_iter();
    let links = names.filter_map(|(name, _)| Some((link(tables, &name)?, name)));
    links
        .map(|(link, name)| (name, device(config, tables, link)))
        .collect()
}

fn device(config: &Config, tables: &Tables, link: &Link) -> Device {
    let name = link.name.as_str();
    Device {
        multicast: read(&format!("/sys/class/net/{name}/flags")).map(|flags| has_multicast(&flags)),
        driver: driver(name),
        offloads: genetlink::offloads(link.index),
        xdp_features: genetlink::xdp_features(link.index),
        xdp: xdp(&config.bpffs_dir, link.index),
        peer_xdp: peer_xdp(tables, link),
        rp_filter: rp_filter(name),
        manager: networkd(link.index).or_else(|| network_manager(link.index)),
    }
}

fn has_multicast(flags: &str) -> bool {
    let flags = flags
        .strip_prefix("0x")
        .map(|hex| u32::from_str_radix(hex, 16));
    flags.is_some_and(|flags| flags.is_ok_and(|flags| flags & MULTICAST != 0))
}

fn driver(name: &str) -> Option<String> {
    let driver = fs::read_link(format!("/sys/class/net/{name}/device/driver")).ok()?;
    Some(driver.file_name()?.to_string_lossy().into_owned())
}

fn xdp(bpffs: &Path, index: IfIndex) -> Seen<Option<XdpProgram>> {
    let attached = net::xdp_attachment(index).map_err(|error| {
        Unseen(format!(
            "the kernel does not say which XDP program runs: {error}"
        ))
    })?;
    Ok(attached.map(|attached| {
        let id = attached.program.map_or("?".to_owned(), |id| id.to_string());
        let called = attached.program.and_then(agent::program_name);
        let called = called.map_or(String::new(), |name| format!(", name {name}"));
        XdpProgram {
            place: attached.place,
            name: format!("a program with id {id}{called}"),
            ours: has_link(bpffs, index),
        }
    }))
}

/// Whether an agent pinned its link to the interface; while it is there, nobody else's can be attached.
fn has_link(bpffs: &Path, index: IfIndex) -> bool {
    let layouts = fs::read_dir(bpffs).into_iter().flatten().flatten();
    let mut links = layouts.map(|layout| layout.path().join(format!("link_{index}")));
    links.any(|link| link.exists())
}

/// On the other end of a veth, where that is in this namespace.
fn peer_xdp(tables: &Tables, link: &Link) -> Option<bool> {
    if link.kind.as_deref() != Some("veth") {
        return None;
    }
    let iflink = |name: &IfName| {
        read(&format!("/sys/class/net/{name}/iflink"))
            .ok()?
            .parse()
            .ok()
    };
    let peer = tables.links.get(&IfIndex::new(iflink(&link.name)?)?)?;
    // A number of another namespace may be one of ours, too: a peer points back.
    let points_back = peer.kind == link.kind && iflink(&peer.name) == Some(link.index.get());
    let attached = net::xdp_attachment(peer.index).ok()?;
    (points_back && peer.index != link.index).then_some(attached.is_some())
}

fn rp_filter(name: &str) -> Seen<u8> {
    let value = |scope: &str| {
        let text = read(&format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"))?;
        text.parse::<u8>()
            .map_err(|_| Unseen(format!("rp_filter of {scope} is no number")))
    };
    // The larger of the two is in force (ip-sysctl).
    Ok(value("all")?.max(value(name)?))
}

/// systemd-networkd's state of the interface (sd_network_link_get_setup_state).
fn networkd(index: IfIndex) -> Option<Manager> {
    let path = format!("/run/systemd/netif/links/{index}");
    let state = fs::read_to_string(&path).ok()?;
    let value = |key: &str| {
        state
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    if !matches!(
        value("ADMIN_STATE")?,
        "configured" | "configuring" | "pending"
    ) {
        return None;
    }
    let file = value("NETWORK_FILE")?;
    let keeps = fs::read_to_string(file).is_ok_and(|text| keeps_addresses(&text));
    (!keeps).then(|| Manager {
        name: "systemd-networkd",
        evidence: format!("{path} names {file}, which has no `KeepConfiguration=yes`"),
    })
}

fn keeps_addresses(network: &str) -> bool {
    let mut lines = network
        .lines()
        .filter_map(|line| line.trim().strip_prefix("KeepConfiguration"));
    lines.any(|rest| {
        let value = rest.trim_start().strip_prefix('=').map(str::trim);
        matches!(value, Some("yes" | "true" | "on" | "1" | "static"))
    })
}

/// NetworkManager's state of the device.
fn network_manager(index: IfIndex) -> Option<Manager> {
    let path = format!("/run/NetworkManager/devices/{index}");
    let state = fs::read_to_string(&path).ok()?;
    let managed = state
        .lines()
        .any(|line| matches!(line.trim(), "managed=true" | "managed=1"));
    managed.then(|| Manager {
        name: "NetworkManager",
        evidence: format!("{path} says managed=true"),
    })
}

/// `IFF_MULTICAST`
const MULTICAST: u32 = 0x1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_sysfs_are_read() {
        assert!(has_multicast("0x1003"));
        assert!(!has_multicast("0x9"));
        assert!(!has_multicast("what"));
    }

    #[test]
    fn networkd_keeps_addresses_where_it_is_told_to() {
        assert!(keeps_addresses("[Network]\nKeepConfiguration = static\n"));
        assert!(keeps_addresses("[Network]\nKeepConfiguration=yes\n"));
        assert!(!keeps_addresses(
            "[Network]\nKeepConfiguration=no\nDHCP=yes\n"
        ));
        assert!(!keeps_addresses("[Network]\nDHCP=yes\n"));
    }
}
