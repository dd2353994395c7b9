//! A ring region: which backend owns which slot, and who owned it before a move.
//!
//! ```text
//! +0            RingHeader            64 bytes
//! +64           slots × u32           low half: owner, high half: Previous
//! +local_table  locals × u32          local owner → byte offset of its BackendEntry. Flipped
//! +times        slots × u32           when each slot moved, boot time in seconds: the agent's
//! +older        older_slots × u32     the ring of another size that was before: local owner + 1
//! +sequence     sequence_length × u32 locals in the order in which new flows get them
//! ```
//!
//! An owner is a *local* index (0 …): 16 bits are enough for a service, and a backend's entry can be
//! replaced by flipping one word whatever the number of its slots.
//!
//! A slot that has not moved lately is its owner's number and nothing else, so one comparison tells
//! the packet path that there is nothing to remember: see [`plain`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    arena::{Arena, UNIT},
    backend::BackendEntry,
    hash::slot_of,
    verdict::DropReason,
};

/// Owner: nobody.
pub const NOBODY: u16 = u16::MAX;
/// Local owners of a ring at most: see [`Previous`].
pub const MAX_LOCALS: u32 = OVER_TABLE as u32 - 1;
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
    /// Offset of the times; 0: no slot has moved lately.
    pub times: u32,
    /// Offset of the older ring's slots.
    pub older: u32,
    /// Number of the older ring's slots; 0: there is none.
    pub older_slots: u32,
    /// When the older ring was replaced, boot time in seconds.
    pub older_since: u32,
    /// Offset of the sequence.
    pub sequence: u32,
    /// Length of the sequence; 0: new flows go by the ring.
    pub sequence_length: u32,
    /// The turn at which the sequence begins.
    pub sequence_start: u32,
    /// Always 0.
    pub reserved: [u32; 5],
}

const _: () = assert!(size_of::<RingHeader>() == UNIT as usize);

/// What is known of a slot besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Previous {
    /// It has not moved lately: every flow is the owner's.
    Plain,
    /// Some flows are remembered elsewhere; whichever is not is the owner's.
    Table,
    /// Some flows are remembered elsewhere; whichever is not is this local owner's, if it is older
    /// than the move.
    Local(u16),
    /// The same with whoever had the flow in the older ring.
    Older,
}

/// [`Previous`] in 16 bits: 0 is `Plain`, so that a plain slot is a small number.
const OVER_OLDER: u16 = 0xffff;
const OVER_TABLE: u16 = 0xfffe;

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A slot that has not moved lately.
    #[inline(always)]
    #[must_use]
    pub const fn plain(owner: u16) -> Self {
        Self(owner as u32)
    }

    /// Any slot; `previous` below [`MAX_LOCALS`].
    #[must_use]
    pub const fn new(owner: u16, previous: Previous) -> Self {
        let over = match previous {
            Previous::Plain => 0,
            Previous::Table => OVER_TABLE,
            Previous::Older => OVER_OLDER,
            Previous::Local(local) => local + 1,
        };
        Self(owner as u32 | (over as u32) << 16)
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

    /// What else is known.
    #[inline(always)]
    #[must_use]
    pub const fn previous(self) -> Previous {
        match (self.0 >> 16) as u16 {
            0 => Previous::Plain,
            OVER_TABLE => Previous::Table,
            OVER_OLDER => Previous::Older,
            local => Previous::Local(local - 1),
        }
    }
}

/// The backend of a slot that has not moved lately: all that the fast path asks. `None` for whatever
/// needs a closer look, which is [`Ring`]'s business.
#[inline(always)]
pub fn plain<A: Arena>(arena: &A, at: u32, hash: u32) -> Option<&BackendEntry> {
    let header: &RingHeader = arena.view(at)?;
    let slot = slot_of(hash, header.slots);
    let word = arena.word(at + SLOTS + slot * 4)?;
    // A moved slot is beyond 16 bits, nobody is 0xffff, and a ring that is not there has no locals.
    if word >= header.locals || at == 0 {
        return None;
    }
    arena.view(arena.word(at + header.local_table + word * 4)?)
}

