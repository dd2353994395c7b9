//! Whether a service's packet is fit to be sent on at all.

use std::net::IpAddr;

use lb_common::verdict::DropReason;
use pnet_packet::{tcp::TcpPacket, udp::UdpPacket};

use super::{
    config::Config,
    read::{Packet, Part, TCP},
};

/// What is wrong with it.
pub(super) fn packet(config: &Config, frame: &[u8], packet: &Packet) -> Result<(), DropReason> {
    if packet.link + packet.length > frame.len() {
        return Err(DropReason::Truncated);
    }
    if packet.header > packet.length {
        return Err(DropReason::BadIpHeader);
    }
    if packet.ttl < 2 {
        return Err(DropReason::TtlExpired);
    }
    if cannot_be(config, packet.source) || packet.source == packet.destination {
        return Err(DropReason::MartianSource);
    }
    match packet.part {
        // Nobody looks into the middle of a packet, or at who is told what.
        Part::Later { .. } | Part::Error { .. } => Ok(()),
        Part::Whole { .. } => transport(frame, packet, false),
        Part::First { .. } => transport(frame, packet, true),
    }
}

/// Sources that no client can have.
fn cannot_be(config: &Config, source: IpAddr) -> bool {
    let strange = match source {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            matches!(first, 0 | 127 | 224..)
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.to_ipv4_mapped().is_some()
        }
    };
    strange || config.own.contains(&source)
}

/// `cut`: the first fragment of something longer.
fn transport(frame: &[u8], packet: &Packet, cut: bool) -> Result<(), DropReason> {
    // As much as the packet has by its own header: what follows in the frame is padding.
    let room = packet.length - packet.header;
    let bytes = &packet.carried(frame)[..room];
    if packet.protocol == TCP {
        let tcp = TcpPacket::new(bytes).ok_or(DropReason::Truncated)?;
        let header = usize::from(tcp.get_data_offset()) * 4;
        if header < 20 || header > room {
            return Err(DropReason::BadTransportHeader);
        }
    } else {
        let udp = UdpPacket::new(bytes).ok_or(DropReason::Truncated)?;
        let length = usize::from(udp.get_length());
        if length < 8 || length > room && !cut {
            return Err(DropReason::BadTransportHeader);
        }
    }
    Ok(())
}
