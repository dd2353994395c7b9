//! What a packet costs, beside floor programs in the same run.
//!
//! Every figure is *net*: the same driver running the empty program is taken off. Programs take turns
//! within one run and each one's fastest round counts: what else a machine does only adds.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun,
    maps::{Array, HashMap, MapData, ProgramArray},
    programs::{TestRunOptions, Xdp},
};
use clap::Parser;
use lb_bench_ebpf::{BACKENDS, BATCH, Drive, Vip, VipInfo};
use lb_common::{backend::BackendEntry, ring::NOBODY, verdict::FlowEvent};
use lb_user::{
    dataplane::{
        bpf::{Bpf, Build, Capacity},
        pins::Pins,
        plan, stats,
    },
    ring::{Heads, Member, slot_count},
};
use serde_json::{Value, json};

use crate::{lab::Lab, packet};

mod world;

use world::{Kind, Workload};

/// How to measure.
#[derive(Debug, Parser)]
#[command(about = "Measures the XDP program beside floor programs")]
pub struct Options {
    /// Print one JSON document last.
    #[arg(long)]
    json: bool,
    /// Fewer and shorter rounds.
    #[arg(long)]
    quick: bool,
}

/// Measures and prints.
///
/// # Errors
///
/// When something cannot be loaded, or a program returned what it should not have.
pub fn run(options: &Options) -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("lb1")?;
    let report = host.run(|| measure(options))?;
    if options.json {
        println!("{report}");
    }
    Ok(())
}

/// The programs, in the slots of the driver's table.
const EMPTY: u32 = 0;
const REWRITE: u32 = 1;
const FLOOR_DIRECT: u32 = 2;
const FLOOR_TUNNEL: u32 = 3;
const FLOOR_LRU: u32 = 4;
const BALLAST: u32 = 5;

fn measure(options: &Options) -> Result<Value> {
    let mut bpf = Bpf::open(
        Pins::open(Path::new("/sys/fs/bpf/ballast"))?,
        CAPACITY,
        Build::Plain,
    )?;
    for op in plan::diff(bpf.applied(), &world::image()) {
        bpf.apply(&op, Instant::now())?;
    }
    let mut bench = Bench::load(&mut bpf)?;
    let rounds = if options.quick { 5 } else { 15 };
    let repeat = if options.quick { 4_000 } else { 20_000 };
    let mut rows = Vec::new();
    eprintln!(
        "{:<34} {:>9} {:>9} {:>7}  target",
        "workload", "net ns", "floor ns", "ratio"
    );
    for workload in world::workloads() {
        let row = bench.row(&workload, rounds, repeat)?;
        eprintln!(
            "{:<34} {:>9.1} {:>9.1} {:>7.2}  {}",
            workload.name,
            row.net,
            row.floor,
            row.net / row.floor,
            workload.target
        );
        rows.push(json!({
            "workload": workload.name, "net_ns": row.net, "floor_net_ns": row.floor,
            "ratio": row.net / row.floor, "target": workload.target,
        }));
    }
    let flood = flood(
        &mut bench,
        &bpf,
        if options.quick { 1_000_000 } else { 10_000_000 },
    )?;
    eprintln!("flood: {flood}");
    let (_, instructions) = bpf.program_info().unwrap_or_default();
    let rings: Vec<Value> = [10, 100, 1000].into_iter().map(ring_times).collect();
    let failure = one_failure();
    eprintln!(
        "verifier: {} instructions processed",
        instructions.unwrap_or(0)
    );
    for ring in &rings {
        eprintln!("ring: {ring}");
    }
    eprintln!("one failed backend of 100: {failure}");
    Ok(json!({
        "rows": rows, "verifier_instructions": instructions, "rings": rings,
        "one_failed_backend": failure, "flood": flood,
        "method": "BPF_PROG_TEST_RUN of a driver that prepares 16 packets a run, random flow order",
        "map_memory_bytes": u64::from(CAPACITY.arena) + u64::from(CAPACITY.table),
    }))
}

struct Row {
    net: f64,
    floor: f64,
}

/// The driver with everything it can call.
struct Bench {
    ebpf: Ebpf,
}

