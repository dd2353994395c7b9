//! What a master holds: its addresses, as far as Ballast can.

use std::net::{IpAddr, Ipv4Addr};

use super::Taken;
use crate::import::{
    convert::{Cx, Everything, Method, address::Address, instance::Instance},
    yaml::{Map, Node},
};

/// Writes `virtual_addresses`.
pub(super) fn addresses(
    i: &Instance,
    v6: bool,
    interface: &str,
    all: &Everything,
    taken: &mut Taken,
    map: &mut Map,
    cx: &mut Cx<'_>,
) {
    let mut entries = Vec::new();
    let excluded = i
        .excluded
        .iter()
        .filter(|e| !i.addresses.iter().any(|a| a.address == e.address));
    for (address, is_excluded) in i
        .addresses
        .iter()
        .map(|a| (a, false))
        .chain(excluded.map(|a| (a, true)))
    {
        if address.address.is_ipv6() != v6 {
            let (at, family) = (&address.at, if v6 { "IPv4" } else { "IPv6" });
            cx.error(
                at,
                format!(
                    "{} is left out: give it to an instance for {family} of its own",
                    address.address
                ),
            );
            continue;
        }
        if let Some(line) = taken.addresses.get(&address.address) {
            cx.error(
                &address.at,
                format!(
                    "{} is a virtual address already, in line {line}: left out",
                    address.address
                ),
            );
            continue;
        }
        taken.addresses.insert(address.address, address.at.line);
        if is_excluded {
            cx.warn(
                &address.at,
                format!("{}: Ballast excludes no address from its adverts, and keepalived compares them: list it in `virtual_ipaddress` on all routers", address.address),
            );
        }
        outside(address, all, cx);
        entries.push(address.entry(interface));
    }
    if entries.is_empty() && !i.no_address {
        cx.warn(&i.at, "no virtual address: only `notify` happens");
    }
    map.put("virtual_addresses", Node::List(entries));
}

/// Direct routing needs the real servers on a network of the interface. An address that is given without its network and is on no
/// network of theirs is one that a router has to send here.
fn outside(address: &Address, all: &Everything, cx: &mut Cx<'_>) {
    let IpAddr::V4(ours) = address.address else {
        return;
    };
    let direct = all
        .services
        .iter()
        .filter(|s| s.method == Some(Method::DirectRouting));
    let near: Vec<IpAddr> = direct
        .flat_map(|s| &s.backends)
        .map(|b| b.address)
        .filter(IpAddr::is_ipv4)
        .collect();
    let network = |ip: Ipv4Addr| u32::from(ip) >> 8;
    let same = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if network(*ip) == network(ours));
    if let Some(example) = near
        .first()
        .filter(|_| address.prefix.is_none() && !near.iter().any(same))
    {
        cx.warn(
            &address.at,
            format!("{ours} seems to be outside of the interface's networks, where the real servers are (like {example}): clients need a route to it"),
        );
    }
}
