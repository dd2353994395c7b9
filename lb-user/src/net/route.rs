//! The way to an address (`ip route get`), and routes of our own.
//!
//! Ours stand beside the host's. Where another program's IPv4 route leads to the same destination with
//! the same metric, ours goes before it, and the other is in force again once ours is removed. IPv6
//! would spread traffic over both, so there a route of ours has a metric that nobody else takes
//! ([`Route::virtual_to`]), and a clash is an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteProtocol,
        RouteScope, RouteType, RouteVia,
    },
};
use nix::errno::Errno;

use super::{Net, PROTOCOL, RequestError, address::family};
use crate::types::IfIndex;

/// What the kernel would do with a packet to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAnswer {
    /// Send it.
    Unicast {
        /// The router on the way; `None`: the address itself is on the link. May be of the other
        /// family (IPv4 by an IPv6 router).
        gateway: Option<IpAddr>,
        /// Out of this interface.
        interface: IfIndex,
        /// From this address, unless the sender chose one.
        source: Option<IpAddr>,
        /// The route's own limit in bytes, below the interface's.
        mtu: Option<u32>,
    },
    /// Deliver it here: the address is ours.
    Local,
    /// Nothing matches.
    NoRoute,
    /// Dropped silently by a route that says so.
    Blackhole,
    /// Answered with "host unreachable" by a route that says so.
    Unreachable,
    /// Answered with "administratively prohibited" by a route that says so.
    Prohibited,
    /// No address of a single host (broadcast, multicast, anycast).
    NotUnicast,
}

/// A route to add or remove. Ours carry [`PROTOCOL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination; `0.0.0.0/0` or `::/0` is the default route.
    pub to: IpNet,
    /// The router, of the same family.
    pub via: Option<IpAddr>,
    /// The interface; the kernel finds it from `via` where it is not given.
    pub interface: Option<IfIndex>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Priority among equal destinations, lower first; `None`: the kernel's default (0, IPv6 1024).
    pub metric: Option<u32>,
    /// Routing table; `None`: main (254).
    pub table: Option<u32>,
    /// `via` is on the link even if no network of the interface covers it.
    pub onlink: bool,
}

impl Route {
    /// A route that is to win over the host's own to the same destination: of metric 0 (IPv4) or 1
    /// (IPv6, where the kernel's own routes have 256 and everybody's default is 1024). It has a gateway,
    /// an interface or both.
    #[must_use]
    pub fn virtual_to(to: IpNet, via: Option<IpAddr>, interface: Option<IfIndex>) -> Self {
        Self {
            to,
            via,
            interface,
            source: None,
            metric: matches!(to, IpNet::V6(_)).then_some(1),
            table: None,
            onlink: false,
        }
    }
}

/// A route could not be asked for, added or removed.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Asking failed.
    #[error("cannot ask for the route to {to}")]
    Get {
        /// To which address.
        to: IpAddr,
        /// Why.
        #[source]
        source: RequestError,
    },
    /// Adding failed.
    #[error("cannot add the route to {to}")]
    Add {
        /// The destination.
        to: IpNet,
        /// Why.
        #[source]
        source: RequestError,
    },
    /// The way to the gateway is not known.
    #[error(
        "cannot add the route to {to}: its gateway {via} is in no network of an interface that is up"
    )]
    Gateway {
        /// The destination.
        to: IpNet,
        /// The gateway.
        via: IpAddr,
    },
    /// Another program's IPv6 route has the same destination and metric.
    #[error(
        "another program's route to {to} has the same metric: remove it, or give it a larger one"
    )]
    Taken {
        /// The destination.
        to: IpNet,
    },
    /// The table could not be read.
    #[error("cannot read this host's routes")]
    List(#[source] RequestError),
    /// Removing failed.
    #[error("cannot remove the route to {to}")]
    Remove {
        /// The destination.
        to: IpNet,
        /// Why.
        #[source]
        source: RequestError,
    },
}

