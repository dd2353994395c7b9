//! Pure: from the kernel's tables to the next hop of an address.

use std::{collections::HashMap, fmt, net::IpAddr};

use super::{
    fold::{Addresses, Links},
    link::Link,
    neighbour::{Neighbour, NeighbourKey, NeighbourState},
    route::RouteAnswer,
};
use crate::types::{IfIndex, IfName, Mac};

#[cfg(test)]
mod tests;

/// Where a frame for an address goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// Out, to this station.
    Resolved {
        /// Destination of the frame.
        mac: Mac,
        /// Source of the frame: the address of the interface the route names.
        source_mac: Mac,
        /// The interface that puts it on the wire, below any VLAN sub-interface.
        interface: IfIndex,
        /// VLAN identifiers, outermost first, at most [`MAX_VLAN_TAGS`]. One tag is 802.1Q's; of
        /// two the outer one is 802.1ad's.
        vlans: Vec<u16>,
        /// Largest IP packet that fits, in bytes.
        mtu: u32,
        /// The address the kernel would send from; `None` if this host has none of that family.
        source: Option<IpAddr>,
        /// The router on the way; `None`: the address itself is on the link.
        via: Option<IpAddr>,
    },
    /// It is an address of our own.
    Local,
    /// Nowhere.
    Unresolved {
        /// Why.
        reason: Unresolved,
    },
}

/// Why an address has no next hop, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Not looked up yet.
    Pending,
    /// No route matches.
    NoRoute {
        /// The address.
        to: IpAddr,
    },
    /// A blackhole, unreachable or prohibit route matches.
    Blackhole {
        /// The address.
        to: IpAddr,
        /// The type of the route, as `ip route` spells it.
        route: &'static str,
    },
    /// A broadcast, multicast or anycast address.
    NotUnicast {
        /// The address.
        to: IpAddr,
    },
    /// The neighbour has not answered yet.
    NeighbourIncomplete {
        /// Its address: the one looked up, or the router on the way.
        neighbour: IpAddr,
        /// The link it should be on.
        interface: IfName,
    },
    /// The neighbour did not answer.
    NeighbourFailed {
        /// Its address: the one looked up, or the router on the way.
        neighbour: IpAddr,
        /// The link it should be on.
        interface: IfName,
    },
    /// The interface is down, or one below it.
    LinkDown {
        /// The one that is down.
        interface: IfName,
    },
    /// The route names an interface that is not in this network namespace (any more).
    InterfaceUnknown {
        /// Its number.
        interface: IfIndex,
    },
    /// The interface carries no Ethernet frames.
    NotEthernet {
        /// Which.
        interface: IfName,
    },
    /// More VLAN tags, or of another kind, than the data plane writes.
    VlanStack {
        /// The sub-interface.
        interface: IfName,
    },
}

/// What the kernel said, as last heard.
#[derive(Debug, Default)]
pub struct Tables {
    /// Every interface.
    pub links: Links,
    /// Every address of ours.
    pub addresses: Addresses,
    /// The answer for each address asked for.
    pub routes: HashMap<IpAddr, RouteAnswer>,
    /// Every neighbour entry.
    pub neighbours: HashMap<NeighbourKey, Neighbour>,
}

impl Tables {
    /// Where a frame for `to` goes.
    #[must_use]
    pub fn next_hop(&self, to: IpAddr) -> NextHop {
        if self.is_own(to) {
            return NextHop::Local;
        }
        let unresolved = |reason| NextHop::Unresolved { reason };
        match self.routes.get(&to) {
            None => unresolved(Unresolved::Pending),
            Some(RouteAnswer::Local) => NextHop::Local,
            Some(RouteAnswer::NoRoute) => unresolved(self.why_no_route(to)),
            Some(RouteAnswer::Blackhole) => unresolved(blocked(to, "blackhole")),
            Some(RouteAnswer::Unreachable) => unresolved(blocked(to, "unreachable")),
            Some(RouteAnswer::Prohibited) => unresolved(blocked(to, "prohibit")),
            Some(RouteAnswer::NotUnicast) => unresolved(Unresolved::NotUnicast { to }),
            Some(RouteAnswer::Unicast {
                gateway,
                interface,
                source,
                mtu,
            }) => {
                let neighbour = NeighbourKey {
                    interface: *interface,
                    address: gateway.unwrap_or(to),
                };
                let source = source.or_else(|| self.any_source(*interface, to));
                self.by_neighbour(neighbour, *gateway, source, *mtu)
                    .unwrap_or_else(unresolved)
            }
        }
    }

