//! Ethernet II and 802.1Q/802.1ad tags.
//!
//! ```text
//!  0                   6                   12        14
//! +-------------------+-------------------+---------+
//! |    destination    |      source       |  type   |
//! +-------------------+-------------------+---------+
//! ```

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Be16, Raw16, Raw32};

/// Length of the header without tags, bytes.
pub const LEN: u32 = 14;
/// Length of one VLAN tag, bytes.
pub const TAG_LEN: u32 = 4;
/// IPv4.
pub const IPV4: u16 = 0x0800;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// 802.1Q, the customer tag.
pub const VLAN: u16 = 0x8100;
/// 802.1ad, the service tag.
pub const QINQ: u16 = 0x88a8;

/// The header in front of every frame.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Ethernet {
    /// Both addresses.
    pub macs: Macs,
    /// [`IPV4`], [`IPV6`], [`VLAN`], …
    pub ethertype: Be16,
}

/// Destination and source as raw words: compared and copied, never calculated with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Macs {
    /// Where the frame goes.
    pub destination: MacWords,
    /// Who sent it.
    pub source: MacWords,
}

/// Six bytes as a 4-byte and a 2-byte word.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct MacWords {
    first: Raw32,
    last: Raw16,
}

impl MacWords {
    /// From wire order.
    #[must_use]
    pub fn new(mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self {
            first: Raw32::from_bytes([a, b, c, d]),
            last: Raw16::from_bytes([e, f]),
        }
    }

    /// In wire order.
    #[must_use]
    pub fn octets(&self) -> [u8; 6] {
        let [a, b, c, d] = self.first.to_bytes();
        let [e, f] = self.last.to_bytes();
        [a, b, c, d, e, f]
    }

    /// As one word: two addresses are equal if and only if their words are.
    #[inline(always)]
    #[must_use]
    pub fn word(&self) -> u64 {
        u64::from(self.first.get()) | u64::from(self.last.get()) << 32
    }
}

/// A tag between the addresses and the ethertype it carries.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Tag {
    /// Priority (3 bits), drop-eligible (1 bit), VLAN id (12 bits).
    pub control: Be16,
    /// What follows the tag.
    pub ethertype: Be16,
}

impl Tag {
    /// All zero: no tag.
    pub const NONE: Self = Self {
        control: Be16::ZERO,
        ethertype: Be16::ZERO,
    };
}

/// Whether `ethertype` announces a tag.
#[inline(always)]
#[must_use]
pub const fn is_tag(ethertype: u16) -> bool {
    ethertype == VLAN || ethertype == QINQ
}
