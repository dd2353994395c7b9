//! Pure: from the configuration and what is known of the network to the [`Image`] that the maps are
//! to contain.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{
    addr::Addr,
    backend::{BackendEntry, ForwardMode, TAGS_AS_RECEIVED},
    flow,
    hash::mix64,
    limits::MAX_VLAN_TAGS,
    wire::ethernet::{MacWords, Macs},
};

use super::{
    ids::{Ids, NoRoom},
    image::{BackendImage, BackendInfo, Front, Image, RingImage, ServiceImage},
};
use crate::{
    config::model::{
        Backend, BackendKey, Config, Forwarding, Protocol, Service, ServiceKey, TunnelSource,
    },
    ring::{Heads, Member, slot_count},
    types::{IfIndex, Mac},
};

/// The way to an address, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Known.
    To(NextHop),
    /// The address is this host's.
    Local,
    /// Not known (yet).
    Unresolved,
}

/// A known way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Destination of the frame.
    pub mac: Mac,
    /// Source of the frame.
    pub source_mac: Mac,
    /// Output interface.
    pub interface: IfIndex,
    /// VLAN ids the frame leaves with, outermost first; `None`: the tags it came with.
    pub vlans: Option<Vec<u16>>,
    /// Bytes of IP that fit.
    pub mtu: u32,
    /// The address to send tunnelled packets from; `None` if there is none of the family.
    pub source: Option<IpAddr>,
}

/// What the image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// Attached interfaces, own addresses, peers.
    pub front: &'a Front,
    /// The way to every backend.
    pub hops: &'a BTreeMap<IpAddr, Hop>,
    /// Backends that are not as configured.
    pub changes: &'a Changes,
}

/// Backends that are not as configured, because they fail their checks or operators said so.
pub type Changes = BTreeMap<(ServiceKey, BackendKey), Change>;

/// What is not as configured of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether it gets flows.
    pub admission: Admission,
    /// A weight instead of the configured one.
    pub weight: Option<u16>,
}

/// Whether a backend gets flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// As it can.
    #[default]
    Open,
    /// No new ones; those it has stay.
    Drained,
    /// None at all: what it has is lost.
    Out,
    /// All new ones: it is the fallback of a service below quorum.
    Alone,
}

/// Rings already worked out: heads are expensive and depend on the configured set alone.
#[derive(Debug, Default)]
pub struct RingCache {
    rings: BTreeMap<flow::ServiceKey, CachedRing>,
}

#[derive(Debug)]
struct CachedRing {
    members: Vec<Member>,
    slots: u32,
    heads: Heads,
    available: Vec<bool>,
    owners: Arc<[u16]>,
}

/// Makes the image.
///
/// # Errors
///
/// [`NoRoom`] if the maps are too small for the configuration.
pub fn compose(inputs: &Inputs<'_>, ids: &mut Ids, cache: &mut RingCache) -> Result<Image, NoRoom> {
    let mut image = Image {
        front: inputs.front.clone(),
        ..Image::default()
    };
    let mut seen = BTreeSet::new();
    for service in &inputs.config.services {
        if service.forwarding == Forwarding::Nat {
            continue;
        }
        let key = service_key(service);
        seen.insert(key);
        add_service(inputs, service, key, ids, cache, &mut image)?;
    }
    cache.rings.retain(|key, _| seen.contains(key));
    Ok(image)
}

