//! The decision for one packet: passed up, dropped with a reason, or forwarded to a backend.
//!
//! A packet is ours once its (address, port, protocol) is in the service table. Before that, all
//! roads lead up the stack, byte-identical; after it, none does but to a *local* backend, because
//! the kernel would answer a service's packet with a reset (the virtual address is its own, the
//! listener is not).
//!
//! There are two ways: [`decide_plain`] knows the two commonest shapes of a packet, and [`decide`] knows
//! everything. A slot that has not moved lately is answered by either without any memory of flows.

use crate::{
    addr::Addr,
    answer,
    arena::Arena,
    backend::{self, BackendEntry, ForwardMode},
    connections::Memory,
    encap,
    flow::{FlowKey, TCP},
    fragments::{self, Fragments, Note},
    hash::{flow_hash, hash_of_tag, mix64},
    packet::Frame,
    parse::{self, Kind, Parsed, Unparsed},
    ring,
    service::{self, Found, Front, VIP},
    steer::{self, Explained, Question, Steer},
    verdict::DropReason,
    wire::{
        ethernet::Ethernet,
        ipv4::Ipv4,
        ipv6::Ipv6,
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
    /// Dropped, because it does not fit its backend's path; the sender is told, unless that was said
    /// too often lately.
    Answer(Answer),
}

/// A packet that does not fit.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Where its IP header starts, bytes from the start of the frame.
    pub l3: u32,
    /// Whether it is IPv4.
    pub v4: bool,
    /// Bytes of IP that would.
    pub mtu: u32,
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
pub fn decide<'a, F: Frame, A: Arena, S: Steer + Fragments>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    ingress: u32,
) -> Decision<'a> {
    decide_parsed(frame, arena, steerer, ingress, parse::packet(frame))
}

/// [`decide`] where `parsed` is known to be what [`parse::packet()`] says of the frame.
#[inline(always)]
pub fn decide_parsed<'a, F: Frame, A: Arena, S: Steer + Fragments>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    ingress: u32,
    parsed: Result<Parsed, Unparsed>,
) -> Decision<'a> {
    let packet = match parsed {
        Ok(packet) => packet,
        Err(Unparsed::Foreign) => return Decision::Pass,
        Err(Unparsed::Defect {
            destination,
            reason,
        }) => {
            return defective(frame, arena, ingress, destination, reason);
        }
    };
    if packet.kind == Kind::LaterFragment {
        return follow(frame, arena, steerer, ingress, packet);
    }
    match service_of(frame, arena, ingress, &packet) {
        Some((front, found)) => choose(frame, arena, steerer, &front, &found, packet),
        None => {
            if packet.kind == Kind::FirstFragment
                && is_for_vip(frame, arena, ingress, packet.flow.destination)
            {
                steerer.note(fragments::tag(&packet, steerer.secret()), Note::PASS);
            }
            Decision::Pass
        }
    }
}

/// [`decide`] for a whole packet of TCP or UDP. What is left out here makes the common case short: three
/// copies of this are in the program.
#[inline(always)]
pub fn decide_plain<'a, F: Frame, A: Arena, S: Steer>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    ingress: u32,
    packet: Parsed,
) -> Decision<'a> {
    let Some((front, found)) = service_of(frame, arena, ingress, &packet) else {
        return Decision::Pass;
    };
    let flags = match admit(frame, arena, &front, &packet) {
        Ok(flags) => flags,
        Err(reason) => return Decision::Drop(reason),
    };
    let hash = flow_hash(found.entry.hash_key, found.entry.port_mask, &packet.flow);
    let backend = match ring::plain(arena, found.ring(arena), hash) {
        Some(backend) => backend,
        None => match steered(arena, steerer, &found, &packet, flags, hash) {
            Ok(backend) => backend,
            Err(reason) => return Decision::Drop(reason),
        },
    };
    let forward = Forward {
        packet,
        service: found.entry.id,
        backend,
        hash,
        new_flow: is_new_flow(flags),
    };
    finish(frame, arena, &front, forward)
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
fn choose<'a, F: Frame, A: Arena, S: Steer + Fragments>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    front: &Front<'_>,
    found: &Found<'_>,
    packet: Parsed,
) -> Decision<'a> {
    let forward = match place(frame, arena, steerer, front, found, packet) {
        Ok(forward) => forward,
        Err(reason) => return Decision::Drop(reason),
    };
    if packet.kind == Kind::FirstFragment {
        let to = forward.backend;
        // An index fits: see `limits`.
        let note = Note::new(forward.service, to.id as u16, to.generation);
        steerer.note(fragments::tag(&packet, steerer.secret()), note);
    }
    finish(frame, arena, front, forward)
}

/// The backend of a packet whose ports are known.
#[inline(always)]
fn place<'a, F: Frame, A: Arena, S: Steer>(
    frame: &F,
    arena: &'a A,
    steerer: &S,
    front: &Front<'_>,
    found: &Found<'_>,
    packet: Parsed,
) -> Result<Forward<'a>, DropReason> {
    let flags = admit(frame, arena, front, &packet)?;
    let hash = flow_hash(found.entry.hash_key, found.entry.port_mask, &packet.flow);
    Ok(Forward {
        packet,
        service: found.entry.id,
        backend: steered(arena, steerer, found, &packet, flags, hash)?,
        hash,
        new_flow: is_new_flow(flags),
    })
}

