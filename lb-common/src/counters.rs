//! Per-CPU counter layouts. Field names are what `bpftool map dump` prints.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{pod::map_pod, verdict::DropReason};

/// One element of `service_stats` and `backend_stats`, per CPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TrafficCounters {
    /// Packets forwarded, or handed to a local backend.
    pub packets: u64,
    /// Their IP lengths as received, without link layer and tunnel headers.
    pub bytes: u64,
    /// TCP packets with SYN and without ACK among them.
    pub new_flows: u64,
    /// Room for what comes; keeps an element from sharing a cache line unevenly.
    pub reserved: u64,
}

/// The single element of `drop_stats`, per CPU: one field a [`DropReason`], in its order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[expect(missing_docs, reason = "each field is described at its DropReason")]
pub struct DropCounters {
    pub no_backend: u64,
    pub next_hop_unresolved: u64,
    pub bad_ip_header: u64,
    pub truncated: u64,
    pub bad_transport_header: u64,
    pub ttl_expired: u64,
    pub martian_source: u64,
    pub fragment: u64,
    pub extension_headers: u64,
    pub too_big: u64,
    pub peer_loop: u64,
    pub bad_table: u64,
    pub no_headroom: u64,
    pub redirect_failed: u64,
    pub reserved: [u64; 18],
}

/// Words of [`DropCounters`].
pub const DROP_WORDS: usize = 32;

map_pod!(TrafficCounters = 32, DropCounters = 256);

const _: () = assert!(size_of::<DropCounters>() == DROP_WORDS * 8);
const _: () = assert!(DropReason::ALL.len() + 18 == DROP_WORDS);

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes as _;

    use super::*;

    #[test]
    fn the_fields_stand_where_the_reasons_count() {
        let mut words = [0u64; DROP_WORDS];
        for (n, word) in words.iter_mut().enumerate() {
            *word = n as u64;
        }
        let counters = DropCounters::read_from_bytes(words.as_bytes()).unwrap();
        assert_eq!(counters.no_backend, DropReason::NoBackend as u64);
        assert_eq!(counters.fragment, DropReason::Fragment as u64);
        assert_eq!(counters.redirect_failed, DropReason::RedirectFailed as u64);
    }
}
