//! The decision for one packet: passed up, dropped with a reason, or forwarded to a backend.
//!
//! A packet is ours once its (address, port, protocol) is in the service table. Before that, all
//! roads lead up the stack, byte-identical; after it, none does but to a *local* backend, because
//! the kernel would answer a service's packet with a reset (the virtual address is its own, the
//! listener is not).
//!
//! Room is left between the lookup of the slot and its answer for flows that are remembered, and in
//! front of the service lookup for the flow inside an ICMP error.

use crate::{
    addr::Addr,
    arena::Arena,
    backend::{BackendEntry, ForwardMode},
    encap,
    flow::{FlowKey, TCP},
    hash::flow_hash,
    packet::Frame,
    parse::{self, Parsed, Unparsed},
    ring,
    service::{self, Found, Front, VIP},
    verdict::DropReason,
    wire::{
        ethernet::Ethernet,
        tcp::{self, Tcp},
        udp::{self, Udp},
    },
};

/// What to do with a packet.
#[derive(Clone, Copy)]
pub enum Decision<'a> {
    /// Up the stack, untouched and uncounted.
    Pass,
    /// Dropped, counted under its reason.
    Drop(DropReason),
    /// To this backend.
    Forward(Forward<'a>),
}

/// A packet that goes to a backend.
#[derive(Clone, Copy)]
pub struct Forward<'a> {
    /// The packet.
    pub packet: Parsed,
    /// Its service's index.
    pub service: u32,
    /// Where it goes.
    pub backend: &'a BackendEntry,
    /// The flow's hash: spreads the outer source of a tunnel.
    pub hash: u32,
    /// Whether it opens a TCP connection.
    pub new_flow: bool,
}

/// Decides what becomes of `frame`, which came in by the interface `ingress`.
#[inline(always)]
pub fn decide<'a, F: Frame, A: Arena>(frame: &F, arena: &'a A, ingress: u32) -> Decision<'a> {
    let packet = match parse::packet(frame) {
        Ok(packet) => packet,
        Err(Unparsed::Foreign) => return Decision::Pass,
        Err(Unparsed::Defect {
            destination,
            reason,
        }) => {
            return defective(frame, arena, ingress, destination, reason);
        }
    };
    decide_parsed(frame, arena, ingress, packet)
}

/// [`decide`] for a packet whose 5-tuple is known.
#[inline(always)]
pub fn decide_parsed<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &'a A,
    ingress: u32,
    packet: Parsed,
) -> Decision<'a> {
    let Some(front) = service::front(arena) else {
        return Decision::Pass;
    };
    let Some(found) = front.find(arena, &packet.flow.service()) else {
        return Decision::Pass;
    };
    if !addressed_to_us(frame, &front, arena, ingress) {
        return Decision::Pass;
    }
    match choose(frame, arena, &front, &found, packet) {
        Ok(forward) => Decision::Forward(forward),
        Err(reason) => Decision::Drop(reason),
    }
}

/// Where a service's packet goes.
#[inline(always)]
fn choose<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &'a A,
    front: &Front<'_>,
    found: &Found<'_>,
    packet: Parsed,
) -> Result<Forward<'a>, DropReason> {
    let new_flow = admit(frame, arena, front, &packet)?;
    let hash = flow_hash(found.entry.hash_key, &packet.flow);
    let selection = ring::select(arena, found.ring(arena), hash)?;
    let forward = Forward {
        packet,
        service: found.entry.id,
        backend: selection.backend,
        hash,
        new_flow,
    };
    sendable(frame, arena, front, &forward)?;
    Ok(forward)
}

/// Which backend the ring names for a flow: what `explain` asks, by the same steps as [`decide`].
///
/// # Errors
///
/// `None` for a flow of no service; else as [`ring::select`].
pub fn select_flow<'a, A: Arena>(
    arena: &'a A,
    flow: &FlowKey,
) -> Option<(u32, u32, Result<ring::Selection<'a>, DropReason>)> {
    let front = service::front(arena)?;
    let found = front.find(arena, &flow.service())?;
    let hash = flow_hash(found.entry.hash_key, flow);
    Some((
        found.entry.id,
        hash,
        ring::select(arena, found.ring(arena), hash),
    ))
}

/// A packet without usable ports: ours to drop only if a service has its destination address.
#[inline(always)]
fn defective<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &'a A,
    ingress: u32,
    destination: Addr,
    reason: DropReason,
) -> Decision<'a> {
    match service::front(arena) {
        Some(front)
            if front.address_flags(arena, destination) & VIP != 0
                && addressed_to_us(frame, &front, arena, ingress) =>
        {
            Decision::Drop(reason)
        }
        _ => Decision::Pass,
    }
}

