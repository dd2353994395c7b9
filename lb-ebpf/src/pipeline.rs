//! The packet's life on one page: decide, rewrite, count, leave. The only file that knows the order.

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    programs::XdpContext,
};
use lb_common::{
    addr::Addr,
    answer,
    clients::{self, Client, News},
    decide::{self, Decision, Forward},
    forward::{self, Exit},
    fragments::{Fragments, Note},
    parse::{self, Unparsed},
    steer::{self, Question, Steer},
    verdict::DropReason,
};

use crate::{maps, packet::Packet, trace};

/// From frame to XDP code.
#[inline(always)]
pub(crate) fn run(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(ctx);
    let ingress = maps::ingress(&packet.ctx);
    let Some(arena) = maps::Arena::open() else {
        return xdp_action::XDP_PASS;
    };
    // The two commonest shapes get code of their own: with offsets that the compiler knows, most
    // checks and all choices by family are decided before the packet comes.
    if let Some(parsed) = parse::plain_ipv4(&packet) {
        let decision = decide::decide_plain(&packet, &arena, &Called, ingress, parsed);
        return carry_out(&mut packet, decision);
    }
    if let Some(parsed) = parse::plain_ipv6(&packet) {
        let decision = decide::decide_plain(&packet, &arena, &Called, ingress, parsed);
        return carry_out(&mut packet, decision);
    }
    let parsed = match dissect(packet.ctx.ctx) {
        maps::PARSED => maps::parsed().map(Ok),
        maps::DEFECT => maps::defect().map(|(destination, reason)| {
            Err(Unparsed::Defect {
                destination,
                reason,
            })
        }),
        _ => None,
    };
    let Some(parsed) = parsed else {
        return xdp_action::XDP_PASS;
    };
    let decision = decide::decide_parsed(&packet, &arena, &Called, ingress, parsed);
    carry_out(&mut packet, decision)
}

/// Leaves what [`parse::packet()`] says for [`maps::parsed`] or [`maps::defect`], and says for which; 0
/// where nothing can be ours. Like
/// [`steer_flow`] a function of global linkage: the verifier looks at each shape of packet here, and
/// does not carry it through everything that comes after.
#[inline(never)]
#[expect(
    unsafe_code,
    reason = "a name of its own is what gives the function global linkage"
)]
#[unsafe(no_mangle)]
extern "C" fn dissect(ctx: *mut xdp_md) -> u32 {
    let packet = Packet::new(XdpContext::new(ctx));
    match parse::packet(&packet) {
        Ok(parsed) => maps::keep_parsed(parsed),
        Err(Unparsed::Foreign) => 0,
        Err(Unparsed::Defect {
            destination,
            reason,
        }) => maps::keep_defect(destination, reason),
    }
}

/// Steering in a function of its own, of global linkage and with plain numbers for arguments: the
/// verifier looks at it once, and not once for each shape of packet that leads there.
struct Called;

impl Steer for Called {
    #[inline(always)]
    fn steer(&self, question: &Question) -> Result<u32, DropReason> {
        let [high, low] = question.source.words();
        let ports = u32::from(question.source_port)
            | u32::from(question.protocol | if question.about { ABOUT } else { 0 }) << 16
            | u32::from(question.flags) << 24;
        let answer = steer_flow(high, low, ports, question.hash, question.service);
        // Out of the verifier's sight: what it learns from the news would tell apart all that follows.
        let entry = maps::opaque(answer as u32) as u32;
        let failed = maps::opaque((answer >> 32) as u32 & 1);
        let news = (answer >> NEWS) as u32;
        if news != 0 {
            let further = news == News::Further as u32;
            note_client(high, low, question.service, entry, further.into());
        }
        if failed == 0 {
            Ok(entry)
        } else {
            Err(DropReason::from_low_bits(entry))
        }
    }
}

/// [`Question::about`] among the bits of the protocol, which is TCP or UDP.
const ABOUT: u8 = 0x80;

impl Fragments for Called {
    #[inline(always)]
    fn secret(&self) -> u64 {
        maps::secret()
    }

    #[inline(always)]
    fn note(&self, tag: u64, note: Note) {
        maps::note_fragment(tag, note.word());
    }

    #[inline(always)]
    fn find(&self, tag: u64) -> Option<Note> {
        match maps::find_fragment(tag) {
            maps::NO_NOTE => None,
            word => Some(Note::from_word(word)),
        }
    }
}

/// What an answer of [`steer_flow`] has beyond 32 bits: that they are a reason …
const FAILED: u64 = 1 << 32;
/// … and, from this bit on, the [`News`].
const NEWS: u32 = 33;

