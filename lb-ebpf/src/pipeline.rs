//! The packet's life on one page: decide, rewrite, count, leave. The only file that knows the order.

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use lb_common::{
    decide::{self, Decision, Forward},
    forward::{self, Exit},
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
    let decided = match decide::decide(&packet, &arena, ingress) {
        Decision::Pass => return xdp_action::XDP_PASS,
        Decision::Drop(reason) => Err(reason),
        Decision::Forward(forward) => {
            send(&mut packet, ingress, &forward).map(|action| (action, forward))
        }
    };
    match decided {
        Ok((action, forward)) => {
            let bytes = forward.packet.length;
            maps::count_forward(forward.service, forward.backend.id, bytes, forward.new_flow);
            trace::forwarded(&packet, &forward, action);
            action
        }
        Err(reason) => {
            trace::dropped(&packet, reason);
            maps::count_drop(reason);
            xdp_action::XDP_DROP
        }
    }
}

#[inline(always)]
fn send(packet: &mut Packet, ingress: u32, forward: &Forward<'_>) -> Result<u32, DropReason> {
    match forward::rewrite(packet, forward)? {
        Exit::Local => Ok(xdp_action::XDP_PASS),
        Exit::Interface(ifindex) if ifindex == ingress => Ok(xdp_action::XDP_TX),
        Exit::Interface(ifindex) => maps::redirect(ifindex).ok_or(DropReason::RedirectFailed),
    }
}
