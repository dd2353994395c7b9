//! How packet bytes are looked at and changed.
//!
//! The kernel's implementation checks against `data_end` (`lb-ebpf/src/packet.rs`); the host's is a
//! byte vector in the tests. Decisions and rewriting are written once, over these traits.

use crate::wire::Header;

/// A frame, read-only.
pub trait Frame {
    /// The `T` at `offset` bytes from the start of the frame, or `None` if it does not lie wholly
    /// within it.
    fn view<T: Header>(&self, offset: u32) -> Option<&T>;

    /// Length of the frame, bytes.
    fn length(&self) -> u32;
}

/// A frame that can be changed.
pub trait FrameMut: Frame {
    /// Writes `value` at `offset`; `None` if it would not lie wholly within the frame.
    fn store<T: Header>(&mut self, offset: u32, value: T) -> Option<()>;

    /// Moves the start of the frame: `by` bytes are added in front (content undefined) or, if
    /// negative, removed. `None` if there is no room.
    fn grow_head(&mut self, by: i32) -> Option<()>;

    /// Cuts the frame off at `length` bytes; `None` if it is shorter.
    fn set_length(&mut self, length: u32) -> Option<()>;
}
