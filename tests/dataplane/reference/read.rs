//! What a frame is, read with `pnet_packet`.

use std::net::IpAddr;

use lb_common::verdict::DropReason;
use pnet_packet::{
    ethernet::{EtherType, EtherTypes, EthernetPacket},
    icmp::{IcmpPacket, IcmpTypes},
    icmpv6::Icmpv6Packet,
    ip::IpNextHeaderProtocols as Protocols,
    ipv4::{Ipv4Flags, Ipv4Packet},
    ipv6::{ExtensionPacket, FragmentPacket, Ipv6Packet, RoutingPacket},
    tcp::{TcpFlags, TcpPacket},
    vlan::VlanPacket,
};

use super::FragmentKey;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// 802.1Q and 802.1ad.
const TAG_TYPES: [u16; 2] = [0x8100, 0x88a8];
/// Tags that are read.
const TAGS: usize = 2;
/// Extension headers that are stepped over.
const EXTENSIONS: usize = 6;
/// Length of the header that ICMP and ICMPv6 have, bytes.
const ICMP: usize = 8;

/// What a frame is.
pub(super) enum Read {
    /// Nothing that a service could be about.
    Foreign,
    /// Unfit, and for `destination`.
    Broken {
        destination: IpAddr,
        reason: DropReason,
    },
    /// Something that a service could be about.
    Packet(Packet),
}

/// A packet that may be a service's.
pub(super) struct Packet {
    /// Bytes in front of the IP header.
    pub link: usize,
    /// Bytes of IP headers: what they carry begins after them.
    pub header: usize,
    /// Bytes of the packet by its own header; the frame may have more, or fewer.
    pub length: usize,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub ttl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    pub dont_fragment: bool,
    pub part: Part,
}

/// Which part of a flow's traffic it is.
pub(super) enum Part {
    Whole { ports: Ports },
    First { ports: Ports, id: u32 },
    Later { id: u32 },
    Error { about: Flow },
}

/// Source and destination port.
#[derive(Clone, Copy)]
pub(super) struct Ports(u16, u16);

/// A flow to the packet's destination.
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub client: IpAddr,
    pub client_port: u16,
    pub port: u16,
    pub protocol: u8,
}

/// What a packet says of its connection.
#[derive(Clone, Copy)]
pub(super) enum Segment {
    Tcp {
        flags: u8,
    },
    Udp,
    /// Nothing: it is only about the flow.
    Error,
}

impl Segment {
    /// SYN without ACK.
    pub(super) fn opens(self) -> bool {
        match self {
            Self::Tcp { flags } => flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN,
            _ => false,
        }
    }

    pub(super) fn closes(self) -> bool {
        matches!(self, Self::Tcp { flags } if flags & (TcpFlags::FIN | TcpFlags::RST) != 0)
    }

    pub(super) fn resets(self) -> bool {
        matches!(self, Self::Tcp { flags } if flags & TcpFlags::RST != 0)
    }
}

impl Packet {
    /// The flow that it is of; of a later fragment, whose ports are not known, none.
    pub(super) fn flow(&self) -> Flow {
        let of = |client_port, port| Flow {
            client: self.source,
            client_port,
            port,
            protocol: self.protocol,
        };
        match self.part {
            Part::Whole { ports: Ports(a, b) }
            | Part::First {
                ports: Ports(a, b), ..
            } => of(a, b),
            Part::Later { .. } => of(0, 0),
            Part::Error { about } => about,
        }
    }

    /// What the IP packet carries, as far as the frame goes.
    pub(super) fn carried<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.link + self.header..).unwrap_or(&[])
    }

    /// What it says of its connection; it has been found fit.
    pub(super) fn segment(&self, frame: &[u8]) -> Segment {
        match self.part {
            Part::Error { .. } => Segment::Error,
            _ if self.protocol == UDP => Segment::Udp,
            _ => Segment::Tcp {
                flags: TcpPacket::new(self.carried(frame)).map_or(0, |tcp| tcp.get_flags()),
            },
        }
    }

    /// What all fragments of it have in common, `id` among it.
    pub(super) fn fragment_key(&self, id: u32) -> FragmentKey {
        let protocol = self.source.is_ipv4().then_some(self.protocol);
        (self.source, self.destination, id, protocol)
    }
}

