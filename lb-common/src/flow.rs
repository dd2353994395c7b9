//! The 5-tuple, in the two halves that the data plane needs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::Addr;

/// TCP, as in the IPv4 protocol and IPv6 next-header fields.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP (IPv4).
pub const ICMP: u8 = 1;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// IPv4 inside IP (RFC 2003).
pub const IPIP: u8 = 4;
/// IPv6 inside IP (RFC 2473, RFC 4213).
pub const IPV6: u8 = 41;

/// What a client aims at: the key of the service table. The same 24 bytes in the arena.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct ServiceKey {
    /// The virtual address.
    pub addr: Addr,
    /// Port, protocol and kind in one word, so that a compare is one instruction: see [`ServiceKey::new`].
    pub port_protocol: u32,
    /// Keeps the key a multiple of 8 bytes; always 0.
    pub zero: u32,
}

impl ServiceKey {
    /// `port` in host order.
    #[inline(always)]
    #[must_use]
    pub const fn new(addr: Addr, port: u16, protocol: u8) -> Self {
        Self {
            addr,
            port_protocol: (port as u32) << 8 | protocol as u32,
            zero: 0,
        }
    }

    /// The key under which an *address* is known, whatever the port: protocol 0.
    #[inline(always)]
    #[must_use]
    pub const fn address_only(addr: Addr) -> Self {
        Self::new(addr, 0, 0)
    }

    /// Port, host order.
    #[must_use]
    pub const fn port(&self) -> u16 {
        (self.port_protocol >> 8) as u16
    }

    /// IP protocol number; 0 for an address entry.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        (self.port_protocol & 0xff) as u8
    }
}

/// A flow as the program and `explain` see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Client address.
    pub source: Addr,
    /// Virtual address.
    pub destination: Addr,
    /// Client port, host order.
    pub source_port: u16,
    /// Service port, host order.
    pub destination_port: u16,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
}

impl FlowKey {
    /// The service this flow aims at.
    #[inline(always)]
    #[must_use]
    pub const fn service(&self) -> ServiceKey {
        ServiceKey::new(self.destination, self.destination_port, self.protocol)
    }
}
