//! The front table: what is ours. Interfaces, own addresses, peers and services, in one region
//! that is replaced as a whole.
//!
//! ```text
//! +0      FrontHeader                       64 bytes
//! +64     filter over own addresses         64 bytes
//! +128    InterfaceEntry × INTERFACE_SLOTS  16 bytes each, placed by a collision-free multiplier
//! +1152   PeerEntry × PEER_SLOTS             8 bytes each, likewise
//! +3200   ServiceEntry × (mask + 1)         64 bytes each, open addressing, ≤ SERVICE_PROBES steps
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    addr::Addr,
    arena::{self, Arena, UNIT},
    flow::ServiceKey,
    hash::{FILTER_WORDS, filter_place, service_hash},
    limits::{INTERFACE_SLOTS, MAX_PEERS, SERVICE_PROBES},
};

/// Slots of the peer table.
pub const PEER_SLOTS: usize = 4 * MAX_PEERS;
/// Offset of the filter over own addresses, [`FILTER_WORDS`] words: a clear
/// [`filter_place`](crate::hash::filter_place) means "not ours for sure".
pub const OWN_FILTER: u32 = UNIT;
/// Offset of the interface slots in the region.
pub const INTERFACES: u32 = OWN_FILTER + (FILTER_WORDS * size_of::<u64>()) as u32;
/// Offset of the peer slots.
pub const PEERS: u32 = INTERFACES + (INTERFACE_SLOTS * size_of::<InterfaceEntry>()) as u32;
/// Offset of the service slots.
pub const SERVICES: u32 = PEERS + (PEER_SLOTS * size_of::<u64>()) as u32;

/// The start of the region.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FrontHeader {
    /// Seed of [`service_hash`], chosen so that no key needs more than [`SERVICE_PROBES`] steps.
    pub seed: u64,
    /// Filter over peers' MACs, by [`crate::hash::mac_filter_bit`].
    pub peer_filter: u64,
    /// Multiplier of [`peer_slot`].
    pub peer_multiplier: u64,
    /// Service slots − 1; the slots are a power of two.
    pub mask: u32,
    /// Multiplier of [`interface_slot`].
    pub interface_multiplier: u32,
    /// How far [`service_hash`] is shifted to give a slot.
    pub shift: u32,
    /// Always 0.
    pub reserved: [u32; 7],
}

/// An interface that XDP is attached to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct InterfaceEntry {
    /// The kernel's index; 0: empty slot.
    pub ifindex: u32,
    /// Always 0.
    pub reserved: u32,
    /// Its address as [`crate::wire::ethernet::MacWords::word`].
    pub mac: u64,
}

/// A slot of the service table: a service, or an address of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ServiceEntry {
    /// What it is about; protocol 0 for an address.
    pub key: ServiceKey,
    /// Key of the flow hash.
    pub hash_key: u64,
    /// [`SERVICE`], [`VIP`], [`OWN`], [`STATEFUL`]; 0: empty slot.
    pub flags: u32,
    /// Index in `services` and `service_stats`.
    pub id: u32,
    /// Where the ring region is; 0: no backends. Flipped.
    pub ring: u32,
    /// New flows that may be remembered in one [`crate::connections`] tick.
    pub budget: u32,
    /// What of the client's port is in the flow hash: 0xffff, or 0 for nothing.
    pub port_mask: u32,
    /// Leading bits of the address (of 128, see [`Addr::prefix`]) that make two sources one client whose
    /// flows stay together; 0: flows go each its way. Only together with [`STATEFUL`].
    pub client_bits: u32,
    /// Always 0.
    pub reserved: [u32; 2],
}

/// [`ServiceEntry::flags`]: a service.
pub const SERVICE: u32 = 1;
/// [`ServiceEntry::flags`]: an address that some service has.
pub const VIP: u32 = 2;
/// [`ServiceEntry::flags`]: an address of this host.
pub const OWN: u32 = 4;

/// [`ServiceEntry::flags`]: every flow is remembered, and new ones are spread by the ring's sequence where
/// it has one. No slot of its ring is [`Plain`](crate::ring::Previous::Plain), which is looked at before
/// anything else.
pub const STATEFUL: u32 = 8;

/// Offset of [`ServiceEntry::ring`] in its entry.
pub const ENTRY_RING: u32 = 40;

const _: () = assert!(size_of::<FrontHeader>() == UNIT as usize);
const _: () = assert!(size_of::<ServiceEntry>() == UNIT as usize);
const _: () = assert!(size_of::<InterfaceEntry>() == 16);
const _: () = assert!(core::mem::offset_of!(ServiceEntry, ring) == ENTRY_RING as usize);
const _: () = assert!(SERVICES.is_multiple_of(UNIT));

