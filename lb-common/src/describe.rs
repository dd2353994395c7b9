//! The maps for people: what the indices of the counters mean.
//!
//! Text fields are NUL-padded; `bpftool map dump` prints them as strings.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::pod::map_pod;

/// An element of `services`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ServiceDescription {
    /// `services[].name`, cut to 63 bytes.
    pub name: [u8; 64],
    /// Virtual address.
    pub address: [u8; 48],
    /// Host order; 0: this index is unused.
    pub port: u32,
    /// `tcp` or `udp`.
    pub protocol: [u8; 4],
    /// Slots of the ring.
    pub ring_slots: u32,
    /// Configured backends.
    pub backends: u32,
}

/// An element of `backends`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackendDescription {
    /// `backends[].name`, cut to 63 bytes.
    pub name: [u8; 64],
    /// Its service's name.
    pub service: [u8; 64],
    /// Its address.
    pub address: [u8; 48],
    /// Host order; 0: this index is unused.
    pub port: u32,
    /// Configured weight.
    pub weight: u32,
    /// `direct_routing` or `tunnel`.
    pub forwarding: [u8; 16],
    /// Index in `services`.
    pub service_index: u32,
    /// Counts the backends that have had this index.
    pub generation: u32,
}

map_pod!(ServiceDescription = 128, BackendDescription = 208);

/// `text` cut to fit with a NUL at the end, at a character boundary.
#[must_use]
pub fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out[..end].copy_from_slice(&text.as_bytes()[..end]);
    out
}

/// The reverse of [`text()`]; bytes that are no UTF-8 give an empty string.
#[must_use]
pub fn from_text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or("")
}
