//! From bytes to the few values that decisions need.
//!
//! Only what is needed to *find* the service is looked at here; what makes a service's packet
//! unfit ([`crate::decide`]) is checked after the lookup, so that traffic that is not ours leaves
//! as early as it can.

use crate::{
    addr::Addr,
    flow::{FlowKey, ICMP, ICMPV6, TCP, UDP},
    limits::MAX_EXTENSION_HEADERS,
    packet::Frame,
    verdict::DropReason,
    wire::{
        ethernet::{self, Ethernet, Tag},
        icmp::{self, Icmp},
        ipv4::{self, Ipv4},
        ipv6::{self, Extension, Fragment, Ipv6},
        udp::Ports,
    },
};

/// What a packet is of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A whole packet of it.
    Whole,
    /// The first of several fragments.
    FirstFragment,
    /// A later fragment: its ports are not known (and 0 here).
    LaterFragment,
    /// An ICMP error about a packet that the service sent to the client.
    Error,
}

/// A packet that may be of a service's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Where the IP header starts, bytes from the start of the frame.
    pub l3: u32,
    /// Where the TCP, UDP or ICMP header starts; of a later fragment, its payload.
    pub l4: u32,
    /// Whether the packet is IPv4.
    pub v4: bool,
    /// The 5-tuple, as the client's packets have it.
    pub flow: FlowKey,
    /// Length of the IP packet by its own header, bytes.
    pub length: u32,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// What it is of the flow.
    pub kind: Kind,
    /// What its fragments have in common; 0 for whole packets.
    pub fragment_id: u32,
}

/// Why there is no [`Parsed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unparsed {
    /// Nothing that a service could be about: ARP, ICMP, a frame too short to tell, …
    Foreign,
    /// Unfit; ours to drop if `destination` is a service's address.
    Defect {
        /// Where the packet is going.
        destination: Addr,
        /// What is wrong with it.
        reason: DropReason,
    },
}

/// The commonest frame in one piece: untagged IPv4 without options.
#[derive(
    Clone,
    Copy,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[repr(C)]
struct PlainV4 {
    ethernet: Ethernet,
    ip: Ipv4,
    ports: Ports,
}

/// The same for IPv6 without extension headers.
#[derive(
    Clone,
    Copy,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[repr(C)]
struct PlainV6 {
    ethernet: Ethernet,
    ip: Ipv6,
    ports: Ports,
}

/// What [`packet()`] says of an untagged, unfragmented IPv4 packet without options; `None` for any
/// other. One bounds check, and offsets that the compiler knows.
#[inline(always)]
pub fn plain_ipv4<F: Frame>(frame: &F) -> Option<Parsed> {
    let plain: &PlainV4 = frame.view(0)?;
    let ip = &plain.ip;
    let whole = ip.flags_offset.get() & (ipv4::MORE_FRAGMENTS | ipv4::OFFSET) == 0;
    let ours = ip.protocol == TCP || ip.protocol == UDP;
    if plain.ethernet.ethertype.get() != ethernet::IPV4 || ip.version_ihl != 0x45 || !whole || !ours
    {
        return None;
    }
    Some(Parsed {
        l3: ethernet::LEN,
        l4: ethernet::LEN + ipv4::LEN,
        v4: true,
        flow: FlowKey {
            source: Addr::from_v4_word(ip.source.get()),
            destination: Addr::from_v4_word(ip.destination.get()),
            source_port: plain.ports.source.get(),
            destination_port: plain.ports.destination.get(),
            protocol: ip.protocol,
        },
        length: u32::from(ip.total_length.get()),
        ttl: ip.ttl,
        tos: ip.tos,
        kind: Kind::Whole,
        fragment_id: 0,
    })
}

/// What [`packet()`] says of an untagged IPv6 packet without extension headers; `None` for any other.
#[inline(always)]
pub fn plain_ipv6<F: Frame>(frame: &F) -> Option<Parsed> {
    let plain: &PlainV6 = frame.view(0)?;
    let ip = &plain.ip;
    let version_class_label = ip.version_class_label.get();
    let destination = address(ip.destination);
    let ours = ip.next_header == TCP || ip.next_header == UDP;
    if plain.ethernet.ethertype.get() != ethernet::IPV6
        || version_class_label >> 28 != 6
        || !ours
        || destination.is_v4()
    {
        return None;
    }
    Some(Parsed {
        l3: ethernet::LEN,
        l4: ethernet::LEN + ipv6::LEN,
        v4: false,
        flow: FlowKey {
            source: address(ip.source),
            destination,
            source_port: plain.ports.source.get(),
            destination_port: plain.ports.destination.get(),
            protocol: ip.next_header,
        },
        length: u32::from(ip.payload_length.get()) + ipv6::LEN,
        ttl: ip.hop_limit,
        tos: (version_class_label >> 20) as u8,
        kind: Kind::Whole,
        fragment_id: 0,
    })
}

