//! Pure: regions of the arena as bytes, and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_common::{
    addr::Addr,
    arena::{self, Arena, MAGIC, Root, UNIT},
    backend::BackendEntry,
    flow::ServiceKey,
    hash::{FILTER_WORDS, filter_place, mac_filter_bit, mix64},
    limits::{INTERFACE_SLOTS, LAYOUT, SERVICE_PROBES},
    ring::{RingHeader, SLOTS, Slot},
    service::{
        FrontHeader, INTERFACES, InterfaceEntry, OWN, PEER_SLOTS, PEERS, SERVICE, SERVICES,
        STATEFUL, ServiceEntry, VIP, first_slot, interface_slot, peer_slot,
    },
    wire::ethernet::MacWords,
};
use zerocopy::IntoBytes as _;

use super::image::{BackendId, Front, OlderRing, RingImage, ServiceId, Steering};
use crate::types::{IfIndex, Mac};

/// The root of an arena whose front table is at `front` (0: none yet), and whose directory of
/// backends is at `directory`. `secret` is the key of the connection table beside it.
#[must_use]
pub fn root(front: u32, directory: u32, secret: u64) -> Root {
    Root {
        magic: MAGIC,
        layout: LAYOUT,
        front,
        directory,
        secret,
        reserved: [0; 10],
    }
}

/// A service as the front table needs it.
#[derive(Clone, Copy, Debug)]
pub struct FrontService {
    /// Index.
    pub id: ServiceId,
    /// Address, port, protocol.
    pub key: ServiceKey,
    /// Key of the flow hash.
    pub hash_key: u64,
    /// How its flows are told apart and remembered.
    pub steering: Steering,
    /// Where its ring is.
    pub ring: u32,
}

/// A front table as bytes, and where in it each service's entry is.
#[derive(Clone, Debug)]
pub struct FrontRegion {
    /// The region.
    pub bytes: Vec<u8>,
    /// Offset of each service's entry from the region's start.
    pub entries: BTreeMap<ServiceId, u32>,
}

/// Lays a front table out: finds a seed and a size with which no key needs more than
/// [`SERVICE_PROBES`] steps, and multipliers with which no two interfaces or peers meet.
#[must_use]
pub fn front(front: &Front, services: &[FrontService]) -> FrontRegion {
    let entries = front_entries(front, services);
    let (seed, slots) = place(&entries);
    let mask = slots.len() as u64 - 1;
    let macs: Vec<u64> = front.peers.iter().map(|mac| word(*mac)).collect();
    let indices: Vec<u32> = front.interfaces.keys().map(|index| index.get()).collect();
    let interface_multiplier = (0..)
        .map(|n: u64| (mix64(n) >> 32) as u32 | 1)
        .find(|m| distinct(indices.iter().map(|index| interface_slot(*m, *index))))
        .expect("16 interfaces fit into 64 slots with some odd multiplier");
    let peer_multiplier = (0..)
        .map(|n: u64| mix64(n) | 1)
        .find(|m| distinct(macs.iter().map(|mac| peer_slot(*m, *mac))))
        .expect("64 peers fit into 256 slots with some odd multiplier");
    let header = FrontHeader {
        seed,
        peer_filter: macs.iter().fold(0, |f, mac| f | mac_filter_bit(*mac)),
        peer_multiplier,
        mask: u32::try_from(mask).expect("a table of fewer than 2^32 slots"),
        interface_multiplier,
        shift: shift(slots.len()),
        reserved: [0; 7],
    };
    let mut own_filter = [0u64; FILTER_WORDS];
    for address in &front.own_addresses {
        let (word, bit) = filter_place(&Addr::from(*address));
        own_filter[word as usize] |= bit;
    }
    let mut interfaces = [InterfaceEntry::default(); INTERFACE_SLOTS];
    for (index, mac) in &front.interfaces {
        interfaces[interface_slot(interface_multiplier, index.get()) as usize] = InterfaceEntry {
            ifindex: index.get(),
            reserved: 0,
            mac: word(*mac),
        };
    }
    let mut peers = [0u64; PEER_SLOTS];
    for mac in macs {
        peers[peer_slot(peer_multiplier, mac) as usize] = mac;
    }
    let mut bytes = Vec::with_capacity(SERVICES as usize + slots.len() * UNIT as usize);
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(own_filter.as_bytes());
    bytes.extend_from_slice(interfaces.as_bytes());
    bytes.extend_from_slice(peers.as_bytes());
    let mut places = BTreeMap::new();
    for entry in &slots {
        if entry.flags & SERVICE != 0 {
            let at = u32::try_from(bytes.len()).expect("a front table of less than 4 GiB");
            places.insert(ServiceId(entry.id), at);
        }
        bytes.extend_from_slice(entry.as_bytes());
    }
    FrontRegion {
        bytes,
        entries: places,
    }
}

