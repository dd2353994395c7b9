//! TCP (RFC 9293 §3.1): the fixed header.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Be16, Be32};

/// Length without options, bytes.
pub const LEN: u32 = 20;
/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// Synchronise: a connection begins.
pub const SYN: u8 = 0x02;
/// The connection is gone.
pub const RST: u8 = 0x04;
/// The acknowledgement field is valid.
pub const ACK: u8 = 0x10;

/// The fixed part of the header.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Tcp {
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// Sequence number.
    pub sequence: Be32,
    /// Acknowledgement number.
    pub acknowledgement: Be32,
    /// Header length in 4-byte units in the upper 4 bits.
    pub data_offset: u8,
    /// [`SYN`], [`ACK`], …
    pub flags: u8,
    /// Receive window.
    pub window: Be16,
    /// Over pseudo-header, header and payload.
    pub checksum: Be16,
    /// Urgent pointer.
    pub urgent: Be16,
}