/// Reads a frame.
pub(super) fn frame(bytes: &[u8]) -> Read {
    let Some(ethernet) = EthernetPacket::new(bytes) else {
        return Read::Foreign;
    };
    let mut ethertype = ethernet.get_ethertype();
    let mut link = 14;
    for _ in 0..TAGS {
        if !TAG_TYPES.contains(&ethertype.0) {
            break;
        }
        let Some(tag) = VlanPacket::new(&bytes[link..]) else {
            return Read::Foreign;
        };
        ethertype = tag.get_ethertype();
        link += 4;
    }
    ip(ethertype, bytes, link).unwrap_or(Read::Foreign)
}

fn ip(ethertype: EtherType, bytes: &[u8], link: usize) -> Option<Read> {
    match ethertype {
        EtherTypes::Ipv4 => ipv4(&Ipv4Packet::new(&bytes[link..])?, &bytes[link..], link),
        EtherTypes::Ipv6 => ipv6(&Ipv6Packet::new(&bytes[link..])?, &bytes[link..], link),
        _ => None,
    }
}

/// `None`: foreign.
fn ipv4(ip: &Ipv4Packet<'_>, bytes: &[u8], link: usize) -> Option<Read> {
    let destination = IpAddr::from(ip.get_destination());
    let broken = |reason| {
        Some(Read::Broken {
            destination,
            reason,
        })
    };
    if ip.get_version() != 4 || ip.get_header_length() < 5 {
        return broken(DropReason::BadIpHeader);
    }
    let header = usize::from(ip.get_header_length()) * 4;
    let carried = bytes.get(header..).unwrap_or(&[]);
    let offset = ip.get_fragment_offset();
    let more = ip.get_flags() & Ipv4Flags::MoreFragments != 0;
    let id = u32::from(ip.get_identification());
    let part = match (ip.get_next_level_protocol(), offset, more) {
        (Protocols::Icmp, 0, false) => Part::Error {
            about: embedded_v4(carried, destination)?,
        },
        (Protocols::Tcp | Protocols::Udp, 1.., _) => Part::Later { id },
        (Protocols::Tcp | Protocols::Udp, 0, _) => match (ports(carried), more) {
            (None, _) => return broken(DropReason::Truncated),
            (Some(ports), false) => Part::Whole { ports },
            (Some(ports), true) => Part::First { ports, id },
        },
        _ => return None,
    };
    Some(Read::Packet(Packet {
        link,
        header,
        length: ip.get_total_length().into(),
        source: ip.get_source().into(),
        destination,
        protocol: ip.get_next_level_protocol().0,
        ttl: ip.get_ttl(),
        tos: ip.get_dscp() << 2 | ip.get_ecn(),
        dont_fragment: ip.get_flags() & Ipv4Flags::DontFragment != 0,
        part,
    }))
}

/// The first four bytes of TCP and UDP.
fn ports(bytes: &[u8]) -> Option<Ports> {
    let [a, b, c, d, ..] = *bytes else {
        return None;
    };
    Some(Ports(
        u16::from_be_bytes([a, b]),
        u16::from_be_bytes([c, d]),
    ))
}

/// The flow of the packet in an ICMP error to `whom`, if `whom` has sent it.
fn embedded_v4(message: &[u8], whom: IpAddr) -> Option<Flow> {
    let kind = IcmpPacket::new(message.get(..ICMP)?)?.get_icmp_type();
    if kind != IcmpTypes::DestinationUnreachable
        && kind != IcmpTypes::TimeExceeded
        && kind != IcmpTypes::ParameterProblem
    {
        return None;
    }
    let bytes = &message[ICMP..];
    let ip = Ipv4Packet::new(bytes)?;
    let is_one = ip.get_version() == 4 && ip.get_header_length() >= 5;
    if !is_one || ip.get_fragment_offset() != 0 || IpAddr::from(ip.get_source()) != whom {
        return None;
    }
    let carried = bytes.get(usize::from(ip.get_header_length()) * 4..)?;
    let protocol = ip.get_next_level_protocol().0;
    back(ip.get_destination().into(), protocol, carried)
}

/// The same for ICMPv6; servers send no extension headers.
fn embedded_v6(message: &[u8], whom: IpAddr) -> Option<Flow> {
    let kind = Icmpv6Packet::new(message.get(..ICMP)?)?.get_icmpv6_type().0;
    if !(1..=4).contains(&kind) {
        return None;
    }
    let bytes = &message[ICMP..];
    let ip = Ipv6Packet::new(bytes)?;
    if ip.get_version() != 6 || IpAddr::from(ip.get_source()) != whom {
        return None;
    }
    back(
        ip.get_destination().into(),
        ip.get_next_header().0,
        &bytes[40..],
    )
}