fn add_service(
    inputs: &Inputs<'_>,
    service: &Service,
    key: flow::ServiceKey,
    ids: &mut Ids,
    cache: &mut RingCache,
    image: &mut Image,
) -> Result<(), NoRoom> {
    let id = ids.service(key)?;
    // The order of address and port: the file's order must not matter.
    let fallback = service.fallback_backend();
    let mut backends: Vec<&Backend> = service.backends.iter().chain(&fallback).collect();
    backends.sort_by_key(|backend| (backend.address, backend.port));
    let members = backends.iter().map(|b| (b.address, b.port.get()));
    let backend_ids = ids.backends(key, members)?;
    let changes: Vec<Change> = backends
        .iter()
        .map(|backend| inputs.changes.get(&(service.key(), backend.key())))
        .map(|change| change.copied().unwrap_or_default())
        .collect();
    let weights: Vec<u16> = backends
        .iter()
        .zip(&changes)
        .map(|(backend, change)| change.weight.unwrap_or(backend.weight.get()))
        .collect();
    let mut reachable = Vec::with_capacity(backends.len());
    for ((backend, (backend_id, generation)), weight) in
        backends.iter().zip(&backend_ids).zip(&weights)
    {
        let hop = inputs
            .hops
            .get(&backend.address)
            .unwrap_or(&Hop::Unresolved);
        let mut entry = entry(backend, hop, inputs.config.datapath.tunnel_source.as_ref());
        entry.id = backend_id.0;
        entry.generation = *generation;
        reachable.push(entry.mode != ForwardMode::Unresolved as u8);
        if let Hop::To(hop) = hop {
            image.devices.insert(hop.interface);
        }
        let info = BackendInfo {
            name: backend.name.to_string(),
            service: service.name.to_string(),
            service_id: id,
            address: backend.address,
            port: backend.port.get(),
            weight: *weight,
            tunnel: backend.forwarding == Forwarding::Tunnel,
        };
        image
            .backends
            .insert(*backend_id, BackendImage { entry, info });
    }
    let wanted: Vec<bool> = weights
        .iter()
        .zip(&changes)
        .map(|(weight, change)| *weight > 0 && change.admission == Admission::Open)
        .collect();
    let available = available(&reachable, &wanted);
    let mut owners = owners(service, key, &backends, &weights, available, cache);
    if let Some(fallback) = alone(&changes) {
        owners = vec![fallback; owners.len()].into();
    }
    let locals = backend_ids
        .iter()
        .map(|(backend_id, _)| *backend_id)
        .collect();
    let service_image = ServiceImage {
        key,
        hash_key: hash_key(inputs.config.datapath.hash_key.as_deref(), key),
        name: service.name.to_string(),
        ring: RingImage { locals, owners },
    };
    image.services.insert(id, service_image);
    Ok(())
}

/// The one who gets all new flows, if there is one. The ring itself stays as it is: it is what comes
/// back.
fn alone(changes: &[Change]) -> Option<u16> {
    let mut admissions = changes.iter().map(|change| change.admission);
    let alone = admissions.position(|admission| admission == Admission::Alone)?;
    u16::try_from(alone).ok()
}

/// Who gets flows: who is wanted and reachable. With nobody of them reachable the slots keep owners,
/// so that drops are counted as what they are: the next hop is missing, not the backend.
fn available(reachable: &[bool], wanted: &[bool]) -> Vec<bool> {
    let both = || reachable.iter().zip(wanted);
    let nobody = !both().any(|(reachable, wanted)| *reachable && *wanted);
    both()
        .map(|(reachable, wanted)| (*reachable || nobody) && *wanted)
        .collect()
}

/// The owners of the ring's slots, from the cache where nothing has changed.
fn owners(
    service: &Service,
    key: flow::ServiceKey,
    backends: &[&Backend],
    weights: &[u16],
    available: Vec<bool>,
    cache: &mut RingCache,
) -> Arc<[u16]> {
    let members: Vec<Member> = backends
        .iter()
        .zip(weights)
        .map(|(b, weight)| Member {
            address: b.address,
            port: b.port.get(),
            weight: *weight,
        })
        .collect();
    let slots = slot_count(
        &members,
        service.ring_size.map_or(0, std::num::NonZero::get),
    );
    if let Some(cached) = cache.rings.get_mut(&key)
        && cached.members == members
        && cached.slots == slots
    {
        if cached.available != available {
            cached.owners = cached.heads.owners(|member| available[member]).into();
            cached.available = available;
        }
        return Arc::clone(&cached.owners);
    }
    let heads = Heads::build(&members, slots);
    let owners: Arc<[u16]> = heads.owners(|member| available[member]).into();
    let cached = CachedRing {
        members,
        slots,
        heads,
        available,
        owners: Arc::clone(&owners),
    };
    cache.rings.insert(key, cached);
    owners
}