impl Net {
    /// What the kernel would do now with a packet of ours to this address.
    ///
    /// # Errors
    /// [`RouteError::Get`], only where the kernel could not be asked: "no route" is an answer.
    pub async fn route_to(&self, to: IpAddr) -> Result<RouteAnswer, RouteError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
        message
            .attributes
            .push(RouteAttribute::Destination(to.into()));
        match self.ask(RouteNetlinkMessage::GetRoute(message)).await {
            Ok(answer) => Ok(answer
                .iter()
                .find_map(|message| match message {
                    RouteNetlinkMessage::NewRoute(route) => Some(RouteAnswer::from_message(route)),
                    _ => None,
                })
                .unwrap_or(RouteAnswer::NoRoute)),
            Err(error) => {
                RouteAnswer::from_refusal(error).ok_or(RouteError::Get { to, source: error })
            }
        }
    }

    /// Adds a route; `false` if we had added it before. One of ours that differs only in gateway,
    /// interface or source is replaced (IPv6) or goes behind the new one (IPv4).
    ///
    /// # Errors
    /// [`RouteError::Add`], [`RouteError::Gateway`], [`RouteError::Taken`].
    pub async fn add_route(&self, route: &Route) -> Result<bool, RouteError> {
        let new = |flags| self.order(RouteNetlinkMessage::NewRoute(route.message()), flags);
        let to = route.to;
        let failed = |source: RequestError| {
            let nowhere = source.is(Errno::ENETUNREACH) || source.is(Errno::EHOSTUNREACH);
            Err(match route.via {
                Some(via) if nowhere => RouteError::Gateway { to, via },
                _ => RouteError::Add { to, source },
            })
        };
        match new(NLM_F_CREATE | NLM_F_EXCL).await {
            Ok(()) => return Ok(true),
            Err(error) if error.is(Errno::EEXIST) => {}
            Err(error) => return failed(error),
        }
        // Something has this destination, table and metric.
        let flags = match to {
            // Put before what there is; refused if it is the very same, protocol included.
            IpNet::V4(_) => NLM_F_CREATE,
            IpNet::V6(_) => {
                let there = self.routes_like(route).await?;
                if there.iter().any(|(_, ours)| !ours) {
                    return Err(RouteError::Taken { to });
                }
                if there.iter().any(|(other, _)| other.leads_as(route)) {
                    return Ok(false);
                }
                NLM_F_CREATE | NLM_F_REPLACE
            }
        };
        match new(flags).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::EEXIST) => Ok(false),
            Err(error) => failed(error),
        }
    }

    /// The routes of both families, in all tables, that [`Net::add_route`] added in this life or an
    /// earlier one. Reads all there are: not for often.
    ///
    /// # Errors
    /// [`RouteError::List`].
    pub async fn our_routes(&self) -> Result<Vec<Route>, RouteError> {
        let mut all = self.routes(AddressFamily::Inet).await?;
        all.extend(self.routes(AddressFamily::Inet6).await?);
        let ours = all.into_iter().filter(|(_, ours)| *ours);
        Ok(ours.map(|(route, _)| route).collect())
    }

    /// The routes the kernel takes for the same: destination, table and metric. With whether each is
    /// ours.
    async fn routes_like(&self, route: &Route) -> Result<Vec<(Route, bool)>, RouteError> {
        let mut all = self.routes(family(route.to.addr())).await?;
        all.retain(|(other, _)| {
            other.to == route.to.trunc()
                && other.table == Some(route.table.unwrap_or(MAIN_TABLE))
                && other.effective_metric() == route.effective_metric()
        });
        Ok(all)
    }

    async fn routes(&self, family: AddressFamily) -> Result<Vec<(Route, bool)>, RouteError> {
        let mut question = RouteMessage::default();
        question.header.address_family = family;
        let answer = self
            .dump(RouteNetlinkMessage::GetRoute(question))
            .await
            .map_err(RouteError::List)?;
        Ok(answer
            .iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewRoute(message) => Some((
                    Route::from_message(message)?,
                    message.header.protocol == RouteProtocol::Other(PROTOCOL),
                )),
                _ => None,
            })
            .collect())
    }

    /// Removes a route that [`Net::add_route`] added (another's is not matched); `false` if it was
    /// not there.
    ///
    /// # Errors
    /// [`RouteError::Remove`].
    pub async fn remove_route(&self, route: &Route) -> Result<bool, RouteError> {
        let message = RouteNetlinkMessage::DelRoute(route.message());
        match self.order(message, 0).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::ESRCH) || error.is(Errno::ENODEV) => Ok(false),
            Err(source) => Err(RouteError::Remove {
                to: route.to,
                source,
            }),
        }
    }
}

impl RouteAnswer {
    fn from_message(message: &RouteMessage) -> Self {
        match message.header.kind {
            RouteType::Unicast => Self::unicast(message),
            RouteType::Local => Self::Local,
            RouteType::BlackHole => Self::Blackhole,
            RouteType::Unreachable => Self::Unreachable,
            RouteType::Prohibit => Self::Prohibited,
            RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => Self::NotUnicast,
            _ => Self::NoRoute,
        }
    }

