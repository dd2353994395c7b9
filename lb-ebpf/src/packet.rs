//! The door to packet memory: every access is checked against `data_end`, as the verifier wants it.
#![expect(unsafe_code, reason = "packet memory is raw pointers")]

use aya_ebpf::{
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use lb_common::{
    packet::{Frame, FrameMut},
    wire::Header,
};

/// The frame the program was called for.
pub(crate) struct Packet {
    pub(crate) ctx: XdpContext,
}

impl Packet {
    #[inline(always)]
    pub(crate) fn new(ctx: XdpContext) -> Self {
        Self { ctx }
    }

    /// Address of `T` at `offset`, if all of it is within the frame.
    #[inline(always)]
    fn address<T>(&self, offset: u32) -> Option<usize> {
        let start = self.ctx.data() + offset as usize;
        (start + size_of::<T>() <= self.ctx.data_end()).then_some(start)
    }
}

impl Frame for Packet {
    #[inline(always)]
    fn view<T: Header>(&self, offset: u32) -> Option<&T> {
        let at = self.address::<T>(offset)?;
        // SAFETY: within the frame by `address`; `Header` types have alignment 1 and take any
        // bytes. Writes go through `store`, which borrows the packet mutably.
        Some(unsafe { &*(at as *const T) })
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        (self.ctx.data_end() - self.ctx.data()) as u32
    }
}

impl FrameMut for Packet {
    #[inline(always)]
    fn store<T: Header>(&mut self, offset: u32, value: T) -> Option<()> {
        let at = self.address::<T>(offset)?;
        // SAFETY: within the frame by `address`; no view is alive while the packet is borrowed
        // mutably; `Header` types have alignment 1.
        unsafe { *(at as *mut T) = value };
        Some(())
    }

    #[inline(always)]
    fn grow_head(&mut self, by: i32) -> Option<()> {
        // SAFETY: the helper checks the new bounds itself; views of before are dead, because it
        // takes the packet mutably, and `data`/`data_end` are read anew afterwards.
        let result = unsafe { bpf_xdp_adjust_head(self.ctx.ctx, -by) };
        (result == 0).then_some(())
    }

    #[inline(always)]
    fn set_length(&mut self, length: u32) -> Option<()> {
        let by = length.cast_signed() - self.length().cast_signed();
        if by > 0 {
            return None;
        }
        // SAFETY: as in `grow_head`.
        let result = unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, by) };
        (result == 0).then_some(())
    }
}