/// [`steer::steer`]: where the backend's entry is, or a reason.
#[inline(never)]
#[expect(
    unsafe_code,
    reason = "a name of its own is what gives the function global linkage"
)]
#[unsafe(no_mangle)]
extern "C" fn steer_flow(high: u64, low: u64, ports: u32, hash: u32, service: u32) -> u64 {
    let question = Question {
        service,
        hash,
        source: Addr::from_words([high, low]),
        source_port: ports as u16,
        protocol: (ports >> 16) as u8 & !ABOUT,
        flags: (ports >> 24) as u8,
        about: (ports >> 16) as u8 & ABOUT != 0,
    };
    let steered = match maps::Arena::open() {
        Some(arena) => match maps::Flows::open(&arena) {
            Some(flows) => steer::steer(&arena, &flows, &question),
            None => Err(DropReason::BadTable),
        },
        None => Err(DropReason::BadTable),
    };
    match steered {
        Ok(steered) => u64::from(steered.backend) | (steered.news as u64) << NEWS,
        Err(reason) => FAILED | u64::from(reason as u32),
    }
}

/// [`clients::host`] for a client's tag: where the backend's entry is, or 0.
#[inline(never)]
#[expect(
    unsafe_code,
    reason = "a name of its own is what gives the function global linkage"
)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn client_host(tag: u64) -> u64 {
    let Some(arena) = maps::Arena::open() else {
        return 0;
    };
    let Some(flows) = maps::Flows::open(&arena) else {
        return 0;
    };
    clients::host(&arena, &flows, Client { tag }).map_or(0, u64::from)
}

/// [`clients::note`]. The result says nothing: a function that is verified alone has one.
#[inline(never)]
#[expect(
    unsafe_code,
    reason = "a name of its own is what gives the function global linkage"
)]
#[unsafe(no_mangle)]
extern "C" fn note_client(high: u64, low: u64, service: u32, backend: u32, further: u32) -> u64 {
    let question = Question {
        service,
        hash: 0,
        source: Addr::from_words([high, low]),
        source_port: 0,
        protocol: 0,
        flags: 0,
        about: false,
    };
    if let Some(arena) = maps::Arena::open()
        && let Some(flows) = maps::Flows::open(&arena)
    {
        clients::note(&arena, &flows, &question, backend, further != 0);
    }
    0
}

#[inline(always)]
fn carry_out(packet: &mut Packet, decision: Decision<'_>) -> u32 {
    match decision {
        Decision::Pass => xdp_action::XDP_PASS,
        Decision::Drop(reason) => drop(packet, reason),
        Decision::Answer(answer) => {
            let l3 = answer.l3 | if answer.v4 { V4 } else { 0 };
            tell(packet.ctx.ctx, l3, answer.mtu)
        }
        Decision::Forward(forward) => match send(packet, &forward) {
            Err(reason) => drop(packet, reason),
            Ok(action) => {
                let bytes = forward.packet.length;
                maps::count_forward(forward.service, forward.backend.id, bytes, forward.new_flow);
                trace::forwarded(packet, &forward, action);
                action
            }
        },
    }
}

/// Tells the sender that a packet does not fit, if it has not been told too often. A function of its
/// own, because what it writes does not fit on the stack besides everything else.
#[inline(never)]
fn tell(ctx: *mut xdp_md, l3: u32, mtu: u32) -> u32 {
    let mut packet = Packet::new(XdpContext::new(ctx));
    if !maps::may_answer() {
        return drop(&packet, DropReason::TooBig);
    }
    // Bounded for the verifier, which does not know what a frame's headers can be.
    let (l3, v4) = (l3 & 0x1f, l3 & V4 != 0);
    if answer::too_big(&mut packet, l3, v4, mtu).is_none() {
        return drop(&packet, DropReason::TooBig);
    }
    trace::dropped(&packet, DropReason::TooBigAnswered);
    maps::count_drop(DropReason::TooBigAnswered);
    xdp_action::XDP_TX
}

/// A bit beside an offset.
const V4: u32 = 1 << 31;

#[inline(always)]
fn drop(packet: &Packet, reason: DropReason) -> u32 {
    trace::dropped(packet, reason);
    maps::count_drop(reason);
    xdp_action::XDP_DROP
}

#[inline(always)]
fn send(packet: &mut Packet, forward: &Forward<'_>) -> Result<u32, DropReason> {
    match forward::rewrite(packet, forward)? {
        Exit::Local => Ok(xdp_action::XDP_PASS),
        // Asked again, because the stack has no room to keep it.
        Exit::Interface(ifindex) if ifindex == maps::ingress(&packet.ctx) => Ok(xdp_action::XDP_TX),
        Exit::Interface(ifindex) => maps::redirect(ifindex).ok_or(DropReason::RedirectFailed),
    }
}