impl Bench {
    fn load(bpf: &mut Bpf) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .load(OBJECT)
            .context("cannot load the floor programs")?;
        for name in [
            "driver",
            "empty",
            "rewrite",
            "floor_direct",
            "floor_tunnel",
            "floor_lru",
        ] {
            let program: &mut Xdp = ebpf
                .program_mut(name)
                .context("no such program")?
                .try_into()?;
            program
                .load()
                .with_context(|| format!("the verifier refused `{name}`"))?;
        }
        let mut programs: ProgramArray<MapData> = ebpf
            .take_map("PROGRAMS")
            .context("no PROGRAMS")?
            .try_into()?;
        let slots = [
            (EMPTY, "empty"),
            (REWRITE, "rewrite"),
            (FLOOR_DIRECT, "floor_direct"),
            (FLOOR_TUNNEL, "floor_tunnel"),
            (FLOOR_LRU, "floor_lru"),
        ];
        for (slot, name) in slots {
            let program: &Xdp = ebpf.program(name).context("no such program")?.try_into()?;
            programs.set(slot, program.fd()?, 0)?;
        }
        programs.set(BALLAST, bpf.program()?.fd()?, 0)?;
        // The table lives as long as its descriptor.
        std::mem::forget(programs);
        let mut bench = Self { ebpf };
        bench.fill()?;
        Ok(bench)
    }

    fn fill(&mut self) -> Result<()> {
        let mut vips: HashMap<&mut MapData, PodVip, PodInfo> =
            HashMap::try_from(self.ebpf.map_mut("VIPS").context("no VIPS")?)?;
        for key in world::vips() {
            vips.insert(PodVip(key), PodInfo(VipInfo { id: 1, zero: 0 }), 0)?;
        }
        let mut backends: Array<&mut MapData, PodBackend> = Array::try_from(
            self.ebpf
                .map_mut("FLOOR_BACKENDS")
                .context("no FLOOR_BACKENDS")?,
        )?;
        for index in 0..BACKENDS {
            backends.set(index, PodBackend(world::floor_backend(index)), 0)?;
        }
        Ok(())
    }

    fn row(&mut self, workload: &Workload, rounds: u32, repeat: u32) -> Result<Row> {
        let floor = match workload.kind {
            Kind::Direct | Kind::Pass => FLOOR_DIRECT,
            Kind::Remembered => FLOOR_LRU,
            Kind::Tunnel => FLOOR_TUNNEL,
        };
        if workload.kind == Kind::Remembered && workload.flows <= MOST_OPENED {
            let opening = workload.opening();
            let packets = workload.flows.saturating_mul(COVER).max(BATCH);
            for program in [BALLAST, floor] {
                self.time(program, &opening.frame, &opening, TX, 0, packets / BATCH)?;
            }
        }
        // The fastest round of each: whatever else the machine does only adds.
        let (mut least_empty, mut least_ours, mut least_floor) = (f64::MAX, f64::MAX, f64::MAX);
        let served = world::served(workload);
        // One round to warm caches, not counted.
        for round in 0..=rounds {
            let empty = self.time(EMPTY, &workload.frame, workload, TX, 0, repeat)?;
            let (verdict, grown) = workload.expected();
            let ours = self.time(BALLAST, &workload.frame, workload, verdict, grown, repeat)?;
            let base = self.time(
                floor,
                &served.frame,
                &served,
                TX,
                workload.floor_growth(),
                repeat,
            )?;
            if round > 0 {
                least_empty = least_empty.min(empty);
                least_ours = least_ours.min(ours);
                least_floor = least_floor.min(base);
            }
        }
        Ok(Row {
            net: least_ours - least_empty,
            floor: least_floor - least_empty,
        })
    }

    /// Nanoseconds a packet, driver included.
    fn time(
        &mut self,
        program: u32,
        frame: &[u8],
        workload: &Workload,
        verdict: u32,
        grown: u32,
        repeat: u32,
    ) -> Result<f64> {
        let drive = Drive {
            random: 0x9e37_79b9_7f4a_7c15,
            flow_mask: workload.flows - 1,
            program,
            family: workload.family,
            verdict,
            grown,
            mismatches: 0,
            unexpected: 0,
            zero: 0,
        };
        let mut map: Array<&mut MapData, PodDrive> =
            Array::try_from(self.ebpf.map_mut("DRIVE").context("no DRIVE")?)?;
        map.set(0, PodDrive(drive), 0)?;
        let driver: &Xdp = self
            .ebpf
            .program("driver")
            .context("no driver")?
            .try_into()?;
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..Default::default()
        };
        let result = driver.test_run(options)?;
        let map: Array<&MapData, PodDrive> =
            Array::try_from(self.ebpf.map("DRIVE").context("no DRIVE")?)?;
        let Drive {
            mismatches,
            unexpected,
            ..
        } = map.get(&0, 0)?.0;
        ensure!(
            result.return_value == PASS && mismatches == 0,
            "{}: program {program} returned {unexpected} and not {verdict} {mismatches} times (driver: {})",
            workload.name,
            result.return_value
        );
        Ok(result.duration.as_nanos() as f64 / f64::from(BATCH))
    }
}

/// How long a ring takes.
fn ring_times(count: u32) -> Value {
    let members = members(count);
    let slots = slot_count(&members, 0);
    let started = Instant::now();
    let heads = Heads::build(&members, slots);
    let built = started.elapsed();
    let started = Instant::now();
    let owners = heads.owners(|member| member != 0);
    json!({
        "backends": count, "slots": slots, "build_ms": built.as_secs_f64() * 1e3,
        "one_failed_ms": started.elapsed().as_secs_f64() * 1e3,
        "nobody": owners.iter().filter(|owner| **owner == NOBODY).count(),
    })
}