    /// The neighbour whose entry decides over `to`, if it is reached by one.
    #[must_use]
    pub fn neighbour_of(&self, to: IpAddr) -> Option<NeighbourKey> {
        match self.routes.get(&to) {
            Some(RouteAnswer::Unicast {
                gateway, interface, ..
            }) if !self.is_own(to) => Some(NeighbourKey {
                interface: *interface,
                address: gateway.unwrap_or(to),
            }),
            _ => None,
        }
    }

    /// The interface to ask a neighbour on and our Ethernet address there; `None` where asking is
    /// pointless (down, no Ethernet, no resolution) or the answer is fixed.
    #[must_use]
    pub fn askable(&self, key: NeighbourKey) -> Option<Mac> {
        let link = self.links.get(&key.interface)?;
        let fixed = self.neighbours.get(&key).is_some_and(Neighbour::is_fixed);
        link.mac.filter(|_| link.up && link.resolves && !fixed)
    }

    /// The address to ask a neighbour from: one of the interface's own in the neighbour's network,
    /// where there is one. What looks like a virtual address comes last: asking from one teaches
    /// the neighbour our Ethernet address for it.
    #[must_use]
    pub fn asking_source(&self, key: NeighbourKey) -> Option<IpAddr> {
        self.addresses
            .values()
            .filter(|own| own.interface == key.interface)
            .filter(|own| own.address.is_ipv4() == key.address.is_ipv4())
            .min_by_key(|own| {
                let host = own.prefix == if own.address.is_ipv4() { 32 } else { 128 };
                (!own.covers(key.address), host, own.secondary, own.unchecked)
            })
            .map(|own| own.address)
    }

    /// Whether an address is on one of our interfaces.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        let any = |index| IfIndex::new(index).expect("neither end of the range is 0");
        self.addresses
            .range((address, any(1), 0)..=(address, any(u32::MAX), u8::MAX))
            .next()
            .is_some()
    }

    fn by_neighbour(
        &self,
        key: NeighbourKey,
        via: Option<IpAddr>,
        source: Option<IpAddr>,
        route_mtu: Option<u32>,
    ) -> Result<NextHop, Unresolved> {
        let link = self.link(key.interface)?;
        let (interface, vlans) = self.wire(link)?;
        let source_mac = link.mac.ok_or_else(|| Unresolved::NotEthernet {
            interface: link.name.clone(),
        })?;
        let neighbour = self.neighbours.get(&key);
        let mac = neighbour
            .and_then(Neighbour::usable_mac)
            .ok_or_else(|| unanswered(neighbour, key.address, &link.name))?;
        Ok(NextHop::Resolved {
            mac,
            source_mac,
            interface,
            vlans,
            mtu: route_mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu)),
            source,
            via,
        })
    }

    /// The interface on the wire below a link, and the tags in between, outermost first.
    fn wire(&self, link: &Link) -> Result<(IfIndex, Vec<u16>), Unresolved> {
        let mut tags = Vec::new();
        let mut at = link;
        loop {
            if !at.up {
                return Err(Unresolved::LinkDown {
                    interface: at.name.clone(),
                });
            }
            let Some(vlan) = at.vlan else { break };
            // Met from the inside out: only the outer one of two is a service tag.
            if tags.len() == MAX_VLAN_TAGS {
                return Err(stack(link));
            }
            tags.push(vlan);
            let parent = vlan.parent.ok_or_else(|| stack(link))?;
            at = self.link(parent)?;
        }
        tags.reverse();
        let services: Vec<bool> = tags.iter().map(|tag| tag.service).collect();
        match services.as_slice() {
            [] | [false] | [true, false] => Ok((at.index, tags.iter().map(|tag| tag.id).collect())),
            _ => Err(stack(link)),
        }
    }

    fn link(&self, interface: IfIndex) -> Result<&Link, Unresolved> {
        self.links
            .get(&interface)
            .ok_or(Unresolved::InterfaceUnknown { interface })
    }

    fn any_source(&self, interface: IfIndex, to: IpAddr) -> Option<IpAddr> {
        self.addresses
            .values()
            .find(|own| own.interface == interface && own.address.is_ipv4() == to.is_ipv4())
            .map(|own| own.address)
    }

    /// The kernel takes the routes of an interface away with it; say what the operator would.
    fn why_no_route(&self, to: IpAddr) -> Unresolved {
        self.addresses
            .values()
            .filter(|own| own.covers(to))
            .filter_map(|own| self.links.get(&own.interface))
            .find(|link| !link.up)
            .map_or(Unresolved::NoRoute { to }, |link| Unresolved::LinkDown {
                interface: link.name.clone(),
            })
    }
}

