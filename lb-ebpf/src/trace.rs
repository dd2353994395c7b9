//! Packet logging, in the build that `--trace-packets` loads; in the shipped one these are nothing.
//! Only packets of services are logged.

use lb_common::{decide::Forward, verdict::DropReason};

use crate::packet::Packet;

/// A packet went to its backend.
#[cfg(feature = "trace")]
#[inline(always)]
pub(crate) fn forwarded(packet: &Packet, forward: &Forward<'_>, action: u32) {
    let flow = &forward.packet.flow;
    if forward.packet.v4 {
        aya_log_ebpf::info!(
            &packet.ctx,
            "{:i}:{} -> {:i}:{} service {} backend {} action {}",
            u32::from_be(flow.source.v4_word()),
            flow.source_port,
            u32::from_be(flow.destination.v4_word()),
            flow.destination_port,
            forward.service,
            forward.backend.id,
            action
        );
    } else {
        aya_log_ebpf::info!(
            &packet.ctx,
            "IPv6 port {} -> {} service {} backend {} action {}",
            flow.source_port,
            flow.destination_port,
            forward.service,
            forward.backend.id,
            action
        );
    }
}

/// A packet was dropped.
#[cfg(feature = "trace")]
#[inline(always)]
pub(crate) fn dropped(packet: &Packet, reason: DropReason) {
    aya_log_ebpf::warn!(&packet.ctx, "dropped, reason {}", reason as u32);
}

/// Nothing.
#[cfg(not(feature = "trace"))]
#[inline(always)]
pub(crate) fn forwarded(_: &Packet, _: &Forward<'_>, _: u32) {}

/// Nothing.
#[cfg(not(feature = "trace"))]
#[inline(always)]
pub(crate) fn dropped(_: &Packet, _: DropReason) {}
