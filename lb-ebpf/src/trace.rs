//! Packet logging, in the build that `--trace-packets` loads; in the shipped one these are nothing.
//! Only packets of services are logged.

#[cfg(feature = "trace")]
use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use lb_common::{decide::Forward, verdict::DropReason};

use crate::packet::Packet;

/// A packet went to its backend.
#[cfg(feature = "trace")]
#[inline(always)]
pub(crate) fn forwarded(packet: &Packet, forward: &Forward<'_>, action: u32) {
    let Forward {
        packet: parsed,
        service,
        backend,
        ..
    } = forward;
    let flow = &parsed.flow;
    let ports = u32::from(flow.source_port) << 16 | u32::from(flow.destination_port);
    let who = u64::from(*service) << 32 | u64::from(backend.id);
    let addresses = if parsed.v4 {
        u64::from(flow.source.v4_word()) << 32 | u64::from(flow.destination.v4_word())
    } else {
        0
    };
    log_forwarded(packet.ctx.ctx, addresses, ports, who, action);
}

/// A function of its own, which takes numbers: what the macro borrows is brought to the stack, and with
/// it, were it a part of something larger, all of that, by words that are not aligned there.
#[cfg(feature = "trace")]
#[inline(never)]
fn log_forwarded(ctx: *mut xdp_md, addresses: u64, ports: u32, who: u64, action: u32) -> u32 {
    let ctx = XdpContext::new(ctx);
    let (source_port, destination_port) = (ports >> 16, ports & 0xffff);
    let (service, backend) = ((who >> 32) as u32, who as u32);
    if addresses != 0 {
        aya_log_ebpf::info!(
            &ctx,
            "{:i}:{} -> {:i}:{} service {} backend {} action {}",
            u32::from_be((addresses >> 32) as u32),
            source_port,
            u32::from_be(addresses as u32),
            destination_port,
            service,
            backend,
            action
        );
    } else {
        aya_log_ebpf::info!(
            &ctx,
            "IPv6 port {} -> {} service {} backend {} action {}",
            source_port,
            destination_port,
            service,
            backend,
            action
        );
    }
    0
}

/// A packet was dropped.
#[cfg(feature = "trace")]
#[inline(always)]
pub(crate) fn dropped(packet: &Packet, reason: DropReason) {
    log_dropped(packet.ctx.ctx, reason as u32);
}

/// As [`log_forwarded`].
#[cfg(feature = "trace")]
#[inline(never)]
fn log_dropped(ctx: *mut xdp_md, reason: u32) -> u32 {
    aya_log_ebpf::warn!(&XdpContext::new(ctx), "dropped, reason {}", reason);
    0
}

/// Nothing.
#[cfg(not(feature = "trace"))]
#[inline(always)]
pub(crate) fn forwarded(_: &Packet, _: &Forward<'_>, _: u32) {}

/// Nothing.
#[cfg(not(feature = "trace"))]
#[inline(always)]
pub(crate) fn dropped(_: &Packet, _: DropReason) {}