/// The slot of an interface.
#[inline(always)]
#[must_use]
pub const fn interface_slot(multiplier: u32, ifindex: u32) -> u32 {
    ifindex.wrapping_mul(multiplier) >> (32 - INTERFACE_SLOTS.trailing_zeros())
}

/// The slot where a service's probing starts.
#[inline(always)]
#[must_use]
pub const fn first_slot(seed: u64, shift: u32, key: &ServiceKey) -> u32 {
    (service_hash(seed, key) >> (shift & 63)) as u32
}

/// The slot of a peer.
#[inline(always)]
#[must_use]
pub const fn peer_slot(multiplier: u64, mac: u64) -> u32 {
    (mac.wrapping_mul(multiplier) >> (64 - PEER_SLOTS.trailing_zeros())) as u32
}

/// The front table in force: its header and where it is.
#[derive(Clone, Copy)]
pub struct Front<'a> {
    /// Its header.
    pub header: &'a FrontHeader,
    /// Byte offset of the region.
    pub at: u32,
}

/// The front table in force; `None` before the agent has written one.
#[inline(always)]
pub fn front<A: Arena>(arena: &A) -> Option<Front<'_>> {
    let at = arena.word(arena::ROOT_FRONT)?;
    if at == 0 {
        return None;
    }
    Some(Front {
        header: arena.view(at)?,
        at,
    })
}

/// An entry and where it is (the place is needed to read its flipped word).
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// The entry; its `ring` is to be read by [`Found::ring`].
    pub entry: &'a ServiceEntry,
    at: u32,
}

impl Found<'_> {
    /// Where the entry is.
    #[inline(always)]
    #[must_use]
    pub const fn at(&self) -> u32 {
        self.at
    }

    /// Where the service's ring region is now; 0: none.
    #[inline(always)]
    pub fn ring<A: Arena>(&self, arena: &A) -> u32 {
        ring_of(arena, self.at)
    }
}

/// Where the ring region is now of the service whose entry is at `at`; 0: none.
#[inline(always)]
pub fn ring_of<A: Arena>(arena: &A, at: u32) -> u32 {
    arena.word(at + ENTRY_RING).unwrap_or(0)
}

impl<'a> Front<'a> {
    /// Looks a key up: at most [`SERVICE_PROBES`] cache lines, usually one.
    #[inline(always)]
    pub fn find<A: Arena>(&self, arena: &'a A, key: &ServiceKey) -> Option<Found<'a>> {
        let start = first_slot(self.header.seed, self.header.shift, key);
        let mut probe = 0;
        while probe < SERVICE_PROBES {
            let slot = start.wrapping_add(probe) & self.header.mask;
            let at = self.at + SERVICES + slot * UNIT;
            let entry: &ServiceEntry = arena.view(at)?;
            if entry.flags == 0 {
                return None;
            }
            if entry.key.port_protocol == key.port_protocol && entry.key.addr == key.addr {
                return Some(Found { entry, at });
            }
            probe += 1;
        }
        None
    }

    /// What is known of an address: a mix of [`VIP`] and [`OWN`], 0 for nothing.
    #[inline(always)]
    pub fn address_flags<A: Arena>(&self, arena: &'a A, addr: Addr) -> u32 {
        match self.find(arena, &ServiceKey::address_only(addr)) {
            Some(found) => found.entry.flags,
            None => 0,
        }
    }

    /// Whether `addr` is this host's: mostly answered by one bit.
    #[inline(always)]
    pub fn is_own<A: Arena>(&self, arena: &'a A, addr: Addr) -> bool {
        let (word, bit) = filter_place(&addr);
        match arena.view::<u64>(self.at + OWN_FILTER + word * 8) {
            Some(filter) if filter & bit != 0 => self.address_flags(arena, addr) & OWN != 0,
            _ => false,
        }
    }

    /// The MAC of the interface a frame came in by; `None` if we are not attached to it.
    #[inline(always)]
    pub fn interface_mac<A: Arena>(&self, arena: &'a A, ifindex: u32) -> Option<u64> {
        let slot = interface_slot(self.header.interface_multiplier, ifindex);
        let entry: &InterfaceEntry = arena.view(self.at + INTERFACES + slot * 16)?;
        (entry.ifindex == ifindex).then_some(entry.mac)
    }

    /// Whether `mac` is a peer balancer's.
    #[inline(always)]
    pub fn is_peer<A: Arena>(&self, arena: &'a A, mac: u64) -> bool {
        if self.header.peer_filter & crate::hash::mac_filter_bit(mac) == 0 {
            return false;
        }
        let slot = peer_slot(self.header.peer_multiplier, mac);
        arena.view::<u64>(self.at + PEERS + slot * 8) == Some(&mac)
    }
}
