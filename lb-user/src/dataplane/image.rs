//! Pure: what the maps are to contain. An [`Image`] is compared, planned and applied as a whole; how
//! it is laid out in memory is `region`'s and `bpf`'s business.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{
    backend::BackendEntry,
    flow::ServiceKey,
    ring::{NOBODY, Previous, Slot},
};

use crate::types::{IfIndex, Mac};

/// Index of a service in `services` and `service_stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// Index of a backend in `backends` and `backend_stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u32);

/// Intended contents of all maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// What the front table says besides services.
    pub front: Front,
    /// Interfaces that packets may leave by.
    pub devices: BTreeSet<IfIndex>,
    /// Services by index.
    pub services: BTreeMap<ServiceId, ServiceImage>,
    /// Those of them that no packet finds: a plan stopped before it wrote the front table. Nobody wants any.
    pub unlisted: BTreeSet<ServiceId>,
    /// Backends by index; each belongs to one service.
    pub backends: BTreeMap<BackendId, BackendImage>,
}

/// The front table without the services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// Attached interfaces and their addresses.
    pub interfaces: BTreeMap<IfIndex, Mac>,
    /// Addresses of this host, whose packets are martians when they come in.
    pub own_addresses: BTreeSet<IpAddr>,
    /// Peer balancers on the segment.
    pub peers: BTreeSet<Mac>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceImage {
    /// Address, port, protocol.
    pub key: ServiceKey,
    /// Key of the flow hash.
    pub hash_key: u64,
    /// For people.
    pub name: String,
    /// How its flows are told apart and remembered.
    pub steering: Steering,
    /// Who owns what.
    pub ring: RingImage,
}

/// What the front table says of a service's flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
    /// Every flow is remembered, and new ones are spread by turns where there is a sequence.
    pub stateful: bool,
    /// Whether flows of one client all go one way.
    pub by_source: bool,
    /// New flows that may be remembered in a tick.
    pub budget: u32,
    /// Leading bits (of 128) of the addresses of one client, whose flows stay together; 0: they need not.
    pub client_bits: u32,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            stateful: false,
            by_source: false,
            budget: 100_000,
            client_bits: 0,
        }
    }
}

/// A ring: owners are indices into `locals`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingImage {
    /// The service's configured backends, available or not, in the order of address and port; behind
    /// them those that were removed and still have flows.
    pub locals: Arc<[BackendId]>,
    /// Owner of each slot, and what else is known of it.
    pub slots: Arc<[Slot]>,
    /// When each slot moved, boot time in seconds; empty if none has lately.
    pub since: Arc<[u32]>,
    /// The ring of another size that was before, while it matters.
    pub older: Option<Arc<OlderRing>>,
    /// Locals in the order in which new flows get them; empty: they go by the ring.
    pub sequence: Arc<[u16]>,
    /// The turn at which the sequence begins.
    pub sequence_start: u32,
}

/// A ring of another size that was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderRing {
    /// Who an unremembered flow of each slot was with, or [`NOBODY`] if that is not alive.
    pub slots: Arc<[u16]>,
    /// When it was replaced, boot time in seconds.
    pub since: u32,
}

impl RingImage {
    /// A ring in which nothing has moved.
    #[must_use]
    pub fn plain(locals: Arc<[BackendId]>, owners: &[u16]) -> Self {
        Self {
            locals,
            slots: owners.iter().map(|owner| Slot::plain(*owner)).collect(),
            ..Self::default()
        }
    }

    /// Whether no slot has moved lately: then nothing but the owners matters.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.since.is_empty() && self.older.is_none()
    }

    /// Every local that some slot names.
    pub(super) fn named(&self) -> impl Iterator<Item = u16> {
        let previous = |slot: &Slot| match slot.previous() {
            Previous::Local(local) => local,
            _ => NOBODY,
        };
        let slots = self
            .slots
            .iter()
            .flat_map(move |s| [s.owner(), previous(s)]);
        let older = self.older.iter().flat_map(|older| older.slots.iter());
        slots
            .chain(older.copied())
            .chain(self.sequence.iter().copied())
    }
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendImage {
    /// What the program reads.
    pub entry: BackendEntry,
    /// For people.
    pub info: BackendInfo,
}

/// What `backends` says of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendInfo {
    /// Its name.
    pub name: String,
    /// Its service's name.
    pub service: String,
    /// Its service's index.
    pub service_id: ServiceId,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Configured weight.
    pub weight: u16,
    /// Whether it is reached through a tunnel.
    pub tunnel: bool,
}

impl Image {
    /// Whether every name leads somewhere: a broken image would break the data plane, so plans are
    /// checked against this in tests, and what is adopted always.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.services.values().all(|service| {
            let ring = &service.ring;
            let locals = ring.locals.len();
            let times = ring.since.len();
            ring.locals.iter().all(|id| self.backends.contains_key(id))
                && ring
                    .named()
                    .all(|local| local == NOBODY || usize::from(local) < locals)
                && (times == 0 || times == ring.slots.len())
        })
    }
}
