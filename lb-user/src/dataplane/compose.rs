//! Pure: from the configuration and what is known of the network to the [`Image`] that the maps are
//! to contain.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use lb_common::{
    addr::Addr,
    backend::{BackendEntry, CLOSED, DEAD, ForwardMode, TAGS_AS_RECEIVED},
    connections::{TICK_MASK, TICK_SHIFT},
    flow,
    hash::{mix64, slot_of},
    limits::MAX_VLAN_TAGS,
    ring::NOBODY,
    wire::ethernet::{MacWords, Macs},
};

use super::{
    ids::{Ids, NoRoom},
    image::{
        BackendId, BackendImage, BackendInfo, Front, Image, RingImage, ServiceId, ServiceImage,
        Steering,
    },
    moves, schedule,
    sweep::{self, Lifetimes, Usage},
};
use crate::{
    config::model::{
        Backend, BackendKey, Config, Forwarding, Protocol, Scheduler, Service, ServiceKey,
        TunnelSource,
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
    /// Backends that are not as configured.
    pub changes: &'a Changes,
    /// Attached interfaces, own addresses, peers.
    pub front: &'a Front,
    /// The way to every backend; those that are not in it have not been looked up yet.
    pub hops: &'a BTreeMap<IpAddr, Hop>,
    /// Path MTUs to the ends of tunnels, where they are narrower than the way there, bytes.
    pub paths: &'a BTreeMap<IpAddr, u32>,
    /// What the maps contain: flows are where it says.
    pub applied: &'a Image,
    /// What the last whole sweep of the connection table found.
    pub usage: Option<&'a Usage>,
    /// How many turns of each service's sequence have been taken, where that matters.
    pub turns: &'a BTreeMap<ServiceId, u32>,
    /// Boot time in seconds.
    pub now: u32,
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
    /// No new ones, but of clients that persistence keeps with it; those it has stay.
    Drained,
    /// No new ones, whosever they are; those it has stay.
    Closed,
    /// None at all: what it has is lost.
    Out,
    /// All new ones: it is the fallback of a service below quorum.
    Alone,
}

/// What is kept from one image to the next.
#[derive(Debug, Default)]
pub struct RingCache {
    /// Heads are expensive and depend on the configured set alone.
    rings: BTreeMap<flow::ServiceKey, CachedRing>,
    /// How long idle flows are remembered, for the sweep.
    lifetimes: HashMap<ServiceId, Lifetimes>,
    /// Since when backends are known not to be configured any more, boot time in seconds.
    left: BTreeMap<BackendId, u32>,
    /// When the image has to be made again because a grace time ends, boot time in seconds.
    deadline: Option<u32>,
    /// Whether a sweep may change the image.
    wants_sweep: bool,
    /// Whether some scheduler counts flows.
    counts_flows: bool,
}

impl RingCache {
    /// How long idle flows of each service are remembered.
    #[must_use]
    pub fn lifetimes(&self) -> &HashMap<ServiceId, Lifetimes> {
        &self.lifetimes
    }

    /// Whether the image has to be made again, nothing but time having passed.
    #[must_use]
    pub fn is_due(&self, now: u32) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Whether the image has to be made again after a sweep.
    #[must_use]
    pub fn wants_sweep(&self) -> bool {
        self.wants_sweep
    }

    /// Whether some scheduler counts flows: then sweeps are to be quick.
    #[must_use]
    pub fn counts_flows(&self) -> bool {
        self.counts_flows
    }
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
    cache.deadline = None;
    cache.wants_sweep = false;
    cache.counts_flows = false;
    cache.lifetimes.clear();
    for service in &inputs.config.services {
        if service.forwarding == Forwarding::Nat {
            continue;
        }
        let key = service_key(service);
        seen.insert(key);
        add_service(inputs, service, key, ids, cache, &mut image)?;
    }
    cache.rings.retain(|key, _| seen.contains(key));
    cache.left.retain(|id, _| image.backends.contains_key(id));
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
    let members = members(inputs, service, id, key, ids)?;
    let mut owners = owners(service, key, &members, cache);
    if let Some(fallback) = alone(&members) {
        owners = vec![fallback; owners.len()].into();
    }
    let (ring, used) = ring(
        inputs,
        service,
        id,
        key,
        &members,
        owners,
        (ids, &mut cache.left),
    );
    let grace = grace(service);
    let deadline = moves::deadline(&ring, grace);
    cache.deadline = cache.deadline.into_iter().chain(deadline).min();
    cache.wants_sweep |= moves::has_table_slots(&ring);
    cache.counts_flows |= schedule::counts_flows(service.scheduler);
    cache.lifetimes.insert(id, lifetimes(service));
    for member in used {
        if let Some(device) = member.device {
            image.devices.insert(device);
        }
        image.backends.insert(member.id, member.image);
    }
    let service_image = ServiceImage {
        key,
        hash_key: hash_key(inputs.config.datapath.hash_key.as_deref(), key),
        name: service.name.to_string(),
        steering: Steering {
            stateful: remembers_all(service),
            by_source: service.scheduler == Scheduler::Sh,
            budget: per_tick(service.new_flow_budget),
            client_bits: client_bits(service),
        },
        ring,
    };
    image.services.insert(id, service_image);
    Ok(())
}

/// A backend with all that is decided about it.
#[derive(Clone, Debug)]
struct Placed {
    id: BackendId,
    member: Member,
    image: BackendImage,
    /// The interface its packets leave by.
    device: Option<IfIndex>,
    /// Its next hop is known, or it is this host.
    reachable: bool,
    admission: Admission,
}

impl Placed {
    /// Whether it can serve the flows it has.
    fn lives(&self) -> bool {
        self.image.entry.flags & DEAD == 0
    }
}

/// The configured backends in the order of address and port: the file's order must not matter.
fn members(
    inputs: &Inputs<'_>,
    service: &Service,
    service_id: ServiceId,
    key: flow::ServiceKey,
    ids: &mut Ids,
) -> Result<Vec<Placed>, NoRoom> {
    let beside = service.fallback_backend();
    let mut backends: Vec<&Backend> = service.backends.iter().chain(&beside).collect();
    backends.sort_by_key(|backend| (backend.address, backend.port));
    let wanted = backends.iter().map(|b| (b.address, b.port.get()));
    let backend_ids = ids.backends(key, wanted)?;
    let placed = backends.iter().zip(backend_ids).map(|(backend, known)| {
        let change = inputs.changes.get(&(service.key(), backend.key()));
        let change = change.copied().unwrap_or_default();
        let weight = change.weight.unwrap_or(backend.weight.get());
        let fallback = service.fallback.as_ref();
        let is_fallback = fallback.is_some_and(|fallback| fallback.key() == backend.key());
        let admission = match change.admission {
            // Its turn is over: persistence sends its clients back to the others.
            Admission::Open | Admission::Drained if is_fallback && weight == 0 => Admission::Closed,
            admission => admission,
        };
        let info = BackendInfo {
            name: backend.name.to_string(),
            service: service.name.to_string(),
            service_id,
            address: backend.address,
            port: backend.port.get(),
            weight,
            tunnel: backend.forwarding == Forwarding::Tunnel,
        };
        place(inputs, key, info, admission, known, ids)
    });
    Ok(placed.collect())
}

/// The place of the one who gets all new flows, if there is one. The ring of the others stays cached:
/// it is what comes back.
fn alone(members: &[Placed]) -> Option<u16> {
    let mut admissions = members.iter().map(|member| member.admission);
    let alone = admissions.position(|admission| admission == Admission::Alone)?;
    u16::try_from(alone).ok()
}

/// Backends that are configured no more, but may have flows: they live on until nothing names them.
fn leavers(
    inputs: &Inputs<'_>,
    service: ServiceId,
    key: flow::ServiceKey,
    members: &[Placed],
    old: &RingImage,
    ids: &mut Ids,
) -> Vec<Placed> {
    let current: BTreeSet<BackendId> = members.iter().map(|member| member.id).collect();
    let gone = old.locals.iter().filter(|id| !current.contains(id));
    gone.filter_map(|id| {
        let applied = inputs.applied.backends.get(id)?;
        let info = BackendInfo {
            service_id: service,
            ..applied.info.clone()
        };
        let known = (*id, applied.entry.generation);
        Some(place(inputs, key, info, Admission::Closed, known, ids))
    })
    .collect()
}

fn place(
    inputs: &Inputs<'_>,
    key: flow::ServiceKey,
    info: BackendInfo,
    admission: Admission,
    (id, mut generation): (BackendId, u16),
    ids: &mut Ids,
) -> Placed {
    let applied = inputs.applied.backends.get(&id);
    let applied = applied.filter(|applied| applied.info.address == info.address);
    let tunnel_source = inputs.config.datapath.tunnel_source.as_ref();
    let hop = inputs.hops.get(&info.address);
    let mut entry = match (hop, applied) {
        // Not looked up yet, as after a restart: what was known goes on.
        (None, Some(applied)) => applied.entry,
        (hop, _) => entry(&info, hop.unwrap_or(&Hop::Unresolved), tunnel_source),
    };
    if let Some(path) = inputs.paths.get(&info.address)
        && info.tunnel
    {
        entry.mtu = entry.mtu.min(u16::try_from(*path).unwrap_or(u16::MAX));
    }
    let reachable = entry.mode != ForwardMode::Unresolved as u8;
    entry.flags = if admission == Admission::Closed {
        CLOSED
    } else {
        0
    };
    if !reachable || admission == Admission::Out {
        entry.flags = DEAD;
        // A death voids what is remembered, once.
        if applied.is_some_and(|applied| applied.entry.flags & DEAD == 0) {
            generation = ids
                .renew(key, info.address, info.port)
                .unwrap_or(generation);
        }
    }
    entry.id = id.0;
    entry.generation = generation;
    Placed {
        id,
        member: Member {
            address: info.address,
            port: info.port,
            weight: info.weight,
        },
        device: IfIndex::new(entry.ifindex),
        image: BackendImage { entry, info },
        reachable,
        admission,
    }
}

/// The ring, and who is in it.
fn ring(
    inputs: &Inputs<'_>,
    service: &Service,
    id: ServiceId,
    key: flow::ServiceKey,
    members: &[Placed],
    owners: Arc<[u16]>,
    (ids, left): (&mut Ids, &mut BTreeMap<BackendId, u32>),
) -> (RingImage, Vec<Placed>) {
    let empty = RingImage::default();
    let before = inputs.applied.services.get(&id);
    let before = before.filter(|before| before.key == key);
    let old = before.map_or(&empty, |before| &before.ring);
    let mut everyone = members.to_vec();
    let leavers = leavers(inputs, id, key, members, old, ids);
    for member in members {
        left.remove(&member.id);
    }
    for leaver in &leavers {
        left.entry(leaver.id).or_insert(inputs.now);
    }
    everyone.extend(leavers);
    let owners: Arc<[u16]> = if service.scheduler == Scheduler::Dh {
        // All flows of a service have one destination, and so one slot.
        let hash = hash_key(inputs.config.datapath.hash_key.as_deref(), key);
        let slots = u32::try_from(owners.len()).unwrap_or(0);
        let slot = slot_of((hash >> 32) as u32, slots) as usize;
        let owner = owners.get(slot).copied().unwrap_or(NOBODY);
        owners.iter().map(|_| owner).collect()
    } else {
        owners
    };
    loop {
        let locals: Arc<[BackendId]> = everyone.iter().map(|placed| placed.id).collect();
        let dead: BTreeSet<BackendId> = everyone
            .iter()
            .filter(|placed| !placed.lives())
            .map(|placed| placed.id)
            .collect();
        let mut ring = moves::advance(&moves::Change {
            old,
            locals: &locals,
            owners: &owners,
            living: &|id| !dead.contains(&id),
            now: inputs.now,
            grace: grace(service),
            stateful: remembers_all(service),
            was_stateful: before.is_some_and(|before| before.steering.stateful),
            foreign: inputs.usage.map(|usage| usage.foreign(id)),
        });
        let needed = needed(inputs.usage, &ring, members.len(), left);
        let count = everyone.len();
        let mut number = 0..;
        everyone.retain(|_| number.next().is_none_or(|n| needed.contains(&n)));
        if everyone.len() == count {
            set_sequence(inputs, service, id, members, old, &mut ring);
            return (ring, everyone);
        }
    }
}

/// Which locals a ring needs: members, and whoever has flows or may have some.
fn needed(
    usage: Option<&Usage>,
    ring: &RingImage,
    members: usize,
    left: &BTreeMap<BackendId, u32>,
) -> BTreeSet<usize> {
    let mut needed: BTreeSet<usize> = (0..members).collect();
    needed.extend(ring.named().map(usize::from));
    let latest = ring.since.iter().max().copied().unwrap_or(0);
    // Until it left, clients that stay could open flows there, slots or not.
    let has_flows = |id: &BackendId| {
        let latest = latest.max(left.get(id).copied().unwrap_or(0));
        match usage {
            Some(usage) if usage.began > latest.saturating_add(1) => usage.has_flows(*id),
            _ => true,
        }
    };
    if !ring.is_quiet() {
        let with_flows = ring
            .locals
            .iter()
            .enumerate()
            .filter(|(_, id)| has_flows(id));
        needed.extend(with_flows.map(|(local, _)| local));
    }
    needed
}

/// Gives a ring its scheduler's sequence, the old one where nothing asks for another.
fn set_sequence(
    inputs: &Inputs<'_>,
    service: &Service,
    id: ServiceId,
    members: &[Placed],
    old: &RingImage,
    ring: &mut RingImage,
) {
    if !schedule::is_stateful(service.scheduler) {
        return;
    }
    let flows = |id: &BackendId| {
        let usage = inputs.usage.and_then(|usage| usage.backends.get(id));
        usage.map_or(0, sweep::Flows::open)
    };
    let alone = alone(members);
    let seats: Vec<schedule::Seat> = (0u16..)
        .zip(members)
        .filter(|(_, m)| m.lives())
        .filter(|(local, m)| match alone {
            Some(alone) => *local == alone,
            None => m.admission == Admission::Open && m.member.weight > 0,
        })
        .map(|(local, m)| schedule::Seat {
            local,
            weight: m.member.weight.max(1),
            flows: flows(&m.id),
        })
        .collect();
    let sequence = schedule::sequence(service.scheduler, &seats);
    if *old.sequence == *sequence {
        ring.sequence = Arc::clone(&old.sequence);
        ring.sequence_start = old.sequence_start;
    } else {
        ring.sequence = sequence.into();
        ring.sequence_start = inputs.turns.get(&id).copied().unwrap_or(0);
    }
}

/// The owners of the ring's slots, from the cache where nothing has changed.
fn owners(
    service: &Service,
    key: flow::ServiceKey,
    placed: &[Placed],
    cache: &mut RingCache,
) -> Arc<[u16]> {
    // With nobody reachable of those that are wanted the slots keep owners, so that drops are counted
    // as what they are: the next hop is missing, not the backend.
    let wanted = |p: &Placed| p.admission == Admission::Open && p.member.weight > 0;
    let nobody = !placed.iter().any(|p| p.reachable && wanted(p));
    let available: Vec<bool> = placed
        .iter()
        .map(|p| (p.reachable || nobody) && wanted(p))
        .collect();
    let members: Vec<Member> = placed.iter().map(|p| p.member).collect();
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

/// Whether every flow of a service is remembered.
fn remembers_all(service: &Service) -> bool {
    schedule::is_stateful(service.scheduler) || service.persistence.is_some()
}

/// Leading bits of the addresses of one client, of the 128 that [`Addr`] has; 0 without persistence.
fn client_bits(service: &Service) -> u32 {
    let in_front = if service.address.is_ipv4() { 96 } else { 0 };
    let length = service.persistence.map(|p| u32::from(p.prefix_length));
    length.map_or(0, |length| in_front + length)
}

/// How long flows older than a move are looked after, seconds: one more than configured, because the second
/// of the move has begun. None if none is configured.
fn grace(service: &Service) -> u32 {
    let grace = match service.protocol {
        Protocol::Tcp => service.grace,
        Protocol::Udp => service.udp_grace,
    };
    if grace.is_zero() {
        return 0;
    }
    let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
    u32::try_from(seconds.saturating_add(1)).unwrap_or(u32::MAX)
}

/// How long idle flows are remembered.
fn lifetimes(service: &Service) -> Lifetimes {
    let timeouts = &service.timeouts;
    // A tick is longer than a second; one more, because the current one has begun.
    let ticks = |time: Duration| {
        let ticks = (time.as_nanos() >> TICK_SHIFT) + 1;
        u32::try_from(ticks).unwrap_or(u32::MAX).min(TICK_MASK / 2)
    };
    Lifetimes {
        closing: ticks(timeouts.closing),
        opening: ticks(timeouts.syn),
        established: ticks(match service.protocol {
            Protocol::Tcp => timeouts.established,
            Protocol::Udp => timeouts.udp,
        }),
        client: service.persistence.map_or(0, |p| ticks(p.timeout)),
    }
}

/// A number a second as a number a tick.
fn per_tick(per_second: u32) -> u32 {
    let per_tick = (u64::from(per_second) << TICK_SHIFT) / 1_000_000_000;
    u32::try_from(per_tick).unwrap_or(u32::MAX)
}

/// A backend as the program reads it, without id and generation.
fn entry(backend: &BackendInfo, hop: &Hop, tunnel_source: Option<&TunnelSource>) -> BackendEntry {
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
    let mode = match (backend.tunnel, backend.address) {
        (true, IpAddr::V4(_)) => ForwardMode::TunnelV4,
        (true, IpAddr::V6(_)) => ForwardMode::TunnelV6,
        (false, _) => ForwardMode::DirectRouting,
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
