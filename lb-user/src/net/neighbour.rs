//! Neighbour entries: which Ethernet address an address on the link has.
//!
//! A next hop's entry is made *managed* (`NTF_EXT_MANAGED`, Linux 5.16): the kernel resolves it at
//! once and again whenever it ages, although no packet of the kernel's own uses it. It is also
//! marked as learned from outside (`NTF_EXT_LEARNED`), which exempts it from the garbage collection
//! that would otherwise limit us to 1024 next hops.

use std::{fmt, net::IpAddr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
        NeighbourState as Nud,
    },
    route::RouteProtocol,
};
use nix::errno::Errno;

use super::{Net, PROTOCOL, RequestError, address::family};
use crate::types::{IfIndex, Mac};

/// An address on a link: what a neighbour entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighbourKey {
    /// The link.
    pub interface: IfIndex,
    /// The neighbour's address.
    pub address: IpAddr,
}

impl fmt::Display for NeighbourKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on interface number {}", self.address, self.interface)
    }
}

/// A neighbour entry of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Whose entry.
    pub key: NeighbourKey,
    /// Its Ethernet address, where the kernel holds one; not to be used in every state
    /// ([`Neighbour::usable_mac`]).
    pub mac: Option<Mac>,
    /// What the kernel thinks of it.
    pub state: NeighbourState,
    /// The kernel keeps it fresh by itself.
    pub managed: bool,
    /// It carries our [`PROTOCOL`].
    pub ours: bool,
}

/// The states of RFC 4861 §7.3.2, with the kernel's additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// Not asked yet.
    None,
    /// Being asked for the first time.
    Incomplete,
    /// Known to be right.
    Reachable,
    /// Right when last heard of.
    Stale,
    /// About to be asked again.
    Delay,
    /// Being asked again.
    Probe,
    /// Did not answer.
    Failed,
    /// The link needs no resolution.
    NoArp,
    /// Set by the administrator.
    Permanent,
}

/// A neighbour entry could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// The table could not be read.
    #[error("cannot read the neighbour table")]
    List(#[source] RequestError),
    /// The kernel's table is full.
    #[error(
        "the kernel's neighbour table is full at {key}: raise net.ipv4.neigh.default.gc_thresh3 \
         (or ipv6)"
    )]
    TableFull {
        /// Whose entry did not fit.
        key: NeighbourKey,
    },
    /// An entry could not be written or removed.
    #[error("cannot change the neighbour entry of {key}")]
    Change {
        /// Whose entry.
        key: NeighbourKey,
        /// Why.
        #[source]
        source: RequestError,
    },
}

impl Net {
    /// All neighbour entries of both families; bridge forwarding entries and proxies are none.
    ///
    /// # Errors
    /// [`NeighbourError::List`].
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>, NeighbourError> {
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answer = self.dump(question).await.map_err(NeighbourError::List)?;
        Ok(answer.iter().filter_map(new_neighbour).collect())
    }

    /// One neighbour entry, if there is one.
    ///
    /// # Errors
    /// [`NeighbourError::List`].
    pub async fn neighbour(&self, key: NeighbourKey) -> Result<Option<Neighbour>, NeighbourError> {
        let question = RouteNetlinkMessage::GetNeighbour(message(key));
        match self.ask(question).await {
            Ok(answer) => Ok(answer.iter().find_map(new_neighbour)),
            Err(error) if error.is(Errno::ENOENT) => Ok(None),
            Err(error) => Err(NeighbourError::List(error)),
        }
    }

