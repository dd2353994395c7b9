//! The agent's part in remembered flows: it sweeps the connection table, a batch a second, looks after
//! grace times, and says in `status` what is remembered.

use lb_common::{
    connections::{TICK_SHIFT, WAY},
    counters::FLOW_WORDS,
    ring::Previous,
    verdict::FlowEvent,
};
use nix::time::{ClockId, clock_gettime};

use super::desired::Datapath;
use crate::{
    dataplane::{
        bpf::Clock,
        image::{BackendId, ServiceImage},
        sweep::{Flows, Usage},
    },
    observe::snapshot::{BackendFlows, ConnectionTable, ServiceFlows},
};

/// What time it is.
pub(super) fn clock() -> Clock {
    let now = |clock| {
        let time = clock_gettime(clock).expect("every kernel we run on has these clocks");
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        (seconds, u64::try_from(time.tv_nsec()).unwrap_or(0))
    };
    let (seconds, nanos) = now(ClockId::CLOCK_MONOTONIC);
    let ticks = (seconds * 1_000_000_000 + nanos) >> TICK_SHIFT;
    let (boot, _) = now(ClockId::CLOCK_BOOTTIME);
    Clock {
        // Counted modulo 2^32, like the program's.
        tick: u32::try_from(ticks & u64::from(u32::MAX)).unwrap_or(0),
        boot: u32::try_from(boot).unwrap_or(u32::MAX),
    }
}

impl Datapath {
    /// Sweeps a batch. Whether the image has to be made again: a grace time has ended, or a sweep has
    /// found something that matters.
    pub(super) fn look_after_flows(&mut self) -> bool {
        let clock = clock();
        let due = self.cache.is_due(clock.boot);
        let inserts = |sums: &[u64]| sums.get(INSERTS).copied().unwrap_or(0);
        let inserted: u64 = self.rates.now.1.flows.values().map(|s| inserts(s)).sum();
        let is_empty = self.usage.as_ref().is_some_and(|usage| usage.flows == 0);
        if is_empty && inserted == self.swept_inserts && !self.cache.wants_sweep() {
            return due;
        }
        // A scheduler that counts wants to know every second; else there is time.
        let length = self.bpf.table().length();
        let bytes = if self.cache.counts_flows() {
            length
        } else {
            (length / BATCHES).max(BATCH)
        };
        let Some(usage) = self.bpf.sweep(self.cache.lifetimes(), bytes, clock) else {
            return due;
        };
        self.usage = Some(usage);
        self.swept_inserts = std::mem::replace(&mut self.sweep_inserts, inserted);
        due || self.cache.wants_sweep() || self.cache.counts_flows()
    }

    /// The connection table as a whole.
    pub(super) fn connection_table(&self) -> ConnectionTable {
        let bytes = self.bpf.table().length();
        let usage = self.usage.as_ref();
        let clients = usage.map_or(0, |usage| usage.clients);
        ConnectionTable {
            flows: usage.map_or(0, |usage| usage.flows.saturating_sub(clients)),
            clients,
            places: (bytes / WAY).into(),
            bytes: bytes.into(),
            age_seconds: usage.map(|usage| clock().boot.saturating_sub(usage.began).into()),
        }
    }
}

/// Slots that have moved lately. Those of a service that remembers every flow are never plain.
pub(super) fn moved_slots(service: &ServiceImage) -> u32 {
    let moved = service
        .ring
        .slots
        .iter()
        .filter(|slot| match slot.previous() {
            Previous::Plain => false,
            Previous::Table => !service.steering.stateful,
            Previous::Local(_) | Previous::Older => true,
        });
    u32::try_from(moved.count()).unwrap_or(u32::MAX)
}

/// What is remembered of a backend.
pub(super) fn of_backend(usage: Option<&Usage>, id: BackendId) -> BackendFlows {
    let Flows {
        new,
        active,
        closing,
        clients,
    } = found(usage, id);
    BackendFlows {
        active,
        new,
        closing,
        clients,
    }
}

/// What is remembered of a service: `listed` are its configured backends, `everyone` also those that
/// were removed.
pub(super) fn of_service(
    usage: Option<&Usage>,
    events: [u64; FLOW_WORDS],
    listed: impl Iterator<Item = BackendId>,
    everyone: impl Iterator<Item = BackendId>,
) -> ServiceFlows {
    let count = |event: FlowEvent| events[event as usize];
    let (mut remembered, mut clients) = (0, 0);
    for flows in everyone.map(|id| found(usage, id)) {
        remembered += u64::from(flows.all());
        clients += u64::from(flows.clients);
    }
    let with_listed: u64 = listed.map(|id| u64::from(found(usage, id).all())).sum();
    ServiceFlows {
        remembered,
        clients,
        with_removed: remembered.saturating_sub(with_listed),
        hits: count(FlowEvent::Hit),
        misses: count(FlowEvent::Miss),
        inserts: count(FlowEvent::Insert),
        evictions: count(FlowEvent::Eviction),
        over_budget: count(FlowEvent::OverBudget),
        table_full: count(FlowEvent::Full),
        to_previous: count(FlowEvent::ToPrevious),
    }
}

fn found(usage: Option<&Usage>, id: BackendId) -> Flows {
    let flows = usage.and_then(|usage| usage.backends.get(&id));
    flows.copied().unwrap_or_default()
}

/// Where inserts are among a service's sums.
const INSERTS: usize = FlowEvent::Insert as usize;
/// Seconds that a whole sweep takes, in which nobody waits for its result.
const BATCHES: u32 = 4;
/// Bytes looked at in one go, at least.
const BATCH: u32 = 4 << 20;