/// The flow whose backend has sent `carried` to `client`.
fn back(client: IpAddr, protocol: u8, carried: &[u8]) -> Option<Flow> {
    if protocol != TCP && protocol != UDP {
        return None;
    }
    let Ports(port, client_port) = ports(carried)?;
    Some(Flow {
        client,
        client_port,
        port,
        protocol,
    })
}

/// `None`: foreign.
fn ipv6(ip: &Ipv6Packet<'_>, bytes: &[u8], link: usize) -> Option<Read> {
    // On the wire it means nothing, and it is not the IPv4 service's.
    if ip.get_destination().to_ipv4_mapped().is_some() {
        return None;
    }
    let destination = IpAddr::from(ip.get_destination());
    let broken = |reason| {
        Some(Read::Broken {
            destination,
            reason,
        })
    };
    if ip.get_version() != 6 {
        return broken(DropReason::BadIpHeader);
    }
    let chain = match chain(ip.get_next_header().0, bytes) {
        Ok(chain) => chain?,
        Err(reason) => return broken(reason),
    };
    let carried = bytes.get(chain.length..).unwrap_or(&[]);
    let part = match (chain.protocol, chain.fragment) {
        (_, Some(Fragment { later: true, id })) => Part::Later { id },
        (TCP | UDP, fragment) => match (ports(carried), fragment) {
            (None, _) => return broken(DropReason::Truncated),
            (Some(ports), None) => Part::Whole { ports },
            (Some(ports), Some(Fragment { id, .. })) => Part::First { ports, id },
        },
        (_, None) => Part::Error {
            about: embedded_v6(carried, destination)?,
        },
        // A fragment of an ICMPv6 message.
        _ => return None,
    };
    Some(Read::Packet(Packet {
        link,
        header: chain.length,
        length: 40 + usize::from(ip.get_payload_length()),
        source: ip.get_source().into(),
        destination,
        protocol: chain.protocol,
        ttl: ip.get_hop_limit(),
        tos: ip.get_traffic_class(),
        dont_fragment: true,
        part,
    }))
}

/// What the headers in front of the transport header say.
struct Chain {
    length: usize,
    protocol: u8,
    /// The last one that is more than atomic.
    fragment: Option<Fragment>,
}

#[derive(Clone, Copy)]
struct Fragment {
    id: u32,
    later: bool,
}

/// Steps over extension headers; `None` if what comes after them is not ours.
fn chain(first: u8, bytes: &[u8]) -> Result<Option<Chain>, DropReason> {
    let mut chain = Chain {
        length: 40,
        protocol: first,
        fragment: None,
    };
    for steps in 0.. {
        let rest = bytes.get(chain.length..).unwrap_or(&[]);
        match chain.protocol {
            // TCP, UDP, ICMPv6.
            6 | 17 | 58 => break,
            // Hop-by-hop options, routing, fragment, destination options.
            0 | 43 | 44 | 60 if steps == EXTENSIONS => return Err(DropReason::ExtensionHeaders),
            0 | 60 | 43 => {
                let (next, length) = extension(chain.protocol, rest)?;
                chain.protocol = next;
                chain.length += length;
            }
            44 => {
                let header = FragmentPacket::new(rest).ok_or(DropReason::Truncated)?;
                // Offset and flags by hand: `get_fragment_offset` takes a reserved bit for the offset's.
                let word = header.get_fragment_offset_with_flags();
                let (later, more) = (word >> 3 != 0, word & 1 != 0);
                if later || more {
                    let id = header.get_id();
                    chain.fragment = Some(Fragment { id, later });
                }
                chain.protocol = header.get_next_header().0;
                chain.length += 8;
                if later {
                    // What follows is the middle of something, and this header says of what. Options
                    // and routing headers may be in front of TCP or UDP there.
                    let ours = matches!(chain.protocol, 6 | 17 | 43 | 60);
                    return Ok(ours.then_some(chain));
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(chain))
}

/// What comes after an options or routing header, and its length.
fn extension(kind: u8, bytes: &[u8]) -> Result<(u8, usize), DropReason> {
    // Of each at least the fields that all have.
    let routing = RoutingPacket::new(bytes).ok_or(DropReason::Truncated)?;
    if kind == 43 && routing.get_segments_left() != 0 {
        return Err(DropReason::ExtensionHeaders);
    }
    let header = ExtensionPacket::new(bytes).ok_or(DropReason::Truncated)?;
    let length = 8 + 8 * usize::from(header.get_hdr_ext_len());
    Ok((header.get_next_header().0, length))
}
