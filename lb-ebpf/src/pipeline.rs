//! The packet's life on one page: decide, rewrite, count, leave. The only file that knows the order.

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use lb_common::{
    decide::{self, Decision, Forward},
    forward::{self, Exit},
    parse,
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
        let decision = decide::decide_parsed(&packet, &arena, ingress, parsed);
        return carry_out(&mut packet, ingress, decision);
    }
    if let Some(parsed) = parse::plain_ipv6(&packet) {
        let decision = decide::decide_parsed(&packet, &arena, ingress, parsed);
        return carry_out(&mut packet, ingress, decision);
    }
    let decision = decide::decide(&packet, &arena, ingress);
    carry_out(&mut packet, ingress, decision)
}

#[inline(always)]
fn carry_out(packet: &mut Packet, ingress: u32, decision: Decision<'_>) -> u32 {
    match decision {
        Decision::Pass => xdp_action::XDP_PASS,
        Decision::Drop(reason) => drop(packet, reason),
        Decision::Forward(forward) => match send(packet, ingress, &forward) {
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

#[inline(always)]
fn drop(packet: &Packet, reason: DropReason) -> u32 {
    trace::dropped(packet, reason);
    maps::count_drop(reason);
    xdp_action::XDP_DROP
}

#[inline(always)]
fn send(packet: &mut Packet, ingress: u32, forward: &Forward<'_>) -> Result<u32, DropReason> {
    match forward::rewrite(packet, forward)? {
        Exit::Local => Ok(xdp_action::XDP_PASS),
        Exit::Interface(ifindex) if ifindex == ingress => Ok(xdp_action::XDP_TX),
        Exit::Interface(ifindex) => maps::redirect(ifindex).ok_or(DropReason::RedirectFailed),
    }
}