/// A backend as the program reads it, without id and generation.
fn entry(backend: &Backend, hop: &Hop, tunnel_source: Option<&TunnelSource>) -> BackendEntry {
    let unresolved = BackendEntry {
        mode: ForwardMode::Unresolved as u8,
        address: Addr::from(backend.address),
        ..zerocopy::FromZeros::new_zeroed()
    };
    let hop = match hop {
        Hop::To(hop) => hop,
        Hop::Local => {
            return BackendEntry {
                mode: ForwardMode::Local as u8,
                ..unresolved
            };
        }
        Hop::Unresolved => return unresolved,
    };
    let mode = match (backend.forwarding, backend.address) {
        (Forwarding::Tunnel, IpAddr::V4(_)) => ForwardMode::TunnelV4,
        (Forwarding::Tunnel, IpAddr::V6(_)) => ForwardMode::TunnelV6,
        _ => ForwardMode::DirectRouting,
    };
    let (source, source_bits) = match (mode, outer_source(backend.address, hop, tunnel_source)) {
        (ForwardMode::DirectRouting, _) => (Addr::UNSPECIFIED, 0),
        (_, Some(source)) => source,
        (_, None) => return unresolved,
    };
    let mut vlans = [0; MAX_VLAN_TAGS];
    let tags = match &hop.vlans {
        None => TAGS_AS_RECEIVED,
        Some(ids) => {
            for (to, id) in vlans.iter_mut().zip(ids) {
                *to = *id;
            }
            u8::try_from(ids.len().min(MAX_VLAN_TAGS)).unwrap_or(0)
        }
    };
    BackendEntry {
        macs: Macs {
            destination: MacWords::new(hop.mac.0),
            source: MacWords::new(hop.source_mac.0),
        },
        ifindex: hop.interface.get(),
        mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
        mode: mode as u8,
        tags,
        vlans,
        source_bits,
        tunnel_source: source,
        ..unresolved
    }
}

/// Outer source and how many of its low bits vary: the configured one where it is of the backend's
/// family, else the route's.
fn outer_source(
    backend: IpAddr,
    hop: &NextHop,
    configured: Option<&TunnelSource>,
) -> Option<(Addr, u8)> {
    let configured =
        configured.filter(|source| source.network().addr().is_ipv4() == backend.is_ipv4());
    match configured {
        Some(TunnelSource::Address(address)) => Some((Addr::from(*address), 0)),
        Some(TunnelSource::Prefix(network)) => {
            let bits = network.max_prefix_len() - network.prefix_len();
            Some((Addr::from(network.network()), bits.min(MAX_SOURCE_BITS)))
        }
        None => hop.source.map(|source| (Addr::from(source), 0)),
    }
}

/// More bits than any network card has queues for; a shift by 32 would be none.
const MAX_SOURCE_BITS: u8 = 24;

/// What the data plane knows a service by.
#[must_use]
pub fn service_key(service: &Service) -> flow::ServiceKey {
    let protocol = match service.protocol {
        Protocol::Tcp => flow::TCP,
        Protocol::Udp => flow::UDP,
    };
    flow::ServiceKey::new(Addr::from(service.address), service.port.get(), protocol)
}

/// The key of a service's flow hash: from the configured secret and the service, so that all
/// balancers with one configuration agree.
#[must_use]
pub fn hash_key(secret: Option<&str>, key: flow::ServiceKey) -> u64 {
    let [high, low] = key.addr.words();
    let words = [
        u64::from_be(high),
        u64::from_be(low),
        u64::from(key.port_protocol),
    ];
    let secret = secret.unwrap_or("").as_bytes().chunks(8).map(|chunk| {
        chunk
            .iter()
            .fold(1, |word: u64, byte| word << 8 | u64::from(*byte))
    });
    words
        .into_iter()
        .chain(secret)
        .fold(0x6261_6c6c_6173_7421, |hash, word| mix64(hash ^ word))
}
