//! The frames of a probe: ARP (RFC 826) and neighbour discovery (RFC 4861 §4.3, §4.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::{
    Packet as _,
    arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket},
    ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket},
    icmpv6::{
        self, Icmpv6Code, Icmpv6Packet, Icmpv6Types,
        ndp::{MutableNeighborSolicitPacket, NdpOption, NdpOptionTypes, NeighborAdvertPacket},
    },
    ip::IpNextHeaderProtocols,
    ipv6::{Ipv6Packet, MutableIpv6Packet},
};

use crate::types::Mac;

#[cfg(test)]
mod tests;

/// The frame that asks who has `target`: `to` one station, or all of the link. `None` where there
/// is no address to ask from: IPv6 needs one (RFC 4861 §4.3), ARP does without (as in RFC 5227).
pub(super) fn request(
    target: IpAddr,
    source_mac: Mac,
    source: Option<IpAddr>,
    to: Option<Mac>,
) -> Option<Vec<u8>> {
    match (target, source) {
        (IpAddr::V4(target), Some(IpAddr::V4(source))) => {
            arp_request(target, source_mac, source, to)
        }
        (IpAddr::V4(target), _) => arp_request(target, source_mac, Ipv4Addr::UNSPECIFIED, to),
        (IpAddr::V6(target), Some(IpAddr::V6(source))) => {
            solicitation(target, source_mac, source, to)
        }
        (IpAddr::V6(_), _) => None,
    }
}

/// Who answers for which address, if this frame is a well-formed answer.
pub(super) fn parse_reply(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let ethernet = EthernetPacket::new(frame)?;
    let (address, mac) = match ethernet.get_ethertype() {
        EtherTypes::Arp => arp_reply(ethernet.payload()),
        EtherTypes::Ipv6 => advertisement(ethernet.payload())
            // The answer to a unicast question need not repeat the address (RFC 4861 §7.2.4).
            .map(|(address, mac)| (address, mac.unwrap_or(Mac(ethernet.get_source().octets())))),
        _ => None,
    }?;
    mac.is_unicast().then_some((address, mac))
}

fn arp_request(
    target: Ipv4Addr,
    source_mac: Mac,
    source: Ipv4Addr,
    to: Option<Mac>,
) -> Option<Vec<u8>> {
    let mut frame = vec![0; ETHERNET + MutableArpPacket::minimum_packet_size()];
    ethernet(
        &mut frame,
        to.unwrap_or(Mac::BROADCAST),
        source_mac,
        EtherTypes::Arp,
    )?;
    let mut arp = MutableArpPacket::new(frame.get_mut(ETHERNET..)?)?;
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(source_mac.0.into());
    arp.set_sender_proto_addr(source);
    arp.set_target_proto_addr(target);
    Some(frame)
}

fn solicitation(
    target: Ipv6Addr,
    source_mac: Mac,
    source: Ipv6Addr,
    to: Option<Mac>,
) -> Option<Vec<u8>> {
    let destination = if to.is_some() {
        target
    } else {
        solicited_node(target)
    };
    let [.., a, b, c, d] = destination.octets();
    let to = to.unwrap_or(Mac([0x33, 0x33, a, b, c, d])); // RFC 2464 §7
    let mut frame = vec![0; ETHERNET + IPV6 + SOLICITATION];
    ethernet(&mut frame, to, source_mac, EtherTypes::Ipv6)?;
    let mut ip = MutableIpv6Packet::new(frame.get_mut(ETHERNET..)?)?;
    ip.set_version(6);
    ip.set_payload_length(u16::try_from(SOLICITATION).ok()?);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(NDP_HOP_LIMIT);
    ip.set_source(source);
    ip.set_destination(destination);
    let mut ask = MutableNeighborSolicitPacket::new(frame.get_mut(ETHERNET + IPV6..)?)?;
    ask.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
    ask.set_icmpv6_code(Icmpv6Code(0));
    ask.set_target_addr(target);
    ask.set_options(&[NdpOption {
        option_type: NdpOptionTypes::SourceLLAddr,
        length: 1,
        data: source_mac.0.to_vec(),
    }]);
    let packet = Icmpv6Packet::new(frame.get(ETHERNET + IPV6..)?)?;
    let checksum = icmpv6::checksum(&packet, &source, &destination);
    MutableNeighborSolicitPacket::new(frame.get_mut(ETHERNET + IPV6..)?)?.set_checksum(checksum);
    Some(frame)
}

fn arp_reply(packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let arp = ArpPacket::new(packet)?;
    let reply = arp.get_operation() == ArpOperations::Reply
        && arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4;
    reply.then(|| {
        (
            IpAddr::V4(arp.get_sender_proto_addr()),
            Mac(arp.get_sender_hw_addr().octets()),
        )
    })
}

/// The checks of RFC 4861 §7.1.2, and the address in it, if any.
fn advertisement(packet: &[u8]) -> Option<(IpAddr, Option<Mac>)> {
    let ip = Ipv6Packet::new(packet)?;
    if ip.get_hop_limit() != NDP_HOP_LIMIT || ip.get_next_header() != IpNextHeaderProtocols::Icmpv6
    {
        return None;
    }
    // The frame may be padded, and the length may lie.
    let body = packet.get(IPV6..IPV6 + usize::from(ip.get_payload_length()))?;
    let checksum = icmpv6::checksum(
        &Icmpv6Packet::new(body)?,
        &ip.get_source(),
        &ip.get_destination(),
    );
    let advert = NeighborAdvertPacket::new(body)?;
    if advert.get_icmpv6_type() != Icmpv6Types::NeighborAdvert
        || advert.get_icmpv6_code() != Icmpv6Code(0)
        || advert.get_checksum() != checksum
        || advert.get_target_addr().is_multicast()
    {
        return None;
    }
    let mac = target_link_layer(body.get(ADVERTISEMENT..)?)?;
    Some((IpAddr::V6(advert.get_target_addr()), mac))
}

/// The target link-layer address among options; outer `None` for malformed ones.
fn target_link_layer(mut options: &[u8]) -> Option<Option<Mac>> {
    // By hand: pnet reads an option of length 0 for ever.
    while let [kind, length, ..] = options {
        let length = usize::from(*length) * 8;
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if *kind == NdpOptionTypes::TargetLLAddr.0 {
            return Some(Some(Mac(option.get(2..8)?.try_into().ok()?)));
        }
        options = options.get(length..)?;
    }
    Some(None)
}

fn ethernet(
    frame: &mut [u8],
    to: Mac,
    from: Mac,
    ethertype: pnet_packet::ethernet::EtherType,
) -> Option<()> {
    let mut ethernet = MutableEthernetPacket::new(frame)?;
    ethernet.set_destination(to.0.into());
    ethernet.set_source(from.0.into());
    ethernet.set_ethertype(ethertype);
    Some(())
}

/// RFC 4291 §2.7.1.
fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// A packet with another hop limit came from beyond the link (RFC 4861 §7.1).
const NDP_HOP_LIMIT: u8 = 255;
/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Length of an IPv6 header.
const IPV6: usize = 40;
/// Length of a neighbour solicitation with one option.
const SOLICITATION: usize = 24 + 8;
/// Length of a neighbour advertisement before its options.
const ADVERTISEMENT: usize = 24;