/// Finds the 5-tuple of a frame.
///
/// # Errors
///
/// [`Unparsed`], see there.
#[inline(always)]
pub fn packet<F: Frame>(frame: &F) -> Result<Parsed, Unparsed> {
    let mut ethertype = frame
        .view::<Ethernet>(0)
        .ok_or(Unparsed::Foreign)?
        .ethertype
        .get();
    let mut l3 = ethernet::LEN;
    if ethernet::is_tag(ethertype) {
        ethertype = tag(frame, l3)?;
        l3 += ethernet::TAG_LEN;
        if ethernet::is_tag(ethertype) {
            ethertype = tag(frame, l3)?;
            l3 += ethernet::TAG_LEN;
        }
    }
    match ethertype {
        ethernet::IPV4 => ipv4(frame, l3),
        ethernet::IPV6 => ipv6(frame, l3),
        _ => Err(Unparsed::Foreign),
    }
}

#[inline(always)]
fn tag<F: Frame>(frame: &F, at: u32) -> Result<u16, Unparsed> {
    Ok(frame
        .view::<Tag>(at)
        .ok_or(Unparsed::Foreign)?
        .ethertype
        .get())
}

#[inline(always)]
fn ipv4<F: Frame>(frame: &F, l3: u32) -> Result<Parsed, Unparsed> {
    let ip = frame.view::<Ipv4>(l3).ok_or(Unparsed::Foreign)?;
    let destination = Addr::from_v4_word(ip.destination.get());
    let defect = |reason| Unparsed::Defect {
        destination,
        reason,
    };
    let header = u32::from(ip.version_ihl & 0x0f) * 4;
    if ip.version_ihl >> 4 != 4 || header < ipv4::LEN {
        return Err(defect(DropReason::BadIpHeader));
    }
    let l4 = l3 + header;
    let source = Addr::from_v4_word(ip.source.get());
    let mut parsed = Parsed {
        l3,
        l4,
        v4: true,
        flow: FlowKey {
            source,
            destination,
            source_port: 0,
            destination_port: 0,
            protocol: ip.protocol,
        },
        length: u32::from(ip.total_length.get()),
        ttl: ip.ttl,
        tos: ip.tos,
        kind: Kind::Whole,
        fragment_id: 0,
    };
    let fragment = ip.flags_offset.get();
    let is_fragment = fragment & (ipv4::OFFSET | ipv4::MORE_FRAGMENTS) != 0;
    if ip.protocol == ICMP && !is_fragment {
        parsed.flow = embedded_v4(frame, l4, destination).ok_or(Unparsed::Foreign)?;
        parsed.kind = Kind::Error;
        return Ok(parsed);
    }
    if ip.protocol != TCP && ip.protocol != UDP {
        return Err(Unparsed::Foreign);
    }
    if is_fragment {
        parsed.fragment_id = u32::from(ip.id.get());
        parsed.kind = Kind::FirstFragment;
        if fragment & ipv4::OFFSET != 0 {
            parsed.kind = Kind::LaterFragment;
            return Ok(parsed);
        }
    }
    let ports = frame
        .view::<Ports>(l4)
        .ok_or(defect(DropReason::Truncated))?;
    parsed.flow.source_port = ports.source.get();
    parsed.flow.destination_port = ports.destination.get();
    Ok(parsed)
}

/// The flow that an ICMP error is about, as the client's packets have it; `None` where it is no error,
/// or not about anything that `destination`, whom it is for, has sent.
#[inline(always)]
fn embedded_v4<F: Frame>(frame: &F, at: u32, destination: Addr) -> Option<FlowKey> {
    let message = frame.view::<Icmp>(at)?;
    if !icmp::is_error(message.kind) {
        return None;
    }
    let inner = at + icmp::LEN;
    let ip = frame.view::<Ipv4>(inner)?;
    let header = u32::from(ip.version_ihl & 0x0f) * 4;
    let has_ports = ip.flags_offset.get() & ipv4::OFFSET == 0
        && ip.version_ihl >> 4 == 4
        && header >= ipv4::LEN
        && (ip.protocol == TCP || ip.protocol == UDP);
    if !has_ports || Addr::from_v4_word(ip.source.get()) != destination {
        return None;
    }
    let ports = frame.view::<Ports>(inner + header)?;
    Some(FlowKey {
        source: Addr::from_v4_word(ip.destination.get()),
        destination,
        source_port: ports.destination.get(),
        destination_port: ports.source.get(),
        protocol: ip.protocol,
    })
}

