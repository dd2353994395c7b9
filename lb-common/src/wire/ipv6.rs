//! IPv6 (RFC 8200 §3) and the extension headers a balancer has to step over (§4).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Be16, Be32, Raw64};

/// Length of the fixed header, bytes.
pub const LEN: u32 = 40;
/// Next header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub const ROUTING: u8 = 43;
/// Next header: fragment.
pub const FRAGMENT: u8 = 44;
/// Next header: destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

/// The bits of [`Fragment::offset_more`] that mean nothing.
pub const FRAGMENT_RESERVED: u16 = 0x0006;

/// The fixed header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Ipv6 {
    /// Version (4 bits), traffic class (8 bits), flow label (20 bits).
    pub version_class_label: Be32,
    /// Everything after this header, bytes.
    pub payload_length: Be16,
    /// Type of the next header.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Source address, two raw words.
    pub source: [Raw64; 2],
    /// Destination address.
    pub destination: [Raw64; 2],
}

/// The common start of hop-by-hop, destination options and routing headers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Extension {
    /// Type of the header after this one.
    pub next_header: u8,
    /// Length in 8-byte units, not counting the first 8.
    pub length: u8,
    /// Routing header: its type.
    pub routing_type: u8,
    /// Routing header: hops still to visit.
    pub segments_left: u8,
}

/// The fragment header (RFC 8200 §4.5).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Fragment {
    /// Type of the header after this one.
    pub next_header: u8,
    /// Ignored by receivers.
    pub reserved: u8,
    /// Offset in 8-byte units in the upper 13 bits; "more" in the lowest.
    pub offset_more: Be16,
    /// Groups fragments.
    pub id: Be32,
}
