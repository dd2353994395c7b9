//! What the program must know of a backend to send to it: one cache line.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    addr::Addr,
    arena::{self, Arena, UNIT},
    limits::MAX_VLAN_TAGS,
    wire::ethernet::Macs,
};

/// How packets reach a backend. 0 is no mode, so that a zeroed entry sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ForwardMode {
    /// The frame is re-addressed to the backend.
    DirectRouting = 1,
    /// The packet is put into an IPv4 packet.
    TunnelV4 = 2,
    /// The packet is put into an IPv6 packet.
    TunnelV6 = 3,
    /// The backend is this host: the packet goes up.
    Local = 4,
    /// The next hop has no link-layer address.
    Unresolved = 5,
}

impl ForwardMode {
    /// From [`BackendEntry::mode`].
    #[inline(always)]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::DirectRouting),
            2 => Some(Self::TunnelV4),
            3 => Some(Self::TunnelV6),
            4 => Some(Self::Local),
            5 => Some(Self::Unresolved),
            _ => None,
        }
    }
}

/// [`BackendEntry::tags`]: the frame leaves with the tags it came with.
pub const TAGS_AS_RECEIVED: u8 = 0xff;

/// [`BackendEntry::flags`]: what it served is lost, and nothing is remembered of it. Also for the agent,
/// which must see a death only once.
pub const DEAD: u8 = 1;

/// [`BackendEntry::flags`]: it gets no new flows, not even of clients that are known to be with it.
pub const CLOSED: u8 = 2;

/// Where a backend's entry is now, by its id: how a remembered flow finds it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DirectoryEntry {
    /// Byte offset of the [`BackendEntry`]; 0: nobody has this id. Flipped.
    pub entry: u32,
    /// The last generation of this id, kept while nobody has it.
    pub generation: u32,
}

/// Where the entry of a backend is that a remembered flow names, if that is still the one that was
/// meant and lives.
#[inline(always)]
pub fn by_id<A: Arena>(arena: &A, id: u16, generation: u16) -> Option<u32> {
    let directory = arena.word(arena::ROOT_DIRECTORY)?;
    if directory == 0 {
        return None;
    }
    let at = arena.word(directory + u32::from(id) * size_of::<DirectoryEntry>() as u32)?;
    if at == 0 {
        return None;
    }
    let entry: &BackendEntry = arena.view(at)?;
    // The id is compared, too: the directory may be shorter than an id is wide.
    (entry.id == u32::from(id) && entry.generation == generation).then_some(at)
}

/// A backend. Immutable once published; a change is a new entry and a flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackendEntry {
    /// Destination: the next hop's. Source: the output interface's.
    pub macs: Macs,
    /// Output interface.
    pub ifindex: u32,
    /// Index in `backends` and `backend_stats`.
    pub id: u32,
    /// MTU of the path to the backend, bytes of IP, outer header included.
    pub mtu: u16,
    /// [`ForwardMode`].
    pub mode: u8,
    /// Number of VLAN tags the frame leaves with, or [`TAGS_AS_RECEIVED`].
    pub tags: u8,
    /// The tags' VLAN ids, host order, outermost first.
    pub vlans: [u16; MAX_VLAN_TAGS],
    /// Tunnel: how many low bits of the outer source vary with the flow.
    pub source_bits: u8,
    /// [`DEAD`], [`CLOSED`]
    pub flags: u8,
    /// Counts the backends that have had this id and the times they died; tells a remembered flow
    /// from one that is lost.
    pub generation: u16,
    /// Tunnel: outer source.
    pub tunnel_source: Addr,
    /// Tunnel: outer destination. Otherwise the backend's address, for people.
    pub address: Addr,
}

const _: () = assert!(size_of::<BackendEntry>() == UNIT as usize);
