//! A ring region: which backend owns which slot.
//!
//! ```text
//! +0            RingHeader            64 bytes
//! +64           slots × u32           low half: owner, high half: previous owner
//! +local_table  locals × u32          local owner → byte offset of its BackendEntry. Flipped
//! ```
//!
//! An owner is a *local* index (0 …): 16 bits are enough for a service, and a backend's entry can be
//! replaced by flipping one word whatever the number of its slots.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    arena::{Arena, UNIT},
    backend::BackendEntry,
    hash::slot_of,
    verdict::DropReason,
};

/// Owner or previous owner: nobody.
pub const NOBODY: u16 = u16::MAX;
/// Offset of the slots in the region.
pub const SLOTS: u32 = UNIT;

/// The start of the region.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RingHeader {
    /// Number of slots.
    pub slots: u32,
    /// Number of local owners.
    pub locals: u32,
    /// Offset of the local table, bytes from the start of the region.
    pub local_table: u32,
    /// Length of the whole region, bytes; for the agent when it adopts an arena.
    pub length: u32,
    /// Room for the times of moves and the ring of another size; always 0.
    pub reserved: [u32; 12],
}

const _: () = assert!(size_of::<RingHeader>() == UNIT as usize);

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A slot that has not moved lately.
    #[inline(always)]
    #[must_use]
    pub const fn plain(owner: u16) -> Self {
        Self(owner as u32 | (NOBODY as u32) << 16)
    }

    /// From the arena's word.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// For the arena.
    #[must_use]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Who gets new flows; [`NOBODY`] if no backend is available.
    #[inline(always)]
    #[must_use]
    pub const fn owner(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

/// What the ring said about a hash.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// The slot's number.
    pub slot: u32,
    /// Number of slots of the ring.
    pub slots: u32,
    /// Who gets the flow.
    pub backend: &'a BackendEntry,
}

/// Asks the ring at `at` for the owner of `hash`.
///
/// # Errors
///
/// [`DropReason::NoBackend`] where nobody owns the slot, [`DropReason::BadTable`] where the region
/// makes no sense.
#[inline(always)]
pub fn select<A: Arena>(arena: &A, at: u32, hash: u32) -> Result<Selection<'_>, DropReason> {
    if at == 0 {
        return Err(DropReason::NoBackend);
    }
    let header: &RingHeader = arena.view(at).ok_or(DropReason::BadTable)?;
    let slot = slot_of(hash, header.slots);
    let word = arena
        .word(at + SLOTS + slot * 4)
        .ok_or(DropReason::BadTable)?;
    let owner = Slot::from_word(word).owner();
    if owner == NOBODY {
        return Err(DropReason::NoBackend);
    }
    if u32::from(owner) >= header.locals {
        return Err(DropReason::BadTable);
    }
    let entry = arena
        .word(at + header.local_table + u32::from(owner) * 4)
        .ok_or(DropReason::BadTable)?;
    let backend = arena.view(entry).ok_or(DropReason::BadTable)?;
    Ok(Selection {
        slot,
        slots: header.slots,
        backend,
    })
}
