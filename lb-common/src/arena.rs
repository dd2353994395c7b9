//! The arena: one large map value that the agent maps into its memory and the program reads.
//!
//! ```text
//! 0      Root          fixed place; `front` is flipped
//! front  FrontHeader   interfaces, own addresses, peers, services: see `service`
//! …      ring regions  header, slots, local table: see `ring`
//! …      backends      64 bytes each: see `backend`
//! …      directory     8 bytes a backend id: where its entry is
//! ```
//!
//! Whatever is larger than a word is written where nobody looks yet, and then made visible by one
//! aligned 32-bit store (a *flip*) to the word that says where it is. A freed region rests until no
//! program that could have seen its address still runs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `Root::magic`: "BLST".
pub const MAGIC: u32 = u32::from_be_bytes(*b"BLST");
/// Granularity of regions, bytes: one cache line.
pub const UNIT: u32 = 64;
/// Where [`Root`] is.
pub const ROOT: u32 = 0;

/// What may be viewed in the arena.
pub trait Region: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Copy> Region for T {}

/// Read access to the arena.
pub trait Arena {
    /// The `T` at byte offset `at` (a multiple of 8), or `None` if it does not lie wholly within
    /// the arena. What a view shows was complete before its address was published.
    fn view<T: Region>(&self, at: u32) -> Option<&T>;

    /// The word at byte offset `at` (a multiple of 4), read once: the agent may flip it meanwhile.
    fn word(&self, at: u32) -> Option<u32>;
}

/// The fixed start of the arena.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Root {
    /// [`MAGIC`] once the agent has initialised the arena.
    pub magic: u32,
    /// [`crate::limits::LAYOUT`].
    pub layout: u32,
    /// Where the current [`crate::service::FrontHeader`] is; 0 while there is none. Flipped.
    pub front: u32,
    /// Where the directory of backends is ([`crate::backend::DirectoryEntry`] by id).
    pub directory: u32,
    /// Key of the connection table, random.
    pub secret: u64,
    /// Always 0.
    pub reserved: [u32; 10],
}

/// Byte offset of [`Root::front`].
pub const ROOT_FRONT: u32 = ROOT + 8;
/// Byte offset of [`Root::directory`].
pub const ROOT_DIRECTORY: u32 = ROOT + 12;

const _: () = assert!(size_of::<Root>() == UNIT as usize);
const _: () = assert!(core::mem::offset_of!(Root, front) == ROOT_FRONT as usize);
const _: () = assert!(core::mem::offset_of!(Root, directory) == ROOT_DIRECTORY as usize);
