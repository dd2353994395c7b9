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
    pub too_big_answered: u64,
    pub reserved: [u64; 17],
}

/// One element of `flow_stats`, per CPU, one for each service: what its flows did to the connection
/// table. One field a [`crate::verdict::FlowEvent`], in its order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowCounters {
    /// Packets of remembered flows.
    pub hits: u64,
    /// Packets of others, where the table was asked.
    pub misses: u64,
    /// Flows remembered.
    pub inserts: u64,
    /// Weaker entries forgotten for that.
    pub evictions: u64,
    /// Flows not remembered because the budget was spent.
    pub over_budget: u64,
    /// Flows not remembered because the table was full of established ones.
    pub table_full: u64,
    /// Packets of unremembered flows that went to a slot's previous owner.
    pub to_previous: u64,
    /// The program's own: the tick of the grant that this CPU is using up.
    pub grant_tick: u32,
    /// The program's own: what is left of it.
    pub grant_left: u32,
}

/// Words of [`FlowCounters`] that are counters.
pub const FLOW_WORDS: usize = 7;

/// One element of `shared`, for each service: what all CPUs share. The program's own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Shared {
    /// Counts the new flows of a service with a sequence.
    pub turn: u64,
    /// The tick that `granted` is about.
    pub tick: u32,
    /// New flows granted in it.
    pub granted: u32,
    /// A cache line each: services do not slow each other down.
    pub reserved: [u64; 6],
}

/// Takes one from this CPU's grant; once it is used up or old, a new one from what all CPUs share.
///
/// Shared words are written without a lock: CPUs that meet may grant a few [`GRANT`]s too many in a
/// tick, which a budget can bear.
#[inline(always)]
pub fn grant(own: &mut FlowCounters, shared: &mut Shared, budget: u32, tick: u32) -> bool {
    if own.grant_tick != tick || own.grant_left == 0 {
        if shared.tick != tick {
            shared.tick = tick;
            shared.granted = 0;
        }
        let left = budget.saturating_sub(shared.granted);
        let taken = if left < GRANT { left } else { GRANT };
        if taken == 0 {
            return false;
        }
        shared.granted += taken;
        own.grant_tick = tick;
        own.grant_left = taken;
    }
    own.grant_left -= 1;
    true
}

/// New flows that a CPU is granted at a time.
pub const GRANT: u32 = 64;

/// Words of [`DropCounters`].
pub const DROP_WORDS: usize = 32;

map_pod!(
    TrafficCounters = 32,
    DropCounters = 256,
    FlowCounters = 64,
    Shared = 64
);

const _: () = assert!(crate::verdict::FlowEvent::ALL.len() == FLOW_WORDS);
const _: () = assert!(core::mem::offset_of!(FlowCounters, grant_tick) == FLOW_WORDS * 8);

const _: () = assert!(size_of::<DropCounters>() == DROP_WORDS * 8);
const _: () = assert!(DropReason::ALL.len() + 17 == DROP_WORDS);

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
