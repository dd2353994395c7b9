//! Later fragments have no ports: they follow the first one, by what is noted of it.
//!
//! The note is small and short-lived, and worth no more: a flood of fragments can push notes out, and
//! then whole fragments are lost, but no flow.

use crate::{addr::Addr, hash::mix64, parse::Parsed};

/// Notes of first fragments.
pub trait Fragments {
    /// Key of the notes, random.
    fn secret(&self) -> u64;
    /// Keeps a note.
    fn note(&self, tag: u64, note: Note);
    /// Looks a note up.
    fn find(&self, tag: u64) -> Option<Note>;
}

/// Where the fragments of a packet go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note(u64);

impl Note {
    /// Up the stack: the packet is for the virtual address, but for no service of it.
    pub const PASS: Self = Self(u64::MAX);

    /// To a backend of a service.
    #[inline(always)]
    #[must_use]
    pub const fn new(service: u32, id: u16, generation: u16) -> Self {
        Self(id as u64 | (generation as u64) << 16 | (service as u64) << 32)
    }

    /// From the map.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// For the map.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The service's index.
    #[inline(always)]
    #[must_use]
    pub const fn service(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The backend's index.
    #[inline(always)]
    #[must_use]
    pub const fn id(self) -> u16 {
        self.0 as u16
    }

    /// The backend's generation.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// What all fragments of a packet have in common, and no others (RFC 791 §3.2, RFC 8200 §4.5: IPv6 does not
/// count the protocol), as a digest that a sender cannot aim at another's.
#[inline(always)]
#[must_use]
pub const fn tag(packet: &Parsed, secret: u64) -> u64 {
    let protocol = if packet.v4 { packet.flow.protocol } else { 0 };
    let first = digest(secret, packet.flow.source);
    let both = digest(first, packet.flow.destination);
    mix64(both ^ packet.fragment_id as u64 ^ (protocol as u64) << 32)
}

#[inline(always)]
const fn digest(key: u64, addr: Addr) -> u64 {
    let [high, low] = addr.words();
    mix64(mix64(high ^ key) ^ low)
}
