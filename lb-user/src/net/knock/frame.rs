//! The frames: Ethernet, one or two IP headers, TCP without data.

use std::net::{IpAddr, SocketAddr};

use pnet_packet::{
    Packet as _,
    ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket},
    ip::{IpNextHeaderProtocol, IpNextHeaderProtocols},
    ipv4::{self, Ipv4Packet, MutableIpv4Packet},
    ipv6::{Ipv6Packet, MutableIpv6Packet},
    tcp::{self, MutableTcpPacket, TcpPacket},
};

use super::Knock;

/// A segment to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) from: SocketAddr,
    /// Ours.
    pub(super) port: u16,
    pub(super) flags: u8,
    pub(super) acknowledged: u32,
}

/// The frame of one segment; `None` where addresses are of different families.
pub(super) fn segment(
    knock: &Knock,
    port: u16,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
) -> Option<Vec<u8>> {
    let mut bytes = vec![0; TCP];
    let mut segment = MutableTcpPacket::new(&mut bytes)?;
    segment.set_source(port);
    segment.set_destination(knock.destination.port());
    segment.set_sequence(sequence);
    segment.set_acknowledgement(acknowledged);
    segment.set_data_offset(5);
    segment.set_flags(flags);
    segment.set_window(if flags & SYN != 0 { WINDOW } else { 0 });
    let to = knock.destination.ip();
    let checksum = match (knock.source, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            tcp::ipv4_checksum(&segment.to_immutable(), &from, &to)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            tcp::ipv6_checksum(&segment.to_immutable(), &from, &to)
        }
        _ => return None,
    };
    segment.set_checksum(checksum);
    let mut packet = ip(
        knock.source,
        to,
        IpNextHeaderProtocols::Tcp,
        knock.ttl,
        &bytes,
    )?;
    let mut outermost = to;
    if let Some((from, to_server)) = knock.tunnel {
        let inner = if to.is_ipv4() {
            IpNextHeaderProtocols::Ipv4
        } else {
            IpNextHeaderProtocols::Ipv6
        };
        packet = ip(from, to_server, inner, OUTER_TTL, &packet)?;
        outermost = to_server;
    }
    let mut frame = vec![0; ETHERNET];
    let mut ethernet = MutableEthernetPacket::new(&mut frame)?;
    ethernet.set_destination(knock.to.0.into());
    ethernet.set_source(knock.from.0.into());
    ethernet.set_ethertype(if outermost.is_ipv4() {
        EtherTypes::Ipv4
    } else {
        EtherTypes::Ipv6
    });
    frame.extend(packet);
    Some(frame)
}

fn ip(
    from: IpAddr,
    to: IpAddr,
    next: IpNextHeaderProtocol,
    ttl: u8,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut bytes;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes = vec![0; IPV4];
            let mut header = MutableIpv4Packet::new(&mut bytes)?;
            header.set_version(4);
            header.set_header_length(5);
            header.set_total_length(u16::try_from(IPV4 + payload.len()).ok()?);
            header.set_flags(ipv4::Ipv4Flags::DontFragment);
            header.set_ttl(ttl);
            header.set_next_level_protocol(next);
            header.set_source(from);
            header.set_destination(to);
            let checksum = ipv4::checksum(&header.to_immutable());
            header.set_checksum(checksum);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes = vec![0; IPV6];
            let mut header = MutableIpv6Packet::new(&mut bytes)?;
            header.set_version(6);
            header.set_payload_length(u16::try_from(payload.len()).ok()?);
            header.set_next_header(next);
            header.set_hop_limit(ttl);
            header.set_source(from);
            header.set_destination(to);
        }
        _ => return None,
    }
    bytes.extend(payload);
    Some(bytes)
}

/// The TCP segment in a frame. Its checksum is the kernel's to check, and on a veth may be left out.
pub(super) fn parse(frame: &[u8]) -> Option<Reply> {
    let ethernet = EthernetPacket::new(frame)?;
    let payload = ethernet.payload();
    let (from, segment): (IpAddr, Vec<u8>) = match ethernet.get_ethertype() {
        EtherTypes::Ipv4 => {
            let ip = Ipv4Packet::new(payload)?;
            let tcp = ip.get_next_level_protocol() == IpNextHeaderProtocols::Tcp
                && ip.get_fragment_offset() == 0;
            let header = usize::from(ip.get_header_length()) * 4;
            let segment = tcp.then(|| payload.get(header..)).flatten()?;
            (ip.get_source().into(), segment.to_vec())
        }
        EtherTypes::Ipv6 => {
            let ip = Ipv6Packet::new(payload)?;
            let tcp = ip.get_next_header() == IpNextHeaderProtocols::Tcp;
            let segment = tcp.then(|| payload.get(IPV6..)).flatten()?;
            (ip.get_source().into(), segment.to_vec())
        }
        _ => return None,
    };
    let segment = TcpPacket::new(&segment)?;
    Some(Reply {
        from: SocketAddr::new(from, segment.get_source()),
        port: segment.get_destination(),
        flags: segment.get_flags(),
        acknowledged: segment.get_acknowledgement(),
    })
}

pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const ACK: u8 = 0x10;
const WINDOW: u16 = 1024;
const OUTER_TTL: u8 = 64;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
