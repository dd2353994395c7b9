//! Pure: who has which part of the arena.
//!
//! First fit over whole units. A freed region rests before it is handed out again: a program that
//! read its address just before the flip may still be looking at it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use lb_common::arena::UNIT;

/// How long a freed region rests. A run of the program takes microseconds, so this is generous even
/// for a virtual machine that is paused in the middle of one.
pub const REST: Duration = Duration::from_secs(1);

/// Free space of an arena. Offsets and lengths are bytes, multiples of [`UNIT`].
#[derive(Clone, Debug)]
pub struct Allocator {
    free: BTreeMap<u32, u32>,
    resting: VecDeque<(Instant, u32, u32)>,
    length: u32,
    used: u32,
}

/// The arena is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ring memory of {total} bytes is full ({used} used, {wanted} more wanted); \
     raise `datapath.ring_memory`"
)]
pub struct Full {
    /// Size of the arena.
    pub total: u32,
    /// In use or resting.
    pub used: u32,
    /// What did not fit.
    pub wanted: u32,
}

impl Allocator {
    /// An arena of `length` bytes whose first unit, the root, is taken.
    #[must_use]
    pub fn new(length: u32) -> Self {
        let length = length / UNIT * UNIT;
        Self {
            free: BTreeMap::from([(UNIT, length.saturating_sub(UNIT))]),
            resting: VecDeque::new(),
            length,
            used: UNIT,
        }
    }

    /// Bytes in use or resting.
    #[must_use]
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Takes `bytes` (rounded up to whole units).
    ///
    /// # Errors
    ///
    /// [`Full`] if no hole is large enough.
    pub fn take(&mut self, bytes: u32, now: Instant) -> Result<u32, Full> {
        self.wake(now);
        let length = round(bytes);
        let hole = self.free.iter().find(|(_, free)| **free >= length);
        let Some((&at, &free)) = hole else {
            return Err(Full {
                total: self.length,
                used: self.used,
                wanted: length,
            });
        };
        self.free.remove(&at);
        if free > length {
            self.free.insert(at + length, free - length);
        }
        self.used += length;
        Ok(at)
    }

    /// Marks a region of an adopted arena as taken. `false` if it is not wholly free.
    pub fn claim(&mut self, at: u32, bytes: u32) -> bool {
        let length = round(bytes);
        let Some((&start, &free)) = self.free.range(..=at).next_back() else {
            return false;
        };
        let (Some(end), hole_end) = (at.checked_add(length), start + free) else {
            return false;
        };
        if !at.is_multiple_of(UNIT) || end > hole_end {
            return false;
        }
        self.free.remove(&start);
        if at > start {
            self.free.insert(start, at - start);
        }
        if hole_end > end {
            self.free.insert(end, hole_end - end);
        }
        self.used += length;
        true
    }

    /// Gives a region back; it rests until `now` + [`REST`].
    pub fn give_back(&mut self, at: u32, bytes: u32, now: Instant) {
        self.resting.push_back((now + REST, at, round(bytes)));
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&(until, at, length)) = self.resting.front() {
            if until > now {
                break;
            }
            self.resting.pop_front();
            self.used -= length;
            self.insert(at, length);
        }
    }

    /// Puts a hole back, merged with its neighbours.
    fn insert(&mut self, mut at: u32, mut length: u32) {
        if let Some((&before, &free)) = self.free.range(..at).next_back()
            && before + free == at
        {
            self.free.remove(&before);
            at = before;
            length += free;
        }
        if let Some(free) = self.free.remove(&(at + length)) {
            length += free;
        }
        self.free.insert(at, length);
    }
}

/// Whole units.
fn round(bytes: u32) -> u32 {
    bytes.max(1).div_ceil(UNIT) * UNIT
}

#[cfg(test)]
mod tests;
