//! Where the network meets the data plane: what `net` saw, in `dataplane`'s words.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    config::Config,
    dataplane::{
        compose::{self, Hop},
        image::Front,
    },
    net::{Link, NetView, NextHop, Unresolved},
    types::{IfIndex, IfName, Mac},
};

/// An interface that XDP goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: IfIndex,
    pub(super) name: IfName,
    pub(super) mac: Mac,
}

/// A configured interface cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum InterfaceError {
    /// There is none of that name.
    #[error("there is no interface `{0}` (`datapath.interfaces`); `ip link` lists those there are")]
    Missing(IfName),
    /// It carries no Ethernet.
    #[error("interface `{0}` has no Ethernet address; XDP needs an Ethernet interface")]
    NotEthernet(IfName),
}

/// The configured interfaces as the kernel has them.
pub(super) fn interfaces(
    config: &Config,
    view: &NetView,
) -> Result<Vec<Interface>, InterfaceError> {
    config
        .datapath
        .interfaces
        .iter()
        .map(|name| interface(view, name))
        .collect()
}

fn interface(view: &NetView, name: &IfName) -> Result<Interface, InterfaceError> {
    let link: &Link = view
        .links
        .values()
        .find(|link| link.name == *name)
        .ok_or_else(|| InterfaceError::Missing(name.clone()))?;
    let mac = link
        .mac
        .ok_or_else(|| InterfaceError::NotEthernet(name.clone()))?;
    Ok(Interface {
        index: link.index,
        name: name.clone(),
        mac,
    })
}

/// Whether every one of `wanted` has been looked up to an end, good or bad.
pub(super) fn all_looked_up(view: &NetView, wanted: &BTreeSet<IpAddr>) -> bool {
    wanted
        .iter()
        .all(|address| match view.next_hops.get(address) {
            None => false,
            Some(hop) => !is_open(hop),
        })
}

/// The front table for these interfaces.
pub(super) fn front(view: &NetView, interfaces: &[Interface], peers: &BTreeSet<IpAddr>) -> Front {
    Front {
        interfaces: interfaces.iter().map(|i| (i.index, i.mac)).collect(),
        own_addresses: view.own_addresses.clone(),
        peers: peer_macs(view, peers),
    }
}

/// The stations of the other balancers: only where they are on the link, and never a station that
/// packets of ours go through, the default route's among them ([`ANYWHERE`]): it may be a client's way
/// to us as well.
fn peer_macs(view: &NetView, peers: &BTreeSet<IpAddr>) -> BTreeSet<Mac> {
    let routers: BTreeSet<IpAddr> = view
        .next_hops
        .values()
        .filter_map(|hop| match hop {
            NextHop::Resolved { via, .. } => *via,
            NextHop::Local | NextHop::Unresolved { .. } => None,
        })
        .collect();
    peers
        .iter()
        .filter(|peer| !routers.contains(peer))
        .filter_map(|peer| match view.next_hops.get(peer)? {
            NextHop::Resolved { mac, via: None, .. } => Some(*mac),
            _ => None,
        })
        .collect()
}

/// Addresses of nobody (RFC 5737, RFC 3849): the way there is the default route.
pub(super) const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 113)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x71)),
];

/// The ways to all backends.
pub(super) fn hops(view: &NetView) -> BTreeMap<IpAddr, Hop> {
    let parents: BTreeSet<IfIndex> = view
        .links
        .values()
        .filter_map(|link| link.vlan.as_ref()?.parent)
        .collect();
    view.next_hops
        .iter()
        .filter(|(_, hop)| !is_open(hop))
        .map(|(address, hop)| (*address, convert(hop, &parents)))
        .collect()
}

/// Whether the question for a next hop is still open: whatever was known before goes on.
fn is_open(hop: &NextHop) -> bool {
    matches!(
        hop,
        NextHop::Unresolved {
            reason: Unresolved::Pending | Unresolved::NeighbourIncomplete { .. }
        }
    )
}

fn convert(hop: &NextHop, vlan_parents: &BTreeSet<IfIndex>) -> Hop {
    match hop {
        NextHop::Local => Hop::Local,
        NextHop::Unresolved { .. } => Hop::Unresolved,
        NextHop::Resolved {
            mac,
            source_mac,
            interface,
            vlans,
            mtu,
            source,
            via: _,
        } => {
            // A host without VLAN sub-interfaces knows nothing of tags: frames keep theirs.
            let knows_tags = vlan_parents.contains(interface);
            Hop::To(compose::NextHop {
                mac: *mac,
                source_mac: *source_mac,
                interface: *interface,
                vlans: knows_tags.then(|| vlans.clone()),
                mtu: *mtu,
                source: *source,
            })
        }
    }
}

#[cfg(test)]
mod tests;
