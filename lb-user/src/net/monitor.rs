//! Links and addresses of one network namespace, followed as the kernel changes them.
//!
//! Level-triggered: an event says where to look, [`Monitor::link`] and [`Monitor::addresses`] say what
//! is true now, and several changes may come as one event. No task; a monitor lives on its caller's
//! polls. Its socket is its own, so that nothing else fills it.

use std::{collections::BTreeSet, net::IpAddr, pin::Pin};

use futures_util::{FutureExt as _, StreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use tokio::task::coop::unconstrained;

use super::{
    Net, OpenError, RequestError,
    address::{Address, AddressError},
    fold::{self, Addresses, Fold, Links},
    link::{Link, LinkError},
    news::{self, Events},
};
use crate::types::{IfIndex, IfName};

#[cfg(test)]
mod tests;

/// What is known of links and addresses, and a socket that keeps it true.
pub struct Monitor {
    /// Drives the socket.
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
    events: Events,
    known: Known,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link of this name is new, gone, or another than before. A renamed link is an event for each
    /// of its names.
    Link {
        /// Its name.
        name: IfName,
    },
    /// Some address is new, gone, or another than before.
    Address,
    /// Events were lost and everything was read anew: any of it may have changed.
    Resync,
}

/// The monitor does not know what is true.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The netlink socket is gone; so is the monitor.
    #[error("the kernel closed the netlink socket")]
    Closed,
    /// The links could not be read. The next call tries again.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// The addresses could not be read. The next call tries again.
    #[error(transparent)]
    Addresses(#[from] AddressError),
}

impl MonitorError {
    /// Whether another call is useless, because this monitor's socket or that of the [`Net`] is gone.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::Links(LinkError::Request(RequestError::Closed))
                | Self::Addresses(AddressError::List(RequestError::Closed))
        )
    }
}

impl Monitor {
    /// Subscribes, in the calling thread's network namespace.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    ///
    /// # Errors
    /// The kernel has no file descriptor or no netlink to give.
    pub fn open() -> Result<Self, OpenError> {
        let (connection, events) = news::subscribe(GROUPS)?;
        Ok(Self {
            connection: Box::pin(connection),
            events,
            known: Known::default(),
        })
    }

    /// Reads everything as of now; [`Monitor::next`] follows from there. `net` must be of the same
    /// namespace, and driven meanwhile.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub async fn start(&mut self, net: &Net) -> Result<(), MonitorError> {
        self.read(net).await
    }

    /// Waits until something changed. Cancel safe: what was not returned comes with the next call.
    /// `net` must be driven meanwhile: it reads anew what was lost.
    ///
    /// # Errors
    /// [`MonitorError`]; after one that is not [final](MonitorError::is_final), wait a little before
    /// the next call, which begins by reading everything.
    pub async fn next(&mut self, net: &Net) -> Result<Event, MonitorError> {
        loop {
            if self.known.stale {
                self.read(net).await?;
                return Ok(Event::Resync);
            }
            if let Some(event) = self.known.take() {
                return Ok(event);
            }
            // Both arms are cancel safe: a stream, and a future that is kept.
            let message = tokio::select! {
                message = self.events.next() => message.ok_or(MonitorError::Closed)?,
                () = &mut self.connection => return Err(MonitorError::Closed),
            };
            self.known.note(&message);
            self.note_waiting();
        }
    }

    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &IfName) -> Option<&Link> {
        self.links().find(|link| link.name == *name)
    }

    /// Every link.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.known.links.values()
    }

    /// This address, if the interface has it with this prefix.
    #[must_use]
    pub fn address(&self, interface: IfIndex, address: IpAddr, prefix: u8) -> Option<&Address> {
        self.known.addresses.get(&(address, interface, prefix))
    }

    /// Every address, loopback included.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.known.addresses.values()
    }

    async fn read(&mut self, net: &Net) -> Result<(), MonitorError> {
        // Until both tables are here, so that a call that is cancelled half way is made up for.
        self.known.stale = true;
        // What waits is older than the tables will be. It must not be entered into them: where messages
        // were lost, those that would put it right again are among them.
        self.fetch()?;
        while let Some(Some(_)) = self.events.next().now_or_never() {}
        let links = net.links().await?;
        let addresses = net.addresses().await?;
        self.known.replace(links, addresses);
        // What came meanwhile is as old as the tables or newer: after all of it they are true.
        self.fetch()?;
        self.note_waiting();
        self.known.forget_changes();
        Ok(())
    }

    /// Empties the socket into the stream.
    fn fetch(&mut self) -> Result<(), MonitorError> {
        // Whole, however much this task has done already.
        let connection = unconstrained(&mut self.connection);
        match connection.now_or_never() {
            Some(()) => Err(MonitorError::Closed),
            None => Ok(()),
        }
    }

    fn note_waiting(&mut self) {
        while let Some(Some(message)) = self.events.next().now_or_never() {
            self.known.note(&message);
        }
    }
}

/// Pure: the tables, and what changed in them since it was last taken.
#[derive(Debug, Default)]
struct Known {
    links: Links,
    addresses: Addresses,
    changed_links: BTreeSet<IfName>,
    changed_addresses: bool,
    /// Messages were lost.
    stale: bool,
}

impl Known {
    fn note(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        let message = match &message.payload {
            NetlinkPayload::InnerMessage(message) => message,
            NetlinkPayload::Overrun(_) => {
                self.stale = true;
                return;
            }
            _ => return,
        };
        if let Fold::Changed { old, new } = fold::link(&mut self.links, message) {
            let names = [old, new].into_iter().flatten().map(|link| link.name);
            self.changed_links.extend(names);
        }
        let change = fold::address(&mut self.addresses, message);
        self.changed_addresses |= change.is_change();
    }

    /// Links first: who handles an address wants to know its link.
    fn take(&mut self) -> Option<Event> {
        if let Some(name) = self.changed_links.pop_first() {
            return Some(Event::Link { name });
        }
        std::mem::take(&mut self.changed_addresses).then_some(Event::Address)
    }

    fn replace(&mut self, links: Vec<Link>, addresses: Vec<Address>) {
        self.links = fold::links(links);
        self.addresses = fold::addresses(addresses);
        self.stale = false;
    }

    fn forget_changes(&mut self) {
        self.changed_links.clear();
        self.changed_addresses = false;
    }
}

const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
];
