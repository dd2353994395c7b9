//! The one answer that the program gives itself: a packet does not fit its backend's path, and the client
//! is told what does (RFC 1191 §4, RFC 4443 §3.2). Without it, path MTU discovery would end here: the
//! client cannot know of the tunnel.

use crate::{
    csum,
    flow::{ICMP, ICMPV6},
    forward::{self, ReceivedTags},
    packet::{Frame, FrameMut},
    parse::{Kind, Parsed},
    wire::{
        Be16, Be32, Raw16, Raw64,
        ethernet::{self, Ethernet, Macs},
        icmp::{self, Icmp},
        ipv4::{self, Ipv4},
        ipv6::{self, Ipv6},
    },
};

/// Bytes of the packet that the answer carries: with options and extension headers the ports are still
/// among them (a receiver needs 8 bytes of the transport header), and the answer is never the longer one.
pub const EMBEDDED: u32 = 128;

/// Whether anybody wants to hear that this packet does not fit: nobody is told of an error or of the
/// middle of a packet (RFC 1122 §3.2.2), and an IPv4 sender that allows fragments did not ask.
#[inline(always)]
#[must_use]
pub fn is_wanted<F: Frame>(frame: &F, packet: &Parsed) -> bool {
    if !matches!(packet.kind, Kind::Whole | Kind::FirstFragment) {
        return false;
    }
    let dont_fragment = frame
        .view::<Ipv4>(packet.l3)
        .is_some_and(|ip| ip.flags_offset.get() & ipv4::DONT_FRAGMENT != 0);
    !packet.v4 || dont_fragment
}

/// Turns the frame, whose IP header is at `l3`, into the answer to it: `mtu` bytes of IP would fit. `None` where it cannot be done;
/// the frame is then of no use any more.
#[inline(always)]
pub fn too_big<F: FrameMut>(frame: &mut F, l3: u32, v4: bool, mtu: u32) -> Option<()> {
    let link = *frame.view::<Ethernet>(0)?;
    let tags = forward::received_tags(frame, l3);
    let sum = sum(frame, l3)?;
    frame.set_length(l3 + EMBEDDED)?;
    if v4 {
        let ip = header_v4(frame.view(l3)?);
        frame.grow_head((ipv4::LEN + icmp::LEN).cast_signed())?;
        frame.store(l3, ip)?;
        let message = Icmp {
            kind: icmp::UNREACHABLE,
            code: icmp::FRAGMENTATION_NEEDED,
            checksum: Raw16::ZERO,
            rest: Be32::new(mtu & 0xffff),
        };
        frame.store(l3 + ipv4::LEN, checked(message, sum))?;
    } else {
        let ip = header_v6(frame.view(l3)?);
        frame.grow_head((ipv6::LEN + icmp::LEN).cast_signed())?;
        let message = Icmp {
            kind: icmp::V6_TOO_BIG,
            code: 0,
            checksum: Raw16::ZERO,
            rest: Be32::new(mtu),
        };
        frame.store(l3 + ipv6::LEN, checked(message, sum + pseudo(&ip)))?;
        frame.store(l3, ip)?;
    }
    turn_round(frame, link, tags, v4)
}

/// Sum of what is embedded, over its words as loaded natively.
#[inline(always)]
fn sum<F: FrameMut>(frame: &F, at: u32) -> Option<u64> {
    let words: &[Raw64; EMBEDDED as usize / 8] = frame.view(at)?;
    let mut sum = 0;
    let mut n = 0;
    while n < words.len() {
        sum += halves(words[n].get());
        n += 1;
    }
    Some(sum)
}

#[inline(always)]
const fn halves(word: u64) -> u64 {
    (word >> 32) + (word & 0xffff_ffff)
}

/// Sum of the pseudo-header (RFC 8200 §8.1).
#[inline(always)]
fn pseudo(ip: &Ipv6) -> u64 {
    let [source_high, source_low] = ip.source;
    let [high, low] = ip.destination;
    halves(source_high.get())
        + halves(source_low.get())
        + halves(high.get())
        + halves(low.get())
        + u64::from((icmp::LEN + EMBEDDED).to_be())
        + u64::from(u32::from(ICMPV6).to_be())
}

/// The message with its checksum, `rest` being the sum of everything else.
#[inline(always)]
fn checked(message: Icmp, rest: u64) -> Icmp {
    let first = u32::from(u16::from_ne_bytes([message.kind, message.code]));
    let last = message.rest.get().to_be();
    let sum = rest + u64::from(first) + u64::from(last);
    // Fewer than 2^16 words of 32 bits: two steps leave 32 bits, and 16-bit words add up the same.
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16 & 0xffff) + (sum >> 32) + (sum & 0xffff);
    Icmp {
        checksum: Raw16::new(!csum::fold(sum as u32)),
        ..message
    }
}

#[inline(always)]
fn header_v4(about: &Ipv4) -> Ipv4 {
    let total_length = (ipv4::LEN + icmp::LEN + EMBEDDED) as u16;
    let mut header = Ipv4 {
        version_ihl: 0x45,
        tos: 0,
        total_length: Be16::new(total_length),
        id: Be16::ZERO,
        flags_offset: Be16::new(ipv4::DONT_FRAGMENT),
        ttl: TTL,
        protocol: ICMP,
        checksum: Raw16::ZERO,
        source: about.destination,
        destination: about.source,
    };
    header.checksum = Raw16::new(header.sum());
    header
}

#[inline(always)]
fn header_v6(about: &Ipv6) -> Ipv6 {
    Ipv6 {
        version_class_label: Be32::new(6 << 28),
        payload_length: Be16::new((icmp::LEN + EMBEDDED) as u16),
        next_header: ICMPV6,
        hop_limit: TTL,
        source: about.destination,
        destination: about.source,
    }
}

/// Back to whoever sent the frame, by the same interface and with the same tags.
#[inline(always)]
fn turn_round<F: FrameMut>(
    frame: &mut F,
    link: Ethernet,
    tags: ReceivedTags,
    v4: bool,
) -> Option<()> {
    let ethertype = if v4 { ethernet::IPV4 } else { ethernet::IPV6 };
    tags.write(frame, ethertype)?;
    frame.store(
        0,
        Ethernet {
            macs: Macs {
                destination: link.macs.source,
                source: link.macs.destination,
            },
            ethertype: Be16::new(tags.first_type(ethertype)),
        },
    )
}

/// As hosts send.
const TTL: u8 = 64;
