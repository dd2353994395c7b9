//! Tells a link which Ethernet address an IP address is at now: gratuitous ARP and unsolicited
//! neighbour advertisements.
//!
//! No task, and nothing is ever received: the answers, if any, are the kernel's business.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::sys::socket::{setsockopt, sockopt};
use pnet_packet::{
    arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket},
    ethernet::{EtherType, EtherTypes, MutableEthernetPacket},
    icmpv6::{
        self, Icmpv6Code, Icmpv6Packet, Icmpv6Types,
        ndp::{
            MutableNeighborAdvertPacket, NdpOption, NdpOptionTypes, NeighborAdvertFlags as Flags,
        },
    },
    ip::IpNextHeaderProtocols,
    ipv6::MutableIpv6Packet,
};
use socket2::Socket;

use super::packet_socket;
use crate::types::{IfIndex, Mac};

#[cfg(test)]
mod tests;

/// Announces addresses on one interface.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    mac: Mac,
}

/// An interface cannot be announced on.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// Packet sockets need a capability.
    #[error("not permitted to announce addresses: run as root or grant CAP_NET_RAW")]
    NotPermitted,
    /// Anything else, a vanished interface among them.
    #[error("cannot announce addresses on interface number {interface}")]
    Open {
        /// Where.
        interface: IfIndex,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Announcer {
    /// Opens a socket in the calling thread's network namespace; `mac` is where the addresses are, in
    /// general the interface's own. Needs CAP_NET_RAW. A new interface of the same name, or another
    /// Ethernet address, needs a new announcer; a link that went down and came back does not.
    ///
    /// # Errors
    /// [`AnnounceError`].
    pub fn open(interface: IfIndex, mac: Mac) -> Result<Self, AnnounceError> {
        let socket = prepare(interface).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => AnnounceError::NotPermitted,
            _ => AnnounceError::Open { interface, source },
        })?;
        Ok(Self { socket, mac })
    }

    /// The Ethernet address it announces.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends one frame about the address: [`gratuitous_arp`] or [`unsolicited_advertisement`]. Never
    /// waits.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] and `ENOBUFS`: a queue is full (some thousand frames fit), so
    /// the rest of a large burst has to come later. [`io::ErrorKind::NetworkDown`]: the link is down.
    /// `ENXIO`, `ENODEV`: the interface is gone.
    pub fn announce(&self, address: IpAddr) -> io::Result<()> {
        let frame = match address {
            IpAddr::V4(address) => gratuitous_arp(self.mac, address),
            IpAddr::V6(address) => unsolicited_advertisement(self.mac, address),
        };
        self.socket.send(&frame).map(|_| ())
    }
}

/// The frame that tells every IPv4 host on the link, by broadcast: `address` is at `mac`. An ARP
/// request for the address itself (RFC 5227 section 3), because some hosts believe no unasked reply;
/// the target's hardware address, which means nothing in a request, is all ones as in keepalived's.
#[must_use]
pub fn gratuitous_arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET + ARP];
    ethernet(&mut frame, Mac::BROADCAST, mac, EtherTypes::Arp);
    let mut arp = MutableArpPacket::new(&mut frame[ETHERNET..]).expect("ARP bytes are there");
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

/// The frame that tells every IPv6 host on the link, by multicast: `address` is at `mac`, whatever
/// they knew (RFC 4861 section 7.2.6). The router flag is set, as RFC 9568 section 6.4.2 wants it,
/// even where this host does not forward: a host that has the address as its router drops its default
/// route at a frame without the flag (RFC 4861 section 7.2.5), and to others it means nothing.
#[must_use]
pub fn unsolicited_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET + IPV6 + ADVERTISEMENT];
    ethernet(&mut frame, ALL_NODES_MAC, mac, EtherTypes::Ipv6);
    let mut ip = MutableIpv6Packet::new(&mut frame[ETHERNET..]).expect("IPv6 bytes are there");
    ip.set_version(6);
    ip.set_payload_length(ADVERTISEMENT_U16);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(NDP_HOP_LIMIT);
    ip.set_source(address);
    ip.set_destination(ALL_NODES);
    let body = &mut frame[ETHERNET + IPV6..];
    let mut advert = MutableNeighborAdvertPacket::new(body).expect("advertisement bytes are there");
    advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    advert.set_icmpv6_code(Icmpv6Code(0));
    advert.set_flags(Flags::Router | Flags::Override);
    advert.set_target_addr(address);
    advert.set_options(&[NdpOption {
        option_type: NdpOptionTypes::TargetLLAddr,
        length: 1,
        data: mac.0.to_vec(),
    }]);
    let packet = Icmpv6Packet::new(body).expect("advertisement bytes are there");
    let checksum = icmpv6::checksum(&packet, &address, &ALL_NODES);
    body[2..4].copy_from_slice(&checksum.to_be_bytes());
    frame
}

fn prepare(interface: IfIndex) -> io::Result<Socket> {
    let socket = packet_socket::open()?;
    socket.set_nonblocking(true)?;
    // Type 0: bound for sending, and still deaf.
    socket.bind(&packet_socket::link_address(interface, 0)?)?;
    socket.set_priority(PRIORITY)?;
    // Without CAP_NET_ADMIN the queue stays short, and a large burst takes longer.
    if setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
        tracing::debug!("the buffer for announcements stays at its default size");
    }
    Ok(socket)
}

fn ethernet(frame: &mut [u8], to: Mac, from: Mac, ethernet_type: EtherType) {
    let mut ethernet = MutableEthernetPacket::new(frame).expect("Ethernet bytes are there");
    ethernet.set_destination(to.0.into());
    ethernet.set_source(from.0.into());
    ethernet.set_ethertype(ethernet_type);
}

/// RFC 4291 section 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The same on Ethernet (RFC 2464 section 7).
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
/// A packet with another hop limit came from beyond the link (RFC 4861 section 7.1).
const NDP_HOP_LIMIT: u8 = 255;
/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Length of an ARP packet for Ethernet and IPv4.
const ARP: usize = 28;
/// Length of an IPv6 header.
const IPV6: usize = 40;
/// Length of a neighbour advertisement with one option.
const ADVERTISEMENT: usize = 24 + 8;
/// The same, for the IPv6 header.
const ADVERTISEMENT_U16: u16 = 32;
/// As adverts: the first band of the default queue.
const PRIORITY: u32 = 6;
/// Bytes that may wait to be sent; a frame counts as some 800.
const SEND_BUFFER: usize = 4 << 20;

const _: () = assert!(ADVERTISEMENT == ADVERTISEMENT_U16 as usize);