/// What moves when one backend of 100 fails, and how even the ring was.
fn one_failure() -> Value {
    let members = members(100);
    let heads = Heads::build(&members, slot_count(&members, 65_537));
    let before = heads.owners(|_| true);
    let after = heads.owners(|member| member != 7);
    let own = before.iter().filter(|owner| **owner == 7).count();
    let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    let others = before
        .iter()
        .zip(&after)
        .filter(|(a, b)| a != b && **a != 7)
        .count();
    let share = |member: u16| before.iter().filter(|owner| **owner == member).count() as f64;
    let ideal = before.len() as f64 / 100.0;
    let worst = (0..100)
        .map(|m| (share(m) - ideal).abs() / ideal * 100.0)
        .fold(0.0, f64::max);
    json!({"own_slots": own, "moved": moved, "moved_of_others": others, "imbalance_percent": worst})
}

fn members(count: u32) -> Vec<Member> {
    (0..count)
        .map(|n| Member {
            address: std::net::Ipv4Addr::from(0x0a80_0000 + n).into(),
            port: 80,
            weight: 1,
        })
        .collect()
}

/// Packets in random order for each flow until nearly all of them have had one: e^-8 have not.
const COVER: u32 = 8;
/// Flows that are opened before they are measured.
const MOST_OPENED: u32 = 1 << 20;

/// What becomes of established flows while many others come.
fn flood(bench: &mut Bench, bpf: &Bpf, packets: u32) -> Result<Value> {
    let mut kept = Vec::new();
    let of = |port, flows, first| Workload {
        name: "flood",
        kind: Kind::Remembered,
        family: 4,
        flows,
        frame: world::packet_of(port, first),
        target: "",
    };
    for port in [world::TURNS, world::OTHER_TURNS] {
        for first in [true, false] {
            let opened = of(port, ESTABLISHED, first);
            let runs = ESTABLISHED * COVER / BATCH;
            bench.time(BALLAST, &opened.frame, &opened, TX, 0, runs)?;
        }
    }
    let flood = of(world::TURNS, 1 << 28, true);
    bench.time(BALLAST, &flood.frame, &flood, TX, 0, packets / BATCH)?;
    for port in [world::TURNS, world::OTHER_TURNS] {
        let id = world::service(bpf.applied(), port).context("no such service")?;
        let count = |event| {
            let flows = stats::read(bpf).flows;
            flows.get(&id).map_or(0, |sums| sums[event as usize])
        };
        let before = [FlowEvent::Hit, FlowEvent::Miss].map(count);
        let again = of(port, ESTABLISHED, false);
        bench.time(
            BALLAST,
            &again.frame,
            &again,
            TX,
            0,
            ESTABLISHED * COVER / BATCH,
        )?;
        let after = [FlowEvent::Hit, FlowEvent::Miss].map(count);
        let [hits, misses] = [after[0] - before[0], after[1] - before[1]];
        kept.push(hits as f64 / (hits + misses).max(1) as f64);
    }
    Ok(json!({
        "new_flows": packets, "established_each": ESTABLISHED,
        "kept_of_the_flooded_service": kept[0], "kept_of_another_service": kept[1],
    }))
}

/// Flows of each service that a flood is to leave alone.
const ESTABLISHED: u32 = 1 << 16;

const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench-xdp"));
const CAPACITY: Capacity = Capacity {
    arena: 16 << 20,
    // What the default `connection_table_size` of a million flows gets.
    table: 64 << 20,
    services: 64,
    backends: 1024,
};
const PASS: u32 = 2;
const TX: u32 = 3;

/// The shared types, as aya wants them.
macro_rules! pod {
    ($($name:ident($inner:ty)),+ $(,)?) => {$(
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        struct $name($inner);
        const _: () = {
            const fn proven<T: zerocopy::FromBytes + zerocopy::IntoBytes>() {}
            proven::<$inner>();
        };
        #[expect(unsafe_code, reason = "aya::Pod is an unsafe marker; the derives prove it")]
        // SAFETY: any bytes are a value and there is no padding, by `proven`.
        unsafe impl aya::Pod for $name {}
    )+};
}
pod!(
    PodVip(Vip),
    PodInfo(VipInfo),
    PodDrive(Drive),
    PodBackend(BackendEntry)
);

/// A frame of the packet builder, padded to what Ethernet carries at least.
fn frame(packet: &packet::Packet) -> Vec<u8> {
    let mut bytes = packet.build();
    bytes.resize(bytes.len().max(64), 0);
    bytes
}
