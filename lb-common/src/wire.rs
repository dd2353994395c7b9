//! Header layouts as they are on the wire.
//!
//! Every struct is byte-aligned and without padding (both proven by the derives), so that it can be
//! looked at in place; multi-byte fields are in network order by type.

pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;
pub mod udp;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a header must be to be viewed in and stored to a packet.
pub trait Header: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Copy> Header for T {}

/// 16 bits in the machine's order at any alignment: for bytes that are only compared or copied.
pub type Raw16 = zerocopy::native_endian::U16;
/// 32 bits, likewise.
pub type Raw32 = zerocopy::native_endian::U32;
/// 64 bits, likewise.
pub type Raw64 = zerocopy::native_endian::U64;
/// 16 bits in network order.
pub type Be16 = zerocopy::network_endian::U16;
/// 32 bits in network order.
pub type Be32 = zerocopy::network_endian::U32;