#[inline(always)]
fn ipv6<F: Frame>(frame: &F, l3: u32) -> Result<Parsed, Unparsed> {
    let ip = frame.view::<Ipv6>(l3).ok_or(Unparsed::Foreign)?;
    let destination = address(ip.destination);
    // On the wire such a destination means nothing (RFC 4291 §2.5.5.2), and in the service table
    // it would be taken for the IPv4 address.
    if destination.is_v4() {
        return Err(Unparsed::Foreign);
    }
    let defect = |reason| Unparsed::Defect {
        destination,
        reason,
    };
    let version_class_label = ip.version_class_label.get();
    if version_class_label >> 28 != 6 {
        return Err(defect(DropReason::BadIpHeader));
    }
    let transport = extensions(frame, destination, ip.next_header, l3 + ipv6::LEN)?;
    let mut parsed = Parsed {
        l3,
        l4: transport.at,
        v4: false,
        flow: FlowKey {
            source: address(ip.source),
            destination,
            source_port: 0,
            destination_port: 0,
            protocol: transport.protocol,
        },
        length: u32::from(ip.payload_length.get()) + ipv6::LEN,
        ttl: ip.hop_limit,
        tos: (version_class_label >> 20) as u8,
        kind: transport.kind,
        fragment_id: transport.fragment_id,
    };
    if parsed.kind == Kind::LaterFragment {
        return Ok(parsed);
    }
    if transport.protocol == ICMPV6 {
        let whole = parsed.kind == Kind::Whole;
        let flow = embedded_v6(frame, transport.at, destination);
        parsed.flow = flow.filter(|_| whole).ok_or(Unparsed::Foreign)?;
        parsed.kind = Kind::Error;
        return Ok(parsed);
    }
    let ports = frame
        .view::<Ports>(transport.at)
        .ok_or(defect(DropReason::Truncated))?;
    parsed.flow.source_port = ports.source.get();
    parsed.flow.destination_port = ports.destination.get();
    Ok(parsed)
}

/// As [`embedded_v4`]. Extension headers in what is embedded are not followed: servers send none.
#[inline(always)]
fn embedded_v6<F: Frame>(frame: &F, at: u32, destination: Addr) -> Option<FlowKey> {
    let message = frame.view::<Icmp>(at)?;
    if !icmp::is_error_v6(message.kind) {
        return None;
    }
    let inner = at + icmp::LEN;
    let ip = frame.view::<Ipv6>(inner)?;
    let has_ports =
        ip.version_class_label.get() >> 28 == 6 && (ip.next_header == TCP || ip.next_header == UDP);
    if !has_ports || address(ip.source) != destination {
        return None;
    }
    let ports = frame.view::<Ports>(inner + ipv6::LEN)?;
    Some(FlowKey {
        source: address(ip.destination),
        destination,
        source_port: ports.destination.get(),
        destination_port: ports.source.get(),
        protocol: ip.next_header,
    })
}

/// Where the IPv6 header chain ends.
struct Transport {
    at: u32,
    protocol: u8,
    kind: Kind,
    fragment_id: u32,
}

/// Steps over the extension headers, at most [`MAX_EXTENSION_HEADERS`] of them.
#[inline(always)]
fn extensions<F: Frame>(
    frame: &F,
    destination: Addr,
    next_header: u8,
    offset: u32,
) -> Result<Transport, Unparsed> {
    let defect = |reason| Unparsed::Defect {
        destination,
        reason,
    };
    let mut protocol = next_header;
    let mut at = offset;
    let mut kind = Kind::Whole;
    let mut fragment_id = 0;
    let mut walked = 0;
    while protocol != TCP && protocol != UDP && protocol != ICMPV6 {
        match protocol {
            // Only one more header is one too many: what else may follow is not ours.
            ipv6::HOP_BY_HOP | ipv6::DESTINATION_OPTIONS | ipv6::ROUTING | ipv6::FRAGMENT
                if walked == MAX_EXTENSION_HEADERS =>
            {
                return Err(defect(DropReason::ExtensionHeaders));
            }
            ipv6::HOP_BY_HOP | ipv6::DESTINATION_OPTIONS | ipv6::ROUTING => {
                let header = frame
                    .view::<Extension>(at)
                    .ok_or(defect(DropReason::Truncated))?;
                // A packet with segments left is not at its destination yet, and we forward to
                // none but backends (type 0 is deprecated altogether, RFC 5095).
                if protocol == ipv6::ROUTING && header.segments_left != 0 {
                    return Err(defect(DropReason::ExtensionHeaders));
                }
                protocol = header.next_header;
                at += (u32::from(header.length) + 1) * 8;
            }
            ipv6::FRAGMENT => {
                let header = frame
                    .view::<Fragment>(at)
                    .ok_or(defect(DropReason::Truncated))?;
                let offset_more = header.offset_more.get();
                // Neither offset nor more to follow: an atomic fragment (RFC 6946), a whole packet.
                if offset_more & !ipv6::FRAGMENT_RESERVED != 0 {
                    fragment_id = header.id.get();
                    kind = Kind::FirstFragment;
                }
                protocol = header.next_header;
                at += 8;
                if offset_more >> 3 != 0 {
                    // What follows is the middle of something, and this says how it began
                    // (RFC 8200 §4.5): a fragment of a ping is not ours, as in IPv4.
                    return match protocol {
                        TCP | UDP | ipv6::DESTINATION_OPTIONS | ipv6::ROUTING => Ok(Transport {
                            at,
                            protocol,
                            kind: Kind::LaterFragment,
                            fragment_id,
                        }),
                        _ => Err(Unparsed::Foreign),
                    };
                }
            }
            _ => return Err(Unparsed::Foreign),
        }
        walked += 1;
    }
    Ok(Transport {
        at,
        protocol,
        kind,
        fragment_id,
    })
}

#[inline(always)]
fn address(words: [crate::wire::Raw64; 2]) -> Addr {
    let [high, low] = words;
    Addr::from_words([high.get(), low.get()])
}
