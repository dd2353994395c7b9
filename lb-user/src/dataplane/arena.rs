//! The mapped arena: the agent's side of `lb_common::arena`.
//!
//! One writer (this process), many readers (the program on every CPU). Readers find a region only by
//! an offset that [`Arena::flip`] published after the region was complete. The connection table is
//! mapped by the same type, and only accessed by its atomic words.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::{
    io,
    num::NonZeroUsize,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use lb_common::arena::{self, Region};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// A mapping of the arena's map value, or memory of our own in its shape.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    length: u32,
}

// SAFETY: the mapping belongs to this value alone; nothing about it is bound to a thread.
unsafe impl Send for Arena {}
// SAFETY: through a shared reference it is only read, or accessed atomically.
unsafe impl Sync for Arena {}

impl Arena {
    /// Maps the value of an `ARRAY` map made with `BPF_F_MMAPABLE`. `length` is the value's size in
    /// bytes, a multiple of the page size.
    ///
    /// # Errors
    ///
    /// What `mmap` says.
    pub fn map(map: BorrowedFd<'_>, length: u32) -> io::Result<Self> {
        let bytes = non_zero(length)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address the kernel chooses; it is unmapped on drop only.
        let base = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self {
            base: base.cast(),
            length,
        })
    }

    /// Memory of this process only: for tests and dry runs.
    ///
    /// # Errors
    ///
    /// What `mmap` says.
    pub fn anonymous(length: u32) -> io::Result<Self> {
        let bytes = non_zero(length)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: as in `map`.
        let base = unsafe { mmap_anonymous(None, bytes, protection, MapFlags::MAP_PRIVATE) }?;
        Ok(Self {
            base: base.cast(),
            length,
        })
    }

    /// Size in bytes.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Writes a region that no reader can find yet.
    ///
    /// # Panics
    ///
    /// If it does not lie within the arena: the allocator hands out no such place.
    pub fn write(&mut self, at: u32, bytes: &[u8]) {
        assert!(
            u64::from(at) + bytes.len() as u64 <= u64::from(self.length),
            "a region of {} bytes at {at} is beyond the arena's {}",
            bytes.len(),
            self.length
        );
        // SAFETY: within the mapping by the assertion. No reference to these bytes is alive here
        // (`&mut self`), and the program cannot find them before a flip.
        unsafe {
            let to = self.base.as_ptr().add(at as usize);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// Stores one word where readers look: everything written before is visible to whoever sees it.
    ///
    /// # Panics
    ///
    /// If `at` is not an aligned place within the arena.
    pub fn flip(&mut self, at: u32, word: u32) {
        self.atomic(at)
            .expect("flipped words are aligned and inside")
            .store(word, Ordering::Release);
    }

    /// Two words of a map that the program writes, too; 0 outside.
    #[must_use]
    pub fn load(&self, at: u32) -> u64 {
        let word = self.atomic_wide(at);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Stores `new` where `old` still is; whether it was.
    pub fn exchange(&self, at: u32, old: u64, new: u64) -> bool {
        let word = self.atomic_wide(at);
        word.is_some_and(|word| {
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            word.compare_exchange(old, new, success, failure).is_ok()
        })
    }

    /// Stores two words where nobody else does.
    pub fn put(&self, at: u32, word: u64) {
        if let Some(place) = self.atomic_wide(at) {
            place.store(word, Ordering::Release);
        }
    }

    fn atomic_wide(&self, at: u32) -> Option<&AtomicU64> {
        let inside = at.is_multiple_of(8) && at <= self.length.checked_sub(8)?;
        // SAFETY: as in `atomic`; a map that the program writes is only accessed through here.
        inside.then(|| unsafe {
            AtomicU64::from_ptr(self.base.as_ptr().add(at as usize).cast::<u64>())
        })
    }

    fn atomic(&self, at: u32) -> Option<&AtomicU32> {
        let inside = at.is_multiple_of(4) && at <= self.length.checked_sub(4)?;
        // SAFETY: aligned and within the mapping; words that are flipped are only accessed
        // atomically while they can be flipped.
        inside.then(|| unsafe {
            AtomicU32::from_ptr(self.base.as_ptr().add(at as usize).cast::<u32>())
        })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and no reference outlives `self`.
        let result = unsafe { munmap(self.base.cast(), self.length as usize) };
        debug_assert!(result.is_ok(), "munmap of our own mapping: {result:?}");
    }
}

impl arena::Arena for Arena {
    fn view<T: Region>(&self, at: u32) -> Option<&T> {
        let end = u64::from(at) + size_of::<T>() as u64;
        let inside = at.is_multiple_of(8) && align_of::<T>() <= 8 && end <= u64::from(self.length);
        // SAFETY: aligned and within the mapping; any bytes are a `T`. Writes take `&mut self`,
        // and the kernel never writes here.
        inside.then(|| unsafe { &*self.base.as_ptr().add(at as usize).cast::<T>() })
    }

    fn word(&self, at: u32) -> Option<u32> {
        Some(self.atomic(at & !3)?.load(Ordering::Acquire))
    }
}

fn non_zero(length: u32) -> io::Result<NonZeroUsize> {
    NonZeroUsize::new(length as usize)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an arena of no bytes"))
}