/// Asks who gets a packet.
#[inline(always)]
fn steered<'a, A: Arena, S: Steer>(
    arena: &'a A,
    steerer: &S,
    found: &Found<'_>,
    packet: &Parsed,
    flags: u8,
    hash: u32,
) -> Result<&'a BackendEntry, DropReason> {
    let backend = steerer.steer(&Question {
        service: found.at(),
        hash,
        source: packet.flow.source,
        source_port: packet.flow.source_port,
        protocol: packet.flow.protocol,
        flags,
        about: packet.kind == Kind::Error,
    })?;
    arena.view(backend).ok_or(DropReason::BadTable)
}

/// A later fragment goes where the first one went.
#[inline(always)]
fn follow<'a, F: Frame, A: Arena, S: Fragments>(
    frame: &F,
    arena: &'a A,
    notes: &S,
    ingress: u32,
    packet: Parsed,
) -> Decision<'a> {
    if !is_for_vip(frame, arena, ingress, packet.flow.destination) {
        return Decision::Pass;
    }
    let Some(front) = service::front(arena) else {
        return Decision::Pass;
    };
    let tag = fragments::tag(&packet, notes.secret());
    let note = match notes.find(tag) {
        Some(Note::PASS) => return Decision::Pass,
        Some(note) => note,
        None => return Decision::Drop(DropReason::Fragment),
    };
    if let Err(reason) = admit(frame, arena, &front, &packet) {
        return Decision::Drop(reason);
    }
    let Some(backend) = backend::by_id(arena, note.id(), note.generation()) else {
        return Decision::Drop(DropReason::Fragment);
    };
    let Some(backend) = arena.view(backend) else {
        return Decision::Drop(DropReason::BadTable);
    };
    let forward = Forward {
        packet,
        service: note.service(),
        backend,
        // The same for all fragments of a packet, which keeps them in order.
        hash: hash_of_tag(mix64(packet.fragment_id.into())),
        new_flow: false,
    };
    finish(frame, arena, &front, forward)
}

/// What becomes of a packet whose backend is known.
#[inline(always)]
fn finish<'a, F: Frame, A: Arena>(
    frame: &F,
    arena: &A,
    front: &Front<'_>,
    forward: Forward<'a>,
) -> Decision<'a> {
    match sendable(frame, arena, front, forward) {
        Ok(()) => Decision::Forward(forward),
        Err(DropReason::TooBig) if answer::is_wanted(frame, &forward.packet) => {
            Decision::Answer(Answer {
                l3: forward.packet.l3,
                v4: forward.packet.v4,
                mtu: fitting(forward.backend),
            })
        }
        Err(reason) => Decision::Drop(reason),
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
        about: false,
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
    if is_for_vip(frame, arena, ingress, destination) {
        Decision::Drop(reason)
    } else {
        Decision::Pass
    }
}

/// Whether a packet comes to us and is for the address of some service.
#[inline(always)]
fn is_for_vip<F: Frame, A: Arena>(frame: &F, arena: &A, ingress: u32, destination: Addr) -> bool {
    // No closure: a call would be left of it.
    let Some(front) = service::front(arena) else {
        return false;
    };
    front.address_flags(arena, destination) & VIP != 0
        && addressed_to_us(frame, &front, arena, ingress)
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
    if packet.ttl <= 1 {
        return Err(DropReason::TtlExpired);
    }
    let (source, destination) = match packet.kind {
        Kind::Error => (sender(frame, packet)?, packet.flow.destination),
        _ => (packet.flow.source, packet.flow.destination),
    };
    if is_martian(source, destination, packet.v4, front, arena) {
        return Err(DropReason::MartianSource);
    }
    match packet.kind {
        Kind::Whole | Kind::FirstFragment => transport(frame, packet, end - packet.l4),
        Kind::LaterFragment | Kind::Error => Ok(0),
    }
}

/// Who sent an ICMP error.
#[inline(always)]
fn sender<F: Frame>(frame: &F, packet: &Parsed) -> Result<Addr, DropReason> {
    if packet.v4 {
        let ip = frame.view::<Ipv4>(packet.l3).ok_or(DropReason::Truncated)?;
        return Ok(Addr::from_v4_word(ip.source.get()));
    }
    let ip = frame.view::<Ipv6>(packet.l3).ok_or(DropReason::Truncated)?;
    let [high, low] = ip.source;
    Ok(Addr::from_words([high.get(), low.get()]))
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
        // A first fragment says how long the whole is.
        let cut = packet.kind == Kind::FirstFragment;
        if length < udp::LEN || length > room && !cut {
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
fn is_martian<A: Arena>(
    source: Addr,
    destination: Addr,
    v4: bool,
    front: &Front<'_>,
    arena: &A,
) -> bool {
    if source == destination {
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

/// Whether a packet's backend can be sent it now.
#[inline(always)]
fn sendable<F: Frame, A: Arena>(
    frame: &F,
    arena: &A,
    front: &Front<'_>,
    forward: Forward<'_>,
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

/// Bytes of IP that a client's packet to a backend may have.
#[inline(always)]
fn fitting(backend: &BackendEntry) -> u32 {
    u32::from(backend.mtu).saturating_sub(encap::overhead(backend.mode))
}

/// The last mode that sends, counted from the first one.
const LAST_SENDING: u8 = ForwardMode::TunnelV6 as u8 - ForwardMode::DirectRouting as u8;