    /// Has the kernel resolve a neighbour now and keep it resolved. An entry that is there keeps
    /// its address and state. It carries [`PROTOCOL`] from now on.
    ///
    /// Kernels before 5.16 ignore the wish and resolve once: compare [`Neighbour::managed`].
    ///
    /// # Errors
    /// [`NeighbourError::TableFull`], [`NeighbourError::Change`].
    pub async fn manage_neighbour(&self, key: NeighbourKey) -> Result<(), NeighbourError> {
        let mut message = message(key);
        message.header.flags = NeighbourFlags::Use | NeighbourFlags::ExtLearned;
        message.attributes.extend([
            NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed),
            NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL)),
        ]);
        self.write_neighbour(key, message).await
    }

    /// Tells the kernel a managed neighbour's address, which it then holds for reachable.
    ///
    /// # Errors
    /// [`NeighbourError::TableFull`], [`NeighbourError::Change`].
    pub async fn set_neighbour(&self, key: NeighbourKey, mac: Mac) -> Result<(), NeighbourError> {
        let mut message = message(key);
        message.header.flags = NeighbourFlags::ExtLearned;
        message.header.state = Nud::Reachable;
        message.attributes.extend([
            NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()),
            NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL)),
        ]);
        self.write_neighbour(key, message).await?;
        // `__neigh_update` ignores address and state in a message that asks for "managed", and
        // one that does not ask takes "managed" away: so it takes two.
        self.manage_neighbour(key).await
    }

    /// Removes a neighbour entry; `false` if it was not there. The kernel resolves it anew when it
    /// needs it itself.
    ///
    /// # Errors
    /// [`NeighbourError::Change`].
    pub async fn forget_neighbour(&self, key: NeighbourKey) -> Result<bool, NeighbourError> {
        match self
            .order(RouteNetlinkMessage::DelNeighbour(message(key)), 0)
            .await
        {
            Ok(()) => Ok(true),
            Err(error)
                if error.is(Errno::ENOENT) || error.is(Errno::ENODEV) || error.is(Errno::ENXIO) =>
            {
                Ok(false)
            }
            Err(source) => Err(NeighbourError::Change { key, source }),
        }
    }

    async fn write_neighbour(
        &self,
        key: NeighbourKey,
        message: NeighbourMessage,
    ) -> Result<(), NeighbourError> {
        let message = RouteNetlinkMessage::NewNeighbour(message);
        self.order(message, NLM_F_CREATE | NLM_F_REPLACE)
            .await
            .map_err(|source| {
                if source.is(Errno::ENOBUFS) {
                    NeighbourError::TableFull { key }
                } else {
                    NeighbourError::Change { key, source }
                }
            })
    }
}

impl Neighbour {
    /// Where to send packets for it, if it is known well enough: also while the kernel asks again,
    /// because an old answer is better than none.
    #[must_use]
    pub fn usable_mac(&self) -> Option<Mac> {
        match self.state {
            NeighbourState::None | NeighbourState::Incomplete | NeighbourState::Failed => None,
            NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::NoArp
            | NeighbourState::Permanent => self.mac.filter(|mac| mac.is_unicast()),
        }
    }

    /// Fixed by the administrator or by the kind of link: neither managed nor probed by us.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(
            self.state,
            NeighbourState::NoArp | NeighbourState::Permanent
        )
    }

    /// `None` for bridge forwarding entries and proxies, which come in the same messages.
    pub(super) fn from_message(message: &NeighbourMessage) -> Option<Self> {
        let header = &message.header;
        if !matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6)
            || header.flags.contains(NeighbourFlags::Proxy)
        {
            return None;
        }
        let (mut address, mut mac, mut managed, mut ours) = (None, None, false, false);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                    address = Some(IpAddr::V4(*ip));
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                    address = Some(IpAddr::V6(*ip));
                }
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    mac = bytes.as_slice().try_into().ok().map(Mac);
                }
                NeighbourAttribute::ExtFlags(flags) => {
                    managed = flags.contains(NeighbourExtFlags::Managed);
                }
                NeighbourAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
                _ => {}
            }
        }
        Some(Self {
            key: NeighbourKey {
                interface: IfIndex::new(header.ifindex)?,
                address: address?,
            },
            mac,
            state: header.state.into(),
            managed,
            ours,
        })
    }
}

impl From<Nud> for NeighbourState {
    fn from(state: Nud) -> Self {
        match state {
            Nud::Incomplete => Self::Incomplete,
            Nud::Reachable => Self::Reachable,
            Nud::Stale => Self::Stale,
            Nud::Delay => Self::Delay,
            Nud::Probe => Self::Probe,
            Nud::Failed => Self::Failed,
            Nud::Noarp => Self::NoArp,
            Nud::Permanent => Self::Permanent,
            _ => Self::None,
        }
    }
}

fn message(key: NeighbourKey) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(key.address);
    message.header.ifindex = key.interface.get();
    message
        .attributes
        .push(NeighbourAttribute::Destination(match key.address {
            IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
            IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
        }));
    message
}

fn new_neighbour(message: &RouteNetlinkMessage) -> Option<Neighbour> {
    match message {
        RouteNetlinkMessage::NewNeighbour(neighbour) => Neighbour::from_message(neighbour),
        _ => None,
    }
}
