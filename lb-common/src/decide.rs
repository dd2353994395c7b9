//! The decision for one packet: passed up, dropped with a reason, or forwarded to a backend.
//!
//! A packet is ours once its (address, port, protocol) is in the service table. Before that, all
//! roads lead up the stack, byte-identical; after it, none does but to a *local* backend, because
//! the kernel would answer a service's packet with a reset (the virtual address is its own, the
//! listener is not).
//!
//! There are two ways: [`decide_plain`] knows what a ring says of a slot that has not moved lately, and
//! touches no memory of flows; [`decide`] knows everything.

use crate::{
    addr::Addr,
    arena::Arena,
    backend::{BackendEntry, ForwardMode},
    connections::Memory,
    encap,
    flow::{FlowKey, TCP},
    hash::flow_hash,
    packet::Frame,
    parse::{self, Parsed, Unparsed},
    ring,
    service::{self, Found, Front, VIP},
    steer::{self, Explained, Question, Steer},
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
pub fn decide<'a, F: Frame, A: Arena, S: Steer>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    ingress: u32,
) -> Decision<'a> {
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
    match service_of(frame, arena, ingress, &packet) {
        Some((front, found)) => choose(frame, arena, steerer, &front, &found, packet).into(),
        None => Decision::Pass,
    }
}

/// [`decide`] for a packet whose 5-tuple is known; `None` where its ring alone does not say who gets
/// it. What is left out here makes the common case short: three copies of this are in the program.
#[inline(always)]
pub fn decide_plain<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &'a A,
    ingress: u32,
    packet: Parsed,
) -> Option<Decision<'a>> {
    let Some((front, found)) = service_of(frame, arena, ingress, &packet) else {
        return Some(Decision::Pass);
    };
    let flags = match admit(frame, arena, &front, &packet) {
        Ok(flags) => flags,
        Err(reason) => return Some(Decision::Drop(reason)),
    };
    let hash = flow_hash(found.entry.hash_key, found.entry.port_mask, &packet.flow);
    let backend = ring::plain(arena, found.ring(arena), hash)?;
    let forward = Forward {
        packet,
        service: found.entry.id,
        backend,
        hash,
        new_flow: is_new_flow(flags),
    };
    Some(sendable(frame, arena, &front, forward).into())
}

/// The service that a packet is for, if it is for us at all.
#[inline(always)]
fn service_of<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &'a A,
    ingress: u32,
    packet: &Parsed,
) -> Option<(Front<'a>, Found<'a>)> {
    let front = service::front(arena)?;
    let found = front.find(arena, &packet.flow.service())?;
    addressed_to_us(frame, &front, arena, ingress).then_some((front, found))
}

/// Where a service's packet goes.
#[inline(always)]
fn choose<'a, F: Frame, A: Arena, S: Steer>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    front: &Front<'_>,
    found: &Found<'_>,
    packet: Parsed,
) -> Result<Forward<'a>, DropReason> {
    let flags = admit(frame, arena, front, &packet)?;
    let hash = flow_hash(found.entry.hash_key, found.entry.port_mask, &packet.flow);
    let backend = steerer.steer(&Question {
        service: found.at(),
        hash,
        source: packet.flow.source,
        source_port: packet.flow.source_port,
        protocol: packet.flow.protocol,
        flags,
    })?;
    let forward = Forward {
        packet,
        service: found.entry.id,
        backend: arena.view(backend).ok_or(DropReason::BadTable)?,
        hash,
        new_flow: is_new_flow(flags),
    };
    sendable(frame, arena, front, forward)
}

impl<'a> From<Result<Forward<'a>, DropReason>> for Decision<'a> {
    #[inline(always)]
    fn from(result: Result<Forward<'a>, DropReason>) -> Self {
        match result {
            Ok(forward) => Self::Forward(forward),
            Err(reason) => Self::Drop(reason),
        }
    }
}

/// Which backend a flow gets, by its first packet: what `explain` asks, by the same steps as
/// [`decide`]. Service, hash, and what [`steer::explain`] says; `None` for a flow of no service.
pub fn explain_flow<'a, A: Arena, M: Memory>(
    arena: &'a A,
    memory: &M,
    flow: &FlowKey,
) -> Option<(u32, u32, Result<Explained<'a>, DropReason>)> {
    let front = service::front(arena)?;
    let found = front.find(arena, &flow.service())?;
    let hash = flow_hash(found.entry.hash_key, found.entry.port_mask, flow);
    let question = Question {
        service: found.at(),
        hash,
        source: flow.source,
        source_port: flow.source_port,
        protocol: flow.protocol,
        flags: if flow.protocol == TCP { tcp::SYN } else { 0 },
    };
    let explained = steer::explain(arena, memory, &question);
    Some((found.entry.id, hash, explained))
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

/// Whether a service's packet is fit to be forwarded at all; on success, its TCP flags (0 for UDP).
#[inline(always)]
fn admit<F: Frame, A: Arena>(
    frame: &F,
    arena: &A,
    front: &Front<'_>,
    packet: &Parsed,
) -> Result<u8, DropReason> {
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
fn transport<F: Frame>(frame: &F, packet: &Parsed, room: u32) -> Result<u8, DropReason> {
    if packet.flow.protocol == TCP {
        let header = frame.view::<Tcp>(packet.l4).ok_or(DropReason::Truncated)?;
        if room < tcp::LEN {
            return Err(DropReason::Truncated);
        }
        let length = u32::from(header.data_offset >> 4) * 4;
        if length < tcp::LEN || length > room {
            return Err(DropReason::BadTransportHeader);
        }
        Ok(header.flags)
    } else {
        let header = frame.view::<Udp>(packet.l4).ok_or(DropReason::Truncated)?;
        if room < udp::LEN {
            return Err(DropReason::Truncated);
        }
        let length = u32::from(header.length.get());
        if length < udp::LEN || length > room {
            return Err(DropReason::BadTransportHeader);
        }
        Ok(0)
    }
}

/// Whether these TCP flags open a connection.
#[inline(always)]
const fn is_new_flow(flags: u8) -> bool {
    flags & (tcp::SYN | tcp::ACK) == tcp::SYN
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

/// The packet itself, if its backend can be sent it now.
#[inline(always)]
fn sendable<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &A,
    front: &Front<'_>,
    forward: Forward<'a>,
) -> Result<Forward<'a>, DropReason> {
    let backend = forward.backend;
    // One comparison for the three modes that send.
    if backend.mode.wrapping_sub(ForwardMode::DirectRouting as u8) > LAST_SENDING {
        return match ForwardMode::from_byte(backend.mode) {
            Some(ForwardMode::Local) => Ok(forward),
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
    Ok(forward)
}

/// The last mode that sends, counted from the first one.
const LAST_SENDING: u8 = ForwardMode::TunnelV6 as u8 - ForwardMode::DirectRouting as u8;