/// A ring, for a closer look.
#[derive(Clone, Copy)]
pub struct Ring<'a, A> {
    arena: &'a A,
    at: u32,
    header: &'a RingHeader,
}

impl<'a, A: Arena> Ring<'a, A> {
    /// The ring at `at`.
    ///
    /// # Errors
    ///
    /// [`DropReason::NoBackend`] where there is none, [`DropReason::BadTable`] where it makes no sense.
    #[inline(always)]
    pub fn open(arena: &'a A, at: u32) -> Result<Self, DropReason> {
        if at == 0 {
            return Err(DropReason::NoBackend);
        }
        let header = arena.view(at).ok_or(DropReason::BadTable)?;
        Ok(Self { arena, at, header })
    }

    /// Number of slots.
    #[inline(always)]
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.header.slots
    }

    /// The slot of a hash, by its number.
    ///
    /// # Errors
    ///
    /// [`DropReason::BadTable`]
    #[inline(always)]
    pub fn slot(&self, number: u32) -> Result<Slot, DropReason> {
        let word = self.arena.word(self.at + SLOTS + number * 4);
        word.map(Slot::from_word).ok_or(DropReason::BadTable)
    }

    /// When a slot moved last, boot time in seconds; `None` if it has not lately.
    #[must_use]
    pub fn moved_at(&self, slot: u32) -> Option<u32> {
        match self.header.times {
            0 => None,
            times => self.arena.word(self.at + times + slot * 4),
        }
    }

    /// Who a flow was with in the older ring; [`NOBODY`] if that is not alive.
    ///
    /// # Errors
    ///
    /// [`DropReason::BadTable`]
    #[inline(always)]
    pub fn older(&self, hash: u32) -> Result<u16, DropReason> {
        let slot = slot_of(hash, self.header.older_slots);
        let word = self.arena.word(self.at + self.header.older + slot * 4);
        let local = word.ok_or(DropReason::BadTable)?;
        Ok((local as u16).wrapping_sub(1))
    }

    /// Whether new flows go by turns.
    #[inline(always)]
    #[must_use]
    pub const fn has_sequence(&self) -> bool {
        self.header.sequence_length != 0
    }

    /// Whose turn it is; `None` where there is no sequence.
    #[inline(always)]
    #[must_use]
    pub fn sequence(&self, turn: u32) -> Option<u16> {
        let place = turn
            .wrapping_sub(self.header.sequence_start)
            .checked_rem(self.header.sequence_length)?;
        let word = self
            .arena
            .word(self.at + self.header.sequence + place * 4)?;
        Some(word as u16)
    }

    /// Where a local owner's entry is.
    ///
    /// # Errors
    ///
    /// [`DropReason::NoBackend`] for [`NOBODY`], [`DropReason::BadTable`] where there is none.
    #[inline(always)]
    pub fn backend(&self, local: u16) -> Result<u32, DropReason> {
        if local == NOBODY {
            return Err(DropReason::NoBackend);
        }
        if u32::from(local) >= self.header.locals {
            return Err(DropReason::BadTable);
        }
        let word = self.at + self.header.local_table + u32::from(local) * 4;
        self.arena.word(word).ok_or(DropReason::BadTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_survives_its_word() {
        let last = u16::try_from(MAX_LOCALS).unwrap() - 1;
        for owner in [0, 1, last, NOBODY] {
            for previous in [
                Previous::Plain,
                Previous::Table,
                Previous::Older,
                Previous::Local(0),
                Previous::Local(last),
            ] {
                let slot = Slot::from_word(Slot::new(owner, previous).word());
                assert_eq!((slot.owner(), slot.previous()), (owner, previous));
                let small = slot.word() <= u32::from(u16::MAX);
                assert_eq!(small, previous == Previous::Plain);
            }
        }
    }
}
