//! IPv4 (RFC 791 §3.1).
//!
//! ```text
//!  0        1        2                 4
//! +--------+--------+-----------------+
//! |ver|IHL |  TOS   |  total length   |
//! +--------+--------+-----------------+
//! | identification  |flags| offset    |
//! +--------+--------+-----------------+
//! |  TTL   |protocol| header checksum |
//! +--------+--------+-----------------+
//! |               source              |
//! +-----------------------------------+
//! |            destination            |
//! +-----------------------------------+
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Be16, Raw16, Raw32};
use crate::csum;

/// Length without options, bytes.
pub const LEN: u32 = 20;
/// "Don't fragment" in [`Ipv4::flags_offset`].
pub const DONT_FRAGMENT: u16 = 0x4000;
/// "More fragments".
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// The fragment offset, in units of 8 bytes.
pub const OFFSET: u16 = 0x1fff;

/// The fixed part of the header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Ipv4 {
    /// Version (4) and header length in 4-byte units.
    pub version_ihl: u8,
    /// DSCP (6 bits) and ECN (2 bits), RFC 2474, RFC 3168.
    pub tos: u8,
    /// Header and payload, bytes.
    pub total_length: Be16,
    /// Groups fragments.
    pub id: Be16,
    /// [`DONT_FRAGMENT`], [`MORE_FRAGMENTS`], [`OFFSET`].
    pub flags_offset: Be16,
    /// Hops left.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// Over the header; raw, because one's complement sums do not care about byte order (RFC 1071).
    pub checksum: Raw16,
    /// Source address.
    pub source: Raw32,
    /// Destination address.
    pub destination: Raw32,
}

impl Ipv4 {
    /// The checksum of a header without options, whatever stands in its place: natively loaded.
    #[inline(always)]
    #[must_use]
    pub fn sum(&self) -> u16 {
        let (source, destination) = (self.source.get(), self.destination.get());
        csum::full([
            u16::from_ne_bytes([self.version_ihl, self.tos]),
            self.total_length.get().to_be(),
            self.id.get().to_be(),
            self.flags_offset.get().to_be(),
            u16::from_ne_bytes([self.ttl, self.protocol]),
            (source & 0xffff) as u16,
            (source >> 16) as u16,
            (destination & 0xffff) as u16,
            (destination >> 16) as u16,
        ])
    }
}