    fn unicast(message: &RouteMessage) -> Self {
        let (mut via, mut out, mut source, mut mtu) = (None, None, None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Gateway(address) => via = ip(address),
                RouteAttribute::Via(RouteVia::Inet(address)) => via = Some(IpAddr::V4(*address)),
                RouteAttribute::Via(RouteVia::Inet6(address)) => via = Some(IpAddr::V6(*address)),
                RouteAttribute::Oif(index) => out = IfIndex::new(*index),
                RouteAttribute::PrefSource(address) => source = ip(address),
                RouteAttribute::Metrics(metrics) => {
                    mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        out.map_or(Self::NoRoute, |interface| Self::Unicast {
            gateway: via,
            interface,
            source: source.filter(|address| !address.is_unspecified()),
            mtu,
        })
    }

    /// IPv4 answers with error numbers where IPv6 sends a route of that type: `fib_props` in the
    /// kernel's `net/ipv4/fib_semantics.c`.
    fn from_refusal(error: RequestError) -> Option<Self> {
        match error {
            RequestError::Kernel(Errno::ENETUNREACH | Errno::EAGAIN) => Some(Self::NoRoute),
            RequestError::Kernel(Errno::EHOSTUNREACH) => Some(Self::Unreachable),
            RequestError::Kernel(Errno::EACCES) => Some(Self::Prohibited),
            RequestError::Kernel(Errno::EINVAL) => Some(Self::Blackhole),
            _ => None,
        }
    }
}

impl Route {
    /// Of any kind; one that goes several ways has neither gateway nor interface. `None` for what is
    /// not IP.
    fn from_message(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let everywhere = match header.address_family {
            AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let mut destination = everywhere;
        let mut route = Self {
            to: IpNet::new(everywhere, 0).ok()?,
            via: None,
            interface: None,
            source: None,
            metric: None,
            table: Some(u32::from(header.table)),
            onlink: header.flags.contains(RouteFlags::Onlink),
        };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => destination = ip(address)?,
                RouteAttribute::Gateway(address) => route.via = ip(address),
                RouteAttribute::Oif(index) => route.interface = IfIndex::new(*index),
                RouteAttribute::PrefSource(address) => route.source = ip(address),
                RouteAttribute::Priority(metric) => route.metric = Some(*metric),
                RouteAttribute::Table(table) => route.table = Some(*table),
                _ => {}
            }
        }
        route.to = IpNet::new(destination, header.destination_prefix_length).ok()?;
        Some(route)
    }

    fn effective_metric(&self) -> u32 {
        let default = match self.to {
            IpNet::V4(_) => 0,
            IpNet::V6(_) => IPV6_METRIC,
        };
        self.metric.unwrap_or(default)
    }

    /// Whether both go the same way, as far as `wanted` says which.
    fn leads_as(&self, wanted: &Self) -> bool {
        self.via == wanted.via
            && wanted
                .interface
                .is_none_or(|_| self.interface == wanted.interface)
            && self.source == wanted.source
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let header = &mut message.header;
        header.address_family = family(self.to.addr());
        header.destination_prefix_length = self.to.prefix_len();
        header.protocol = RouteProtocol::Other(PROTOCOL);
        header.kind = RouteType::Unicast;
        header.scope = match (self.via, self.to) {
            (None, IpNet::V4(_)) => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        let table = self.table.unwrap_or(MAIN_TABLE);
        header.table = u8::try_from(table).unwrap_or(0);
        header.flags.set(RouteFlags::Onlink, self.onlink);
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Table(table));
        attributes.push(RouteAttribute::Destination(self.to.network().into()));
        if let Some(via) = self.via {
            attributes.push(RouteAttribute::Gateway(via.into()));
        }
        if let Some(interface) = self.interface {
            attributes.push(RouteAttribute::Oif(interface.get()));
        }
        if let Some(source) = self.source {
            attributes.push(RouteAttribute::PrefSource(source.into()));
        }
        if let Some(metric) = self.metric {
            attributes.push(RouteAttribute::Priority(metric));
        }
        message
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// `IP6_RT_PRIO_USER`.
const IPV6_METRIC: u32 = 1024;
/// `RT_TABLE_MAIN`.
const MAIN_TABLE: u32 = 254;
