//! Reads the counters.

use std::collections::BTreeMap;

use aya::maps::{MapData, PerCpuArray};
use lb_common::{
    counters::{DROP_WORDS, DropCounters, FLOW_WORDS, FlowCounters, TrafficCounters},
    verdict::DropReason,
};
use zerocopy::IntoBytes as _;

use super::{
    bpf::Bpf,
    image::{BackendId, ServiceId},
};

/// Counters of a service or a backend, all CPUs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets forwarded.
    pub packets: u64,
    /// Their IP lengths, bytes.
    pub bytes: u64,
    /// TCP connections opened.
    pub new_flows: u64,
}

/// All counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By service.
    pub services: BTreeMap<ServiceId, Traffic>,
    /// By backend.
    pub backends: BTreeMap<BackendId, Traffic>,
    /// Dropped packets by reason, all reasons.
    pub drops: BTreeMap<DropReason, u64>,
    /// What flows did to the connection table, by service; by [`lb_common::verdict::FlowEvent`].
    pub flows: BTreeMap<ServiceId, [u64; FLOW_WORDS]>,
}

/// Reads every counter in use. What cannot be read counts as zero: a missing figure must not stop a
/// `status`.
#[must_use]
pub fn read(bpf: &Bpf) -> Stats {
    let image = bpf.applied();
    let mut stats = Stats::default();
    if let Some(map) = traffic(bpf, "SERVICE_STATS") {
        let ids = image.services.keys();
        stats.services = ids.map(|id| (*id, sum(&map, id.0))).collect();
    }
    if let Some(map) = traffic(bpf, "BACKEND_STATS") {
        let ids = image.backends.keys();
        stats.backends = ids.map(|id| (*id, sum(&map, id.0))).collect();
    }
    let flow_stats = bpf.ebpf.map("FLOW_STATS");
    let flow_stats: Option<PerCpuArray<&MapData, FlowCounters>> =
        flow_stats.and_then(|map| map.try_into().ok());
    if let Some(map) = flow_stats {
        let ids = image.services.keys();
        stats.flows = ids.map(|id| (*id, events(&map, id.0))).collect();
    }
    let words = drops(bpf);
    stats.drops = DropReason::ALL
        .iter()
        .map(|reason| (*reason, words[*reason as usize]))
        .collect();
    stats
}

fn traffic<'a>(bpf: &'a Bpf, name: &str) -> Option<PerCpuArray<&'a MapData, TrafficCounters>> {
    PerCpuArray::try_from(bpf.ebpf.map(name)?).ok()
}

fn sum(map: &PerCpuArray<&MapData, TrafficCounters>, index: u32) -> Traffic {
    let Ok(values) = map.get(&index, 0) else {
        return Traffic::default();
    };
    values.iter().fold(Traffic::default(), |sum, cpu| Traffic {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
        new_flows: sum.new_flows + cpu.new_flows,
    })
}

fn events(map: &PerCpuArray<&MapData, FlowCounters>, index: u32) -> [u64; FLOW_WORDS] {
    let mut sum = [0; FLOW_WORDS];
    let Ok(values) = map.get(&index, 0) else {
        return sum;
    };
    for cpu in values.iter() {
        for (word, value) in sum.iter_mut().zip(cpu.as_bytes().chunks_exact(8)) {
            let bytes = value.try_into().expect("chunks of 8 bytes");
            *word += u64::from_ne_bytes(bytes);
        }
    }
    sum
}

fn drops(bpf: &Bpf) -> [u64; DROP_WORDS] {
    let mut words = [0; DROP_WORDS];
    let Some(map) = bpf.ebpf.map("DROP_STATS") else {
        return words;
    };
    let Ok(map): Result<PerCpuArray<&MapData, DropCounters>, _> = map.try_into() else {
        return words;
    };
    let Ok(values) = map.get(&0, 0) else {
        return words;
    };
    for cpu in values.iter() {
        for (word, value) in words.iter_mut().zip(cpu.as_bytes().chunks_exact(8)) {
            let bytes = value.try_into().expect("chunks of 8 bytes");
            *word += u64::from_ne_bytes(bytes);
        }
    }
    words
}
