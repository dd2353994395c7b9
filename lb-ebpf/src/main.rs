//! Ballast's XDP program. What it decides is decided in `lb-common`; here are the doors to packet
//! memory ([`packet`]) and maps ([`maps`]), and the order of things ([`pipeline`]).
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "BPF is a 64-bit target, and lengths and offsets of packets and maps fit 32 bits"
)]

mod maps;
mod packet;
mod pipeline;
mod trace;

use aya_ebpf::{macros::xdp, programs::XdpContext};

/// Entry of the program; its name is the program's in the kernel.
#[xdp]
#[inline(always)]
pub(crate) fn ballast(ctx: XdpContext) -> u32 {
    pipeline::run(ctx)
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
