//! Asks every next hop on a link, several times a second, whether it still has the Ethernet address
//! we send to. The kernel alone notices a silent change after up to 45 s (a Linux host announces
//! none by itself).
//!
//! One future, no task: sockets in, [`plan::Plan`] decides, sockets out. Only the interfaces of next
//! hops have sockets, and nothing is ever answered. Dropping the future closes them.

mod ask;
mod plan;
mod socket;
mod wire;

use std::{
    collections::BTreeMap, convert::Infallible, future::poll_fn, io, net::IpAddr, task::Poll,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

pub use self::ask::{Question, ask};
use self::{
    plan::{Action, Plan},
    socket::{Family, ProbeSocket},
};
use super::neighbour::NeighbourKey;
use crate::types::{IfIndex, Mac};

/// What is known of a neighbour to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The address the kernel has for it.
    pub(super) mac: Option<Mac>,
    /// Ours, on its link.
    pub(super) source_mac: Mac,
    /// Ours, to ask from.
    pub(super) source: Option<IpAddr>,
}

/// The neighbours to probe.
pub(super) type Peers = BTreeMap<NeighbourKey, Peer>;

/// A neighbour answered with an address that is not the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) key: NeighbourKey,
    pub(super) mac: Mac,
}

/// Probes `peers` as they change, and tells what the kernel does not know. `learned` may be full:
/// the next answer says it again.
pub(super) async fn run(
    mut peers: watch::Receiver<Peers>,
    learned: mpsc::Sender<Learned>,
) -> Infallible {
    let mut prober = Prober {
        plan: Plan::new(Instant::now().into_std()),
        peers: Peers::new(),
        sockets: BTreeMap::new(),
        refused: BTreeMap::new(),
        learned,
    };
    let mut open = true;
    loop {
        let deadline = prober.plan.next_deadline().map(Instant::from_std);
        // All arms are cancel-safe: a receive that loses the race has taken no frame.
        tokio::select! {
            changed = peers.changed(), if open => {
                open = changed.is_ok();
                prober.peers.clone_from(&peers.borrow_and_update());
                prober.refresh();
            }
            (at, frame) = receive(&prober.sockets) => prober.received(at, frame),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                prober.plan.handle_timeout(Instant::now().into_std());
            }
        }
        prober.act();
    }
}

type SocketKey = (IfIndex, Family);

struct Prober {
    plan: Plan,
    peers: Peers,
    sockets: BTreeMap<SocketKey, ProbeSocket>,
    /// Interfaces without a socket, so that the log says so once.
    refused: BTreeMap<SocketKey, io::ErrorKind>,
    learned: mpsc::Sender<Learned>,
}

impl Prober {
    fn refresh(&mut self) {
        let now = Instant::now().into_std();
        let known = self.peers.iter().map(|(key, peer)| (*key, peer.mac));
        self.plan.set_peers(now, known);
        let needed = |socket: &SocketKey| self.peers.keys().any(|key| socket_of(*key) == *socket);
        self.sockets.retain(|key, _| needed(key));
        self.refused.retain(|key, _| needed(key));
    }

    fn received(&mut self, at: SocketKey, frame: io::Result<Vec<u8>>) {
        match frame {
            Ok(frame) => {
                if let Some((address, mac)) = wire::parse_reply(&frame) {
                    let key = NeighbourKey {
                        interface: at.0,
                        address,
                    };
                    let now = Instant::now().into_std();
                    self.plan.handle_reply(now, key, mac);
                }
            }
            // The interface went down or away. The next probe opens a new socket.
            Err(_) => {
                self.sockets.remove(&at);
            }
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.plan.poll_action() {
            match action {
                Action::Unicast { key, mac } => self.send(key, Some(mac)),
                Action::Multicast { key } => self.send(key, None),
                // Full: the driver is busy, and the next answer says it again.
                Action::Learned { key, mac } => drop(self.learned.try_send(Learned { key, mac })),
            }
        }
    }

    /// A probe that cannot be sent counts as one that was not answered.
    fn send(&mut self, key: NeighbourKey, to: Option<Mac>) {
        let Some(peer) = self.peers.get(&key).copied() else {
            return;
        };
        let Some(frame) = wire::request(key.address, peer.source_mac, peer.source, to) else {
            return;
        };
        let at = socket_of(key);
        let sent = self.socket(at).and_then(|socket| socket.send(&frame));
        match sent {
            Ok(()) => drop(self.refused.remove(&at)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.sockets.remove(&at);
                if self.refused.insert(at, error.kind()) != Some(error.kind()) {
                    tracing::warn!(
                        interface = %at.0,
                        %error,
                        "cannot probe next hops; a changed Ethernet address is noticed late"
                    );
                }
            }
        }
    }

    fn socket(&mut self, at: SocketKey) -> io::Result<&ProbeSocket> {
        match self.sockets.entry(at) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                Ok(entry.insert(ProbeSocket::open(at.0, at.1)?))
            }
        }
    }
}

/// The next frame on any socket; never, while there is none.
async fn receive(sockets: &BTreeMap<SocketKey, ProbeSocket>) -> (SocketKey, io::Result<Vec<u8>>) {
    poll_fn(|context| {
        for (key, socket) in sockets {
            if let Poll::Ready(frame) = socket.poll_receive(context) {
                return Poll::Ready((*key, frame));
            }
        }
        Poll::Pending
    })
    .await
}

fn socket_of(key: NeighbourKey) -> SocketKey {
    let family = match key.address {
        IpAddr::V4(_) => Family::Arp,
        IpAddr::V6(_) => Family::Ndp,
    };
    (key.interface, family)
}
