//! The tunnel's end of a real server, where the kernel has none or is not to be asked
//! (`ballast realserver up --tunnel`). What it decides is decided in `lb_common::decap`; here are the
//! doors to packet memory and maps.
#![no_std]
#![no_main]
#![expect(
    clippy::cast_possible_truncation,
    reason = "BPF is a 64-bit target, and lengths and offsets of packets fit 32 bits"
)]

#[path = "decap/maps.rs"]
mod maps;
mod packet;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use lb_common::decap::{self, Decision};

use crate::{maps::Maps, packet::Packet};

/// Entry of the program; its name is the program's in the kernel.
#[xdp]
#[inline(always)]
pub(crate) fn ballast_decap(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(ctx);
    let how = match decap::decide(&packet, &Maps) {
        Decision::Pass => return xdp_action::XDP_PASS,
        Decision::Drop(refusal) => {
            maps::count(|counters| counters.refuse(refusal));
            return xdp_action::XDP_DROP;
        }
        Decision::Unwrap(how) => how,
    };
    match decap::unwrap(&mut packet, &how) {
        Ok(()) => {
            maps::count(|counters| counters.count(&how));
            xdp_action::XDP_PASS
        }
        Err(refusal) => {
            maps::count(|counters| counters.refuse(refusal));
            xdp_action::XDP_DROP
        }
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never linked in: the verifier would refuse the loop.
    loop {}
}

#[expect(
    unsafe_code,
    reason = "the section that the kernel reads the licence from"
)]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