/// An Ethernet address as the program compares it.
fn word(mac: Mac) -> u64 {
    MacWords::new(mac.0).word()
}

fn distinct(mut slots: impl Iterator<Item = u32>) -> bool {
    let mut seen = BTreeSet::new();
    slots.all(|slot| seen.insert(slot))
}

/// Services, and one entry for each address that is a service's or our own.
fn front_entries(front: &Front, services: &[FrontService]) -> Vec<ServiceEntry> {
    let mut addresses: BTreeMap<Addr, u32> = BTreeMap::new();
    for service in services {
        *addresses.entry(service.key.addr).or_default() |= VIP;
    }
    for address in &front.own_addresses {
        *addresses.entry(Addr::from(*address)).or_default() |= OWN;
    }
    let known = addresses.into_iter().map(|(addr, flags)| ServiceEntry {
        flags,
        ..entry(ServiceKey::address_only(addr))
    });
    let served = services.iter().map(|service| ServiceEntry {
        hash_key: service.hash_key,
        flags: if service.steering.stateful {
            SERVICE | STATEFUL
        } else {
            SERVICE
        },
        id: service.id.0,
        ring: service.ring,
        budget: service.steering.budget,
        client_bits: service.steering.client_bits,
        port_mask: if service.steering.by_source {
            0
        } else {
            u32::from(u16::MAX)
        },
        ..entry(service.key)
    });
    served.chain(known).collect()
}

const fn entry(key: ServiceKey) -> ServiceEntry {
    ServiceEntry {
        key,
        hash_key: 0,
        flags: 0,
        id: 0,
        ring: 0,
        budget: 0,
        port_mask: 0,
        client_bits: 0,
        reserved: [0; 2],
    }
}

/// Finds a seed and fills the slots. Services come first, so they get the shorter ways.
fn place(entries: &[ServiceEntry]) -> (u64, Vec<ServiceEntry>) {
    let mut size = (entries.len() * 4).next_power_of_two().max(8);
    loop {
        for attempt in 0..SEEDS_PER_SIZE {
            let seed = mix64(attempt);
            if let Some(slots) = try_place(entries, seed, size) {
                return (seed, slots);
            }
        }
        size *= 2;
    }
}

/// What turns a hash into one of `size` slots.
fn shift(size: usize) -> u32 {
    64 - size.trailing_zeros()
}

/// Where `key` may be in a table of `size` slots, in the order of probing.
fn window(seed: u64, size: usize, key: &ServiceKey) -> impl Iterator<Item = usize> + use<> {
    let start = first_slot(seed, shift(size), key) as usize;
    (0..SERVICE_PROBES as usize).map(move |probe| (start + probe) & (size - 1))
}

fn try_place(entries: &[ServiceEntry], seed: u64, size: usize) -> Option<Vec<ServiceEntry>> {
    let mut slots = vec![entry(ServiceKey::address_only(Addr::UNSPECIFIED)); size];
    for wanted in entries {
        let at = make_room(&mut slots, seed, &wanted.key, DISPLACEMENTS)?;
        slots[at] = *wanted;
    }
    // A chain of moves that came back to its own start would have left a second copy behind, which
    // a later flip of the ring would miss.
    let taken = slots.iter().filter(|slot| slot.flags != 0).count();
    (taken == entries.len()).then_some(slots)
}

