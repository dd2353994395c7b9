//! What leaves: the frame for a backend, or the answer to whoever sent too much.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::verdict::DropReason;
use lb_tests::packet::{internet_checksum, pseudo_checksum};

use super::{
    Route,
    config::{Backend, Config, Reach},
    read::{Packet, Part},
};
use crate::{harness::Action, world::INGRESS};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Bytes of a packet that does not fit which its answer carries.
pub(super) const EMBEDDED: usize = 128;
/// TTL of whatever is our own.
const OUR_TTL: u8 = 64;

/// What becomes of a packet whose backend is known, in a frame that can grow by `room` bytes.
pub(super) fn packet(
    config: &Config,
    frame: &[u8],
    packet: &Packet,
    route: &Route<'_>,
    room: usize,
) -> Result<(Action, Vec<u8>), DropReason> {
    let backend = route.backend;
    match backend.reach {
        Reach::Local => return Ok((Action::Pass, frame.to_vec())),
        Reach::Unresolved => return Err(DropReason::NextHopUnresolved),
        Reach::Direct | Reach::Tunnel { .. } => {}
    }
    if config.peers.iter().any(|peer| frame[6..12] == *peer) {
        return Err(DropReason::PeerLoop);
    }
    if packet.length + backend.overhead() > backend.mtu {
        return Err(DropReason::TooBig);
    }
    let bytes = rewritten(frame, packet, route);
    if bytes.len() > frame.len() + room {
        return Err(DropReason::NoHeadroom);
    }
    if backend.out == INGRESS {
        Ok((Action::Tx, bytes))
    } else if config.devices.contains(&backend.out) {
        Ok((Action::Redirect, bytes))
    } else {
        Err(DropReason::RedirectFailed)
    }
}

/// The frame that leaves.
fn rewritten(frame: &[u8], packet: &Packet, route: &Route<'_>) -> Vec<u8> {
    let backend = route.backend;
    let mut ip = frame[packet.link..].to_vec();
    take_a_hop(&mut ip, packet);
    let mut ethertype = ethertype(packet.source);
    if let Reach::Tunnel {
        source,
        destination,
    } = backend.reach
    {
        let source = spread(source, backend.spread, route.hash);
        ip = [outer(packet, source, destination, route.hash), ip].concat();
        ethertype = self::ethertype(destination);
    }
    let tags = match backend.vlans.as_deref() {
        None => received_tags(frame, packet),
        Some([]) => vec![],
        Some([one]) => tag(0x8100, *one),
        Some([outer, inner, ..]) => [tag(0x88a8, *outer), tag(0x8100, *inner)].concat(),
    };
    let mut out = [backend.next_hop, backend.out_mac].concat();
    out.extend(tags);
    out.extend(ethertype.to_be_bytes());
    out.extend(ip);
    out
}

fn ethertype(address: IpAddr) -> u16 {
    if address.is_ipv4() { IPV4 } else { IPV6 }
}

fn tag(kind: u16, id: u16) -> Vec<u8> {
    [kind.to_be_bytes(), id.to_be_bytes()].concat()
}

/// The tags of a frame: its bytes from the first tag's type to the last type of all.
fn received_tags(frame: &[u8], packet: &Packet) -> Vec<u8> {
    frame[12..packet.link - 2].to_vec()
}

/// TTL or hop limit.
fn take_a_hop(ip: &mut [u8], packet: &Packet) {
    if packet.source.is_ipv6() {
        ip[7] -= 1;
        return;
    }
    let header = usize::from(ip[0] & 15) * 4;
    // A header is right whose words and checksum add up to all ones, which this function shows as 0.
    let was_right = internet_checksum(&ip[..header]) == 0;
    ip[8] -= 1;
    if was_right {
        ip[10..12].fill(0);
        let checksum = internet_checksum(&ip[..header]);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        return;
    }
    // A hop less is 0x0100 more, in arithmetic modulo 0xffff: as wrong as before.
    let checksum = u32::from(u16::from_be_bytes([ip[10], ip[11]])) + 0x0100;
    let checksum = u16::try_from(checksum % 0xffff).expect("16 bits");
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The low bits of an outer source vary with the flow: by the upper byte of its hash. (By which bits is
/// nobody's business but must not change.)
fn spread(source: IpAddr, bits: u8, hash: u32) -> IpAddr {
    let [low, ..] = hash.to_be_bytes();
    match (source, bits) {
        (source, 0) => source,
        (IpAddr::V4(v4), 8) => {
            let [a, b, c, _] = v4.octets();
            Ipv4Addr::from([a, b, c, low]).into()
        }
        (IpAddr::V6(v6), 8) => {
            let mut octets = v6.octets();
            octets[15] = low;
            Ipv6Addr::from(octets).into()
        }
        _ => panic!("the world has no source of {bits} bits"),
    }
}

/// The header that a tunnel puts in front.
fn outer(packet: &Packet, source: IpAddr, destination: IpAddr, hash: u32) -> Vec<u8> {
    let inside = if packet.source.is_ipv4() { 4 } else { 41 };
    let header = Header {
        source,
        destination,
        protocol: inside,
        tos: packet.tos,
        label: hash & 0xfffff,
    };
    header.bytes(packet.length)
}

/// An IP header of our own.
struct Header {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    tos: u8,
    /// IPv6 only.
    label: u32,
}

impl Header {
    /// In front of `carried` bytes.
    fn bytes(&self, carried: usize) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let length = u16::try_from(20 + carried).expect("below the MTU");
                let mut header = vec![0x45, self.tos];
                header.extend(length.to_be_bytes());
                // No id, "don't fragment".
                header.extend([0, 0, 0x40, 0]);
                header.extend([OUR_TTL, self.protocol, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
                let checksum = internet_checksum(&header);
                header[10..12].copy_from_slice(&checksum.to_be_bytes());
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let length = u16::try_from(carried).expect("below the MTU");
                let first = 6 << 28 | u32::from(self.tos) << 20 | self.label;
                let mut header = first.to_be_bytes().to_vec();
                header.extend(length.to_be_bytes());
                header.extend([self.protocol, OUR_TTL]);
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            _ => panic!("both ends of a header are of one family"),
        }
    }
}

/// Whether somebody wants to hear that a packet does not fit: whoever said that it must not be
/// fragmented. Nobody is told of an error, or of the middle of a packet.
pub(super) fn wants_answer(packet: &Packet) -> bool {
    let has_begin = matches!(packet.part, Part::Whole { .. } | Part::First { .. });
    has_begin && packet.dont_fragment
}

/// The answer to a packet that does not fit.
pub(super) fn answer(frame: &[u8], packet: &Packet, backend: &Backend) -> Vec<u8> {
    let mtu = u32::try_from(backend.mtu - backend.overhead()).expect("an MTU");
    let embedded = &frame[packet.link..packet.link + EMBEDDED];
    let v4 = packet.source.is_ipv4();
    let (kind, code, protocol) = if v4 { (3, 4, 1) } else { (2, 0, 58) };
    let mut message = vec![kind, code, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(embedded);
    let checksum = match (packet.destination, packet.source) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            pseudo_checksum(from.into(), to.into(), protocol, &message)
        }
        _ => internet_checksum(&message),
    };
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let header = Header {
        source: packet.destination,
        destination: packet.source,
        protocol,
        tos: 0,
        label: 0,
    };
    // Back to whoever sent it, by the way it came.
    let mut out = [&frame[6..12], &frame[..6]].concat();
    out.extend(received_tags(frame, packet));
    out.extend(ethertype(packet.source).to_be_bytes());
    out.extend(header.bytes(message.len()));
    out.extend(message);
    out
}
