//! Outer headers of tunnelled packets, as values (RFC 2003, RFC 2473, RFC 4213).

use crate::{
    addr::Addr,
    backend::{BackendEntry, ForwardMode},
    flow::{IPIP, IPV6},
    wire::{
        Be16, Be32, Raw16, Raw32, Raw64,
        ipv4::{self, Ipv4},
        ipv6::{self, Ipv6},
    },
};

/// TTL and hop limit of outer headers: a backend is never far.
pub const OUTER_TTL: u8 = 64;

/// Bytes that a [`ForwardMode`] adds to the IP packet.
#[inline(always)]
#[must_use]
pub const fn overhead(mode: u8) -> u32 {
    if mode == ForwardMode::TunnelV4 as u8 {
        ipv4::LEN
    } else if mode == ForwardMode::TunnelV6 as u8 {
        ipv6::LEN
    } else {
        0
    }
}

/// What the outer header takes over from the inner packet.
#[derive(Clone, Copy, Debug)]
pub struct Inner {
    /// Whether it is IPv4.
    pub v4: bool,
    /// Its length by its own header, bytes: link-layer padding is not part of it.
    pub length: u32,
    /// DSCP and ECN, copied as they are (RFC 6040 §4.1, normal mode).
    pub tos: u8,
    /// The flow's hash.
    pub hash: u32,
}

impl Inner {
    const fn protocol(&self) -> u8 {
        if self.v4 { IPIP } else { IPV6 }
    }
}

/// The outer source: `source_bits` low bits of it vary with the flow, so that the backend's network
/// card spreads tunnelled flows over its receive queues.
#[inline(always)]
#[must_use]
pub const fn spread(word: u32, source_bits: u8, hash: u32) -> u32 {
    if source_bits == 0 {
        return word;
    }
    let mask = (((1u64 << (source_bits & 31)) - 1) as u32).to_be();
    word & !mask | hash & mask
}

/// The outer IPv4 header. Never fragmented on the way: the MTU was checked, and an atomic packet
/// needs no id (RFC 6864 §4).
#[inline(always)]
#[must_use]
pub fn outer_v4(backend: &BackendEntry, inner: &Inner) -> Ipv4 {
    let source = spread(
        backend.tunnel_source.v4_word(),
        backend.source_bits,
        inner.hash,
    );
    let destination = backend.address.v4_word();
    // Both fit: the sum was compared with a 16-bit MTU.
    let total_length = (inner.length + ipv4::LEN) as u16;
    let mut header = Ipv4 {
        version_ihl: 0x45,
        tos: inner.tos,
        total_length: Be16::new(total_length),
        id: Be16::ZERO,
        flags_offset: Be16::new(ipv4::DONT_FRAGMENT),
        ttl: OUTER_TTL,
        protocol: inner.protocol(),
        checksum: Raw16::ZERO,
        source: Raw32::new(source),
        destination: Raw32::new(destination),
    };
    header.checksum = Raw16::new(header.sum());
    header
}

/// The outer IPv6 header; the flow label carries the hash for routers that spread by it (RFC 6438).
#[inline(always)]
#[must_use]
pub fn outer_v6(backend: &BackendEntry, inner: &Inner) -> Ipv6 {
    let [source_high, source_low] = backend.tunnel_source.words();
    let low = Addr::from_words([source_high, source_low]).v4_word();
    let spread_low = spread(low, backend.source_bits, inner.hash);
    let source_low = if cfg!(target_endian = "little") {
        source_low & 0xffff_ffff | (spread_low as u64) << 32
    } else {
        source_low & !0xffff_ffff | spread_low as u64
    };
    let [destination_high, destination_low] = backend.address.words();
    // Both fit: the sum was compared with a 16-bit MTU.
    let payload_length = inner.length as u16;
    Ipv6 {
        version_class_label: Be32::new(
            6 << 28 | u32::from(inner.tos) << 20 | inner.hash & 0x000f_ffff,
        ),
        payload_length: Be16::new(payload_length),
        next_header: inner.protocol(),
        hop_limit: OUTER_TTL,
        source: [Raw64::new(source_high), Raw64::new(source_low)],
        destination: [Raw64::new(destination_high), Raw64::new(destination_low)],
    }
}