/// A free slot in the window of `key`; if there is none, one whose entry could move on in *its*
/// window. A slot once taken never becomes empty, so no probe ends too early.
fn make_room(slots: &mut [ServiceEntry], seed: u64, key: &ServiceKey, depth: u32) -> Option<usize> {
    let size = slots.len();
    if let Some(free) = window(seed, size, key).find(|slot| slots[*slot].flags == 0) {
        return Some(free);
    }
    if depth == 0 {
        return None;
    }
    window(seed, size, key).find(|slot| {
        let tenant = slots[*slot];
        // A tenant that starts here or earlier may have free slots ahead that we do not reach.
        match make_room(slots, seed, &tenant.key, depth - 1) {
            Some(free) if free != *slot => {
                slots[free] = tenant;
                true
            }
            _ => false,
        }
    })
}

/// A ring as bytes. `entry_at` says where a backend's entry is.
#[must_use]
pub fn ring(ring: &RingImage, entry_at: impl Fn(BackendId) -> u32) -> Vec<u8> {
    let count = |length: usize| u32::try_from(length).expect("a ring's words are few");
    let slots = count(ring.slots.len());
    let locals = count(ring.locals.len());
    let older: &[u16] = ring.older.as_ref().map_or(&[], |older| &older.slots);
    let local_table = SLOTS + slots * 4;
    let times = local_table + locals * 4;
    let after_times = times + count(ring.since.len()) * 4;
    let after_older = after_times + count(older.len()) * 4;
    let header = RingHeader {
        slots,
        locals,
        local_table,
        length: after_older + count(ring.sequence.len()) * 4,
        times: if ring.since.is_empty() { 0 } else { times },
        older: after_times,
        older_slots: count(older.len()),
        older_since: ring.older.as_ref().map_or(0, |older| older.since),
        sequence: after_older,
        sequence_length: count(ring.sequence.len()),
        sequence_start: ring.sequence_start,
        reserved: [0; 5],
    };
    let mut bytes = Vec::with_capacity(header.length as usize);
    bytes.extend_from_slice(header.as_bytes());
    let words = ring.slots.iter().map(|slot| slot.word());
    let words = words.chain(ring.locals.iter().map(|backend| entry_at(*backend)));
    let words = words.chain(ring.since.iter().copied());
    // Nobody, 0xffff, is 0 here.
    let words = words.chain(older.iter().map(|local| u32::from(local.wrapping_add(1))));
    let words = words.chain(ring.sequence.iter().map(|local| u32::from(*local)));
    for word in words {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Offset, from the start of a ring region, of the word for local owner `local`.
#[must_use]
pub fn local_word(slots: usize, local: usize) -> u32 {
    u32::try_from(slots + local).expect("a ring's words are few") * 4 + SLOTS
}

/// What an arena found on the machine says, with the place of everything.
#[derive(Debug, Default)]
pub struct Found {
    /// Front table, rings and backend entries; descriptions are not in the arena.
    pub front: Front,
    /// Where the directory of backends is.
    pub directory: u32,
    /// Where the front table is, and its length in bytes.
    pub front_region: Option<(u32, u32)>,
    /// Services with their key, hash key and ring.
    pub services: BTreeMap<ServiceId, FoundService>,
    /// Backend entries and where they are.
    pub backends: BTreeMap<BackendId, (u32, BackendEntry)>,
}

/// A service found.
#[derive(Debug)]
pub struct FoundService {
    /// Where its entry is in the arena.
    pub entry: u32,
    /// Address, port, protocol.
    pub key: ServiceKey,
    /// Key of the flow hash.
    pub hash_key: u64,
    /// How its flows are told apart and remembered.
    pub steering: Steering,
    /// Where its ring region is.
    pub ring_at: u32,
    /// Length of the ring region.
    pub ring_length: u32,
    /// The ring.
    pub ring: RingImage,
}

/// Reads back what a predecessor wrote. `None` if it is not ours or makes no sense: then the arena is
/// not adopted.
#[must_use]
pub fn read<A: Arena>(arena: &A) -> Option<Found> {
    let found_root: &Root = arena.view(arena::ROOT)?;
    if found_root.magic != MAGIC || found_root.layout != LAYOUT {
        return None;
    }
    let at = arena.word(arena::ROOT_FRONT)?;
    let mut found = Found {
        directory: found_root.directory,
        ..Found::default()
    };
    if at == 0 {
        return Some(found);
    }
    let header: &FrontHeader = arena.view(at)?;
    let count = header.mask.checked_add(1)?;
    found.front_region = Some((at, SERVICES.checked_add(count.checked_mul(UNIT)?)?));
    read_fixed(arena, at, &mut found.front)?;
    for slot in 0..count {
        let entry_at = at + SERVICES + slot * UNIT;
        let entry: &ServiceEntry = arena.view(entry_at)?;
        if entry.flags & OWN != 0 {
            found.front.own_addresses.insert(entry.key.addr.to_ip());
        }
        if entry.flags & SERVICE != 0 {
            let ring_at = arena.word(entry_at + lb_common::service::ENTRY_RING)?;
            let (ring, ring_length) = read_ring(arena, ring_at, &mut found.backends)?;
            let service = FoundService {
                entry: entry_at,
                key: entry.key,
                hash_key: entry.hash_key,
                steering: Steering {
                    stateful: entry.flags & STATEFUL != 0,
                    by_source: entry.port_mask == 0,
                    budget: entry.budget,
                    client_bits: entry.client_bits,
                },
                ring_at,
                ring_length,
                ring,
            };
            found.services.insert(ServiceId(entry.id), service);
        }
    }
    Some(found)
}

fn read_fixed<A: Arena>(arena: &A, at: u32, front: &mut Front) -> Option<()> {
    let mac = |word: u64| {
        let [a, b, c, d, e, f, ..] = word.to_le_bytes();
        Mac([a, b, c, d, e, f])
    };
    for slot in 0..u32::try_from(INTERFACE_SLOTS).ok()? {
        let entry: &InterfaceEntry = arena.view(at + INTERFACES + slot * 16)?;
        if let Some(index) = IfIndex::new(entry.ifindex) {
            front.interfaces.insert(index, mac(entry.mac));
        }
    }
    for slot in 0..u32::try_from(PEER_SLOTS).ok()? {
        let peer: &u64 = arena.view(at + PEERS + slot * 8)?;
        if *peer != 0 {
            front.peers.insert(mac(*peer));
        }
    }
    Some(())
}

fn read_ring<A: Arena>(
    arena: &A,
    at: u32,
    backends: &mut BTreeMap<BackendId, (u32, BackendEntry)>,
) -> Option<(RingImage, u32)> {
    let header: &RingHeader = arena.view(at)?;
    // Every part lies within the region, and the region within the arena.
    arena.word(at.checked_add(header.length.checked_sub(4)?)?)?;
    let words = |offset: u32, count: u32| -> Option<Vec<u32>> {
        let end = offset.checked_add(count.checked_mul(4)?)?;
        if end > header.length {
            return None;
        }
        (0..count)
            .map(|n| arena.word(at + offset + n * 4))
            .collect()
    };
    let local = |word: u32| u16::try_from(word).ok();
    let slots = words(SLOTS, header.slots)?;
    let mut locals = Vec::new();
    for entry_at in words(header.local_table, header.locals)? {
        let entry: &BackendEntry = arena.view(entry_at)?;
        backends.insert(BackendId(entry.id), (entry_at, *entry));
        locals.push(BackendId(entry.id));
    }
    let since = match header.times {
        0 => Vec::new(),
        times => words(times, header.slots)?,
    };
    let older = words(header.older, header.older_slots)?;
    let older: Option<Arc<[u16]>> = older
        .into_iter()
        .map(|word| local(word).map(|over| over.wrapping_sub(1)))
        .collect();
    let sequence: Option<Arc<[u16]>> = words(header.sequence, header.sequence_length)?
        .into_iter()
        .map(local)
        .collect();
    let ring = RingImage {
        locals: locals.into(),
        slots: slots.into_iter().map(Slot::from_word).collect(),
        since: since.into(),
        older: (header.older_slots != 0).then_some(older?).map(|slots| {
            Arc::new(OlderRing {
                slots,
                since: header.older_since,
            })
        }),
        sequence: sequence?,
        sequence_start: header.sequence_start,
    };
    Some((ring, header.length))
}

/// How many entries may be moved to make room for one.
const DISPLACEMENTS: u32 = 3;
/// Seeds tried before the table is doubled.
const SEEDS_PER_SIZE: u64 = 32;

#[cfg(test)]
mod tests;
