//! ICMP (RFC 792) and ICMPv6 (RFC 4443 §2.1): the header that both have, and the errors among their types.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Be32, Raw16};

/// Length of the header, bytes; in an error, the packet that it is about follows.
pub const LEN: u32 = 8;

/// ICMP: destination unreachable.
pub const UNREACHABLE: u8 = 3;
/// ICMP, code of [`UNREACHABLE`]: it does not fit and must not be fragmented (RFC 1191 §4).
pub const FRAGMENTATION_NEEDED: u8 = 4;
/// ICMP: time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// ICMP: parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;

/// ICMPv6: packet too big (RFC 4443 §3.2).
pub const V6_TOO_BIG: u8 = 2;
/// ICMPv6: the last type of an error that is defined; the first one is 1.
pub const V6_LAST_ERROR: u8 = 4;

/// The header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Icmp {
    /// What it says.
    pub kind: u8,
    /// More exactly.
    pub code: u8,
    /// Over the message; in ICMPv6 over a pseudo-header, too.
    pub checksum: Raw16,
    /// In a too-big the MTU: all 32 bits (ICMPv6), or the lower 16 (ICMP).
    pub rest: Be32,
}

/// Whether an ICMP message is about a packet that it carries. A redirect is one, too, but about our own
/// routes: it is for this host.
#[inline(always)]
#[must_use]
pub const fn is_error(kind: u8) -> bool {
    kind == UNREACHABLE || kind == TIME_EXCEEDED || kind == PARAMETER_PROBLEM
}

/// Likewise for ICMPv6.
#[inline(always)]
#[must_use]
pub const fn is_error_v6(kind: u8) -> bool {
    kind != 0 && kind <= V6_LAST_ERROR
}
