//! A frame in ordinary memory, with room in front as the kernel leaves it: where the code under test
//! runs on the host.

use lb_common::{
    packet::{Frame, FrameMut},
    wire::Header,
};

/// A frame that can grow at its head.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    first: usize,
}

impl Buffer {
    /// With so many bytes of metadata in front, which the frame cannot grow into.
    pub(crate) fn new(frame: &[u8], metadata: usize) -> Self {
        let mut bytes = vec![0; HEADROOM];
        bytes.extend(frame);
        Self {
            bytes,
            start: HEADROOM,
            first: KERNEL + metadata,
        }
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn range<T>(&self, offset: u32) -> Option<std::ops::Range<usize>> {
        let start = self.start + offset as usize;
        let end = start + size_of::<T>();
        (end <= self.bytes.len()).then_some(start..end)
    }
}

impl Frame for Buffer {
    fn view<T: Header>(&self, offset: u32) -> Option<&T> {
        T::ref_from_bytes(&self.bytes[self.range::<T>(offset)?]).ok()
    }

    fn length(&self) -> u32 {
        u32::try_from(self.frame().len()).expect("a frame is short")
    }
}

impl FrameMut for Buffer {
    fn store<T: Header>(&mut self, offset: u32, value: T) -> Option<()> {
        let range = self.range::<T>(offset)?;
        self.bytes[range].copy_from_slice(value.as_bytes());
        Some(())
    }

    fn grow_head(&mut self, by: i32) -> Option<()> {
        let start = self.start.cast_signed() - by as isize;
        // An Ethernet header must stay.
        let last = self.bytes.len().checked_sub(14)?;
        let start = usize::try_from(start).ok()?;
        (self.first..=last)
            .contains(&start)
            .then(|| self.start = start)
    }

    fn set_length(&mut self, length: u32) -> Option<()> {
        let end = self.start + length as usize;
        // As in `grow_head`.
        (length >= 14 && end <= self.bytes.len()).then(|| self.bytes.truncate(end))
    }
}

/// `XDP_PACKET_HEADROOM`
const HEADROOM: usize = 256;
/// `sizeof(struct xdp_frame)`: what the kernel keeps of it for itself.
const KERNEL: usize = 40;