fn blocked(to: IpAddr, route: &'static str) -> Unresolved {
    Unresolved::Blackhole { to, route }
}

fn stack(link: &Link) -> Unresolved {
    Unresolved::VlanStack {
        interface: link.name.clone(),
    }
}

fn unanswered(entry: Option<&Neighbour>, neighbour: IpAddr, interface: &IfName) -> Unresolved {
    let interface = interface.clone();
    if entry.is_some_and(|entry| entry.state == NeighbourState::Failed) {
        Unresolved::NeighbourFailed {
            neighbour,
            interface,
        }
    } else {
        Unresolved::NeighbourIncomplete {
            neighbour,
            interface,
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolved {
                mac,
                interface,
                vlans,
                mtu,
                ..
            } => {
                write!(f, "{mac} by interface number {interface}")?;
                for vlan in vlans {
                    write!(f, " vlan {vlan}")?;
                }
                write!(f, ", mtu {mtu}")
            }
            Self::Local => f.write_str("this host"),
            Self::Unresolved { reason } => reason.fmt(f),
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("not looked up yet"),
            Self::NoRoute { to } => write!(
                f,
                "no route to {to}: give an interface an address in its network, or add a route"
            ),
            Self::Blackhole { to, route } => write!(
                f,
                "the route to {to} is of type {route}: `ip route get {to}` shows it"
            ),
            Self::NotUnicast { to } => {
                write!(f, "{to} is no address of a single host: correct it")
            }
            Self::NeighbourIncomplete {
                neighbour,
                interface,
            } => write!(
                f,
                "{neighbour} has not answered ARP or neighbour discovery on {interface} yet"
            ),
            Self::NeighbourFailed {
                neighbour,
                interface,
            } => write!(
                f,
                "{neighbour} does not answer ARP or neighbour discovery on {interface}: is it up, \
                 and on that network?"
            ),
            Self::LinkDown { interface } => write!(
                f,
                "interface {interface} is down: set it up (`ip link set {interface} up`) or check \
                 its cable"
            ),
            Self::InterfaceUnknown { interface } => write!(
                f,
                "interface number {interface} is not in this network namespace: route to an \
                 interface that is"
            ),
            Self::NotEthernet { interface } => write!(
                f,
                "interface {interface} carries no Ethernet frames: route to the backend by one \
                 that does"
            ),
            Self::VlanStack { interface } => write!(
                f,
                "interface {interface} has VLAN tags that cannot be written: one 802.1Q tag, or \
                 802.1Q inside 802.1ad, on an interface of this network namespace"
            ),
        }
    }
}

/// What the data plane can push.
pub const MAX_VLAN_TAGS: usize = 2;
