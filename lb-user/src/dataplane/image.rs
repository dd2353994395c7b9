//! Pure: what the maps are to contain. An [`Image`] is compared, planned and applied as a whole; how
//! it is laid out in memory is `region`'s and `bpf`'s business.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{backend::BackendEntry, flow::ServiceKey};

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
    /// Who owns what.
    pub ring: RingImage,
}

/// A ring: owners are indices into `locals`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingImage {
    /// The service's configured backends, available or not, in the order of address and port.
    pub locals: Arc<[BackendId]>,
    /// Owner of each slot, or [`lb_common::ring::NOBODY`].
    pub owners: Arc<[u16]>,
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
    /// The backends of a service that no other service's ring names: a broken image would break
    /// the data plane, so plans are checked against this in tests.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.services.values().all(|service| {
            let locals = service.ring.locals.len();
            service
                .ring
                .locals
                .iter()
                .all(|id| self.backends.contains_key(id))
                && service
                    .ring
                    .owners
                    .iter()
                    .all(|owner| *owner == lb_common::ring::NOBODY || usize::from(*owner) < locals)
        })
    }
}