/// Whether the frame's destination is the MAC of the interface it came in by. XDP also sees what is
/// flooded for others, and broadcast and multicast.
#[inline(always)]
fn addressed_to_us<F: Frame, A: Arena>(
    frame: &F,
    front: &Front<'_>,
    arena: &A,
    ingress: u32,
) -> bool {
    let Some(ethernet) = frame.view::<Ethernet>(0) else {
        return false;
    };
    front.interface_mac(arena, ingress) == Some(ethernet.macs.destination.word())
}

/// Whether a service's packet is fit to be forwarded at all; on success, whether it opens a TCP
/// connection.
#[inline(always)]
fn admit<F: Frame, A: Arena>(
    frame: &F,
    arena: &A,
    front: &Front<'_>,
    packet: &Parsed,
) -> Result<bool, DropReason> {
    if packet.l3 + packet.length > frame.length() {
        return Err(DropReason::Truncated);
    }
    // The IP packet has to hold the transport header it claims (checked before the subtraction).
    let end = packet.l3 + packet.length;
    if packet.l4 > end {
        return Err(DropReason::BadIpHeader);
    }
    if packet.first_fragment {
        return Err(DropReason::Fragment);
    }
    if packet.ttl <= 1 {
        return Err(DropReason::TtlExpired);
    }
    if is_martian(&packet.flow, packet.v4, front, arena) {
        return Err(DropReason::MartianSource);
    }
    transport(frame, packet, end - packet.l4)
}

/// Checks the TCP or UDP header against the `room` bytes that the IP packet has for it.
#[inline(always)]
fn transport<F: Frame>(frame: &F, packet: &Parsed, room: u32) -> Result<bool, DropReason> {
    if packet.flow.protocol == TCP {
        let header = frame.view::<Tcp>(packet.l4).ok_or(DropReason::Truncated)?;
        if room < tcp::LEN {
            return Err(DropReason::Truncated);
        }
        let length = u32::from(header.data_offset >> 4) * 4;
        if length < tcp::LEN || length > room {
            return Err(DropReason::BadTransportHeader);
        }
        Ok(header.flags & (tcp::SYN | tcp::ACK) == tcp::SYN)
    } else {
        let header = frame.view::<Udp>(packet.l4).ok_or(DropReason::Truncated)?;
        if room < udp::LEN {
            return Err(DropReason::Truncated);
        }
        let length = u32::from(header.length.get());
        if length < udp::LEN || length > room {
            return Err(DropReason::BadTransportHeader);
        }
        Ok(false)
    }
}

/// Sources that no client can have (RFC 1122 §3.2.1.3, RFC 4291 §2.5, §2.7): this-network, loopback,
/// multicast, reserved, mapped; the packet's own destination; our own addresses.
#[inline(always)]
fn is_martian<A: Arena>(flow: &FlowKey, v4: bool, front: &Front<'_>, arena: &A) -> bool {
    let source = flow.source;
    if source == flow.destination {
        return true;
    }
    if v4 {
        let [first, ..] = source.v4_word().to_ne_bytes();
        if first == 0 || first == 127 || first >= 224 {
            return true;
        }
    } else {
        let [high, low] = source.words();
        let [first, ..] = high.to_ne_bytes();
        // `::` and `::1`
        let unspecified_or_loopback = high == 0 && u64::from_be(low) <= 1;
        if first == 0xff || source.is_v4() || unspecified_or_loopback {
            return true;
        }
    }
    front.is_own(arena, source)
}

/// Whether the chosen backend can be sent this packet now.
#[inline(always)]
fn sendable<F: Frame, A: Arena>(
    frame: &F,
    arena: &A,
    front: &Front<'_>,
    forward: &Forward<'_>,
) -> Result<(), DropReason> {
    let backend = forward.backend;
    // One comparison for the three modes that send.
    if backend.mode.wrapping_sub(ForwardMode::DirectRouting as u8) > LAST_SENDING {
        return match ForwardMode::from_byte(backend.mode) {
            Some(ForwardMode::Local) => Ok(()),
            Some(ForwardMode::Unresolved) => Err(DropReason::NextHopUnresolved),
            _ => Err(DropReason::BadTable),
        };
    }
    let ethernet = frame.view::<Ethernet>(0).ok_or(DropReason::Truncated)?;
    if front.is_peer(arena, ethernet.macs.source.word()) {
        return Err(DropReason::PeerLoop);
    }
    if forward.packet.length + encap::overhead(backend.mode) > u32::from(backend.mtu) {
        return Err(DropReason::TooBig);
    }
    Ok(())
}

/// The last mode that sends, counted from the first one.
const LAST_SENDING: u8 = ForwardMode::TunnelV6 as u8 - ForwardMode::DirectRouting as u8;
