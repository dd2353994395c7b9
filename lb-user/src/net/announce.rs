//! Telling the link where an address is now: gratuitous ARP and unsolicited neighbour advertisements.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use pnet_packet::{
    arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket},
    ethernet::{EtherType, EtherTypes, MutableEthernetPacket},
    icmpv6::{self, Icmpv6Packet, Icmpv6Types, ndp::MutableNeighborAdvertPacket},
    ip::IpNextHeaderProtocols,
    ipv6::MutableIpv6Packet,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::packet::link_address;
use crate::types::{IfIndex, Mac};

#[cfg(test)]
mod tests;

/// Announces addresses on one Ethernet interface.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    to: SockAddr,
    mac: Mac,
}

/// Nothing can be announced on an interface.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a packet socket on interface number {interface}; it takes CAP_NET_RAW")]
pub struct AnnounceError {
    /// Where.
    pub interface: IfIndex,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Announcer {
    /// On the interface with this number, whose Ethernet address is `mac`.
    ///
    /// # Errors
    /// [`AnnounceError`].
    pub fn open(index: IfIndex, mac: Mac) -> Result<Self, AnnounceError> {
        let open = || {
            // Protocol 0: it hears nothing.
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
            socket.set_nonblocking(true)?;
            Ok((socket, link_address(index, 0)?))
        };
        let (socket, to) = open().map_err(|source| AnnounceError {
            interface: index,
            source,
        })?;
        Ok(Self { socket, to, mac })
    }

    /// The Ethernet address that is announced.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends one announcement, without waiting.
    ///
    /// # Errors
    /// A full queue, or an interface that is down.
    pub fn announce(&self, address: IpAddr) -> io::Result<()> {
        let frame = match address {
            IpAddr::V4(address) => gratuitous_arp(self.mac, address),
            IpAddr::V6(address) => unsolicited_advertisement(self.mac, address),
        };
        self.socket.send_to(&frame, &self.to).map(|_| ())
    }
}

/// A gratuitous ARP in its request form (RFC 5227, section 3; the form that every cache takes up):
/// broadcast, sender and target are the address, the target's hardware address is all ones.
#[must_use]
pub fn gratuitous_arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = frame(mac, Mac::BROADCAST, EtherTypes::Arp, ARP);
    let mut arp = MutableArpPacket::new(&mut frame[ETHERNET..]).expect("there is room for it");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(mac.0.into());
    arp.set_sender_proto_addr(address);
    arp.set_target_hw_addr(Mac::BROADCAST.0.into());
    arp.set_target_proto_addr(address);
    frame
}

/// An unsolicited neighbour advertisement (RFC 4861, section 7.2.6; RFC 9568, section 8.2.2) to all
/// nodes, with the target's link-layer address. Router, not solicited, override: hosts may have the
/// address as their router, and would drop it from their list without the first.
#[must_use]
pub fn unsolicited_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let to = Mac([0x33, 0x33, 0, 0, 0, 1]);
    let mut frame = frame(mac, to, EtherTypes::Ipv6, IPV6 + ADVERTISEMENT);
    let mut ip = MutableIpv6Packet::new(&mut frame[ETHERNET..]).expect("there is room for it");
    ip.set_version(6);
    ip.set_payload_length(u16::try_from(ADVERTISEMENT).expect("32 bytes"));
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(255);
    ip.set_source(address);
    ip.set_destination(all_nodes);
    let message = &mut frame[ETHERNET + IPV6..];
    {
        let mut advert = MutableNeighborAdvertPacket::new(message).expect("there is room for it");
        advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
        advert.set_flags(ROUTER | OVERRIDE);
        advert.set_target_addr(address);
    }
    message[24] = TARGET_LINK_LAYER;
    message[25] = 1;
    message[26..32].copy_from_slice(&mac.0);
    let sum = Icmpv6Packet::new(message)
        .map_or(0, |packet| icmpv6::checksum(&packet, &address, &all_nodes));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn frame(from: Mac, to: Mac, kind: EtherType, length: usize) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET + length];
    let mut ethernet = MutableEthernetPacket::new(&mut frame).expect("there is room for it");
    ethernet.set_source(from.0.into());
    ethernet.set_destination(to.0.into());
    ethernet.set_ethertype(kind);
    frame
}

const ETHERNET: usize = 14;
const ARP: usize = 28;
const IPV6: usize = 40;
/// A neighbour advertisement (24 bytes) and one option (8).
const ADVERTISEMENT: usize = 32;
/// RFC 4861, section 4.4.
const ROUTER: u8 = 0x80;
/// RFC 4861, section 4.4.
const OVERRIDE: u8 = 0x20;
/// RFC 4861, section 4.6.1.
const TARGET_LINK_LAYER: u8 = 2;
