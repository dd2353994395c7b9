//! Interfaces and addresses of one network namespace, kept as the kernel tells.

use std::{collections::BTreeMap, net::IpAddr, pin::Pin};

use futures_util::{Stream, StreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::MulticastGroup;

use super::{
    Link, Net, OpenError,
    address::{Address, AddressError},
    link::LinkError,
    watch::widen,
};
use crate::types::{IfIndex, IfName};

/// See the head of this file.
pub struct Monitor {
    events: Pin<Box<dyn Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send>>,
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
    links: BTreeMap<IfIndex, Link>,
    addresses: BTreeMap<(IfIndex, IpAddr, u8), Address>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface came, went or changed.
    Link {
        /// Which.
        name: IfName,
    },
    /// An address came, went or changed.
    Address,
    /// Anything may have changed: events were lost, and all was read again.
    Resync,
}

/// The namespace cannot be watched any more.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The kernel closed the socket.
    #[error("the kernel closed the netlink socket")]
    Closed,
    /// Interfaces cannot be read.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// Addresses cannot be read.
    #[error(transparent)]
    Addresses(#[from] AddressError),
}

impl Monitor {
    /// Subscribes, in the calling thread's network namespace, within a tokio runtime.
    ///
    /// # Errors
    /// The kernel has no file descriptor or no netlink to give.
    pub fn open() -> Result<Self, OpenError> {
        let (mut connection, _, events) =
            rtnetlink::new_multicast_connection(GROUPS).map_err(OpenError)?;
        widen(&mut connection);
        Ok(Self {
            events: Box::pin(events.map(|(message, _)| message)),
            connection: Box::pin(connection),
            links: BTreeMap::new(),
            addresses: BTreeMap::new(),
        })
    }

    /// Reads everything there is now.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub async fn start(&mut self, net: &Net) -> Result<(), MonitorError> {
        let links = net.links().await?;
        let addresses = net.addresses().await?;
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        self.addresses = addresses.into_iter().map(|a| (key(&a), a)).collect();
        Ok(())
    }

    /// Waits for the next change that is one. Cancel safe, but for the reading after lost events,
    /// which begins again.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub async fn next(&mut self, net: &Net) -> Result<Event, MonitorError> {
        loop {
            let message = tokio::select! {
                biased;
                message = self.events.next() => message.ok_or(MonitorError::Closed)?,
                () = &mut self.connection => return Err(MonitorError::Closed),
            };
            match message.payload {
                NetlinkPayload::InnerMessage(message) => {
                    if let Some(event) = self.note(&message) {
                        return Ok(event);
                    }
                }
                NetlinkPayload::Overrun(_) => {
                    self.start(net).await?;
                    return Ok(Event::Resync);
                }
                _ => {}
            }
        }
    }

    /// The interface of this name.
    #[must_use]
    pub fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.values().find(|link| link.name == *name)
    }

    /// All interfaces.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }

    fn note(&mut self, message: &RouteNetlinkMessage) -> Option<Event> {
        match message {
            RouteNetlinkMessage::NewLink(message) => {
                let link = Link::from_message(message)?;
                let name = link.name.clone();
                let old = self.links.insert(link.index, link.clone());
                (old.as_ref() != Some(&link)).then_some(Event::Link { name })
            }
            RouteNetlinkMessage::DelLink(message) => {
                // A port that leaves its bridge is a "deleted link" of another family.
                let whole = message.header.interface_family == AddressFamily::Unspec;
                let index = IfIndex::new(message.header.index).filter(|_| whole)?;
                let link = self.links.remove(&index)?;
                Some(Event::Link { name: link.name })
            }
            RouteNetlinkMessage::NewAddress(message) => {
                let address = Address::from_message(message)?;
                let old = self.addresses.insert(key(&address), address.clone());
                (old.as_ref() != Some(&address)).then_some(Event::Address)
            }
            RouteNetlinkMessage::DelAddress(message) => {
                let address = Address::from_message(message)?;
                self.addresses.remove(&key(&address))?;
                Some(Event::Address)
            }
            _ => None,
        }
    }
}

fn key(address: &Address) -> (IfIndex, IpAddr, u8) {
    (address.interface, address.address, address.prefix)
}

const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
];
