//! The driver that keeps a [`NetView`] true: kernel events, wanted addresses and answers to probes
//! in; next hops out; neighbour entries of next hops kept.
//!
//! One future, no task. It works things out again 20 ms after the first of a burst of events, and
//! everything every 30 s. When it is cancelled it removes the neighbour entries it made.

mod driver;
mod events;
mod upkeep;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    pin::Pin,
};

use rtnetlink::MulticastGroup;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::driver::{Driver, Ends};
use super::{
    Net, NextHop, OpenError,
    link::Link,
    news::{self, Events},
    probe::{self, Peers},
};
use crate::types::IfIndex;

/// The network as last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetView {
    /// Every interface of the namespace.
    pub links: BTreeMap<IfIndex, Link>,
    /// Every address of ours, loopback included.
    pub own_addresses: BTreeSet<IpAddr>,
    /// One entry for each wanted address.
    pub next_hops: BTreeMap<IpAddr, NextHop>,
    /// Why neighbour entries are kept by probes alone; `None`: the kernel keeps them.
    pub upkeep_problem: Option<String>,
}

/// Why the watch ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The netlink sockets are gone.
    #[error("the kernel closed the netlink socket")]
    Closed,
}

/// Sockets that hear of every change in the network namespace they were opened in.
pub struct Watch {
    net: Net,
    /// Drives both sockets.
    connections: Pin<Box<dyn Future<Output = ()> + Send>>,
    events: Events,
}

impl Watch {
    /// Subscribes, in the calling thread's network namespace. [`Watch::run`] must be polled on
    /// threads of the same one.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The kernel has no file descriptor or no netlink to give.
    pub fn open() -> Result<Self, OpenError> {
        let (news, events) = news::subscribe(GROUPS)?;
        let (net, answers) = Net::open()?;
        Ok(Self {
            net,
            connections: Box::pin(async {
                tokio::select! { () = news => {}, () = answers => {} }
            }),
            events,
        })
    }

    /// Keeps `out` true for the newest `targets` until cancelled, or until nobody can name targets
    /// any more. Each change of targets is answered by one complete view within a second, next hops
    /// that do not answer included as unresolved.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn run(
        self,
        targets: watch::Receiver<BTreeSet<IpAddr>>,
        out: watch::Sender<NetView>,
        cancel: CancellationToken,
    ) -> Result<(), WatchError> {
        let (peers, peers_seen) = watch::channel(Peers::new());
        let (learned_by_probe, learned) = mpsc::channel(LEARNED_CAPACITY);
        let driver = Driver::new(Ends {
            net: self.net,
            events: self.events,
            targets,
            learned,
            out,
            peers,
        });
        tokio::select! {
            result = driver.run(cancel) => result,
            () = self.connections => Err(WatchError::Closed),
            never = probe::run(peers_seen, learned_by_probe) => match never {},
        }
    }
}

/// Every kind of message that can change a next hop. Neighbours make most of them.
const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Neigh,
];
/// Answers of probes not yet told to the kernel.
const LEARNED_CAPACITY: usize = 256;
