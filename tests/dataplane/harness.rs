//! A bench: the program loaded in a host of its own, with counters that are compared after each frame.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use aya::{TestRun, programs::TestRunOptions};
use lb_common::verdict::DropReason;
use lb_tests::{
    lab::{self, Lab},
    netns::Host,
    packet::Packet,
    require::Need,
};
use lb_user::dataplane::{
    bpf::{Bpf, Build, Capacity},
    image::{BackendId, Image, ServiceId},
    pins::Pins,
    plan,
    stats::{self, Stats, Traffic},
};

use crate::world::{self, OTHER_INTERFACE, Target};

/// `enum xdp_action` of the kernel, without `XDP_ABORTED`, which must never come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Action {
    /// Dropped.
    Drop = 1,
    /// Up the stack.
    Pass = 2,
    /// Out by the interface it came in.
    Tx = 3,
    /// Out by another one.
    Redirect = 4,
}

/// What a case expects: an action, and with it exactly one kind of count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Up the stack, not a byte changed, nothing counted.
    Pass,
    /// Dropped, counted under the reason.
    Drop(DropReason),
    /// To a backend.
    Send(Sent),
    /// Dropped, and this goes back: it was too big.
    Answer(Vec<u8>),
}

impl Expect {
    /// For people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Pass => "passes it".to_owned(),
            Self::Drop(reason) => format!("drops it: {}", reason.name()),
            Self::Answer(frame) => format!("answers {}", hex(frame)),
            Self::Send(sent) => format!(
                "{:?} to {:?}, {} bytes, new flow {}: {}",
                sent.action,
                sent.target,
                sent.bytes,
                sent.new_flow,
                hex(&sent.frame)
            ),
        }
    }
}

/// A packet that reaches a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// How it leaves; [`Action::Pass`] to a local backend.
    pub action: Action,
    /// Whose counters it moves.
    pub target: Target,
    /// By how many bytes.
    pub bytes: usize,
    /// Whether it counts as a new flow.
    pub new_flow: bool,
    /// What leaves.
    pub frame: Vec<u8>,
}

/// The loaded program and what went wrong so far.
pub(crate) struct Bench {
    pub bpf: Bpf,
    pub host: Host,
    failures: String,
    cases: u32,
}

/// Runs cases against the whole [`world`].
pub(crate) fn cases(body: impl FnOnce(&mut Bench) -> Result<()> + Send) {
    bench(|bench| {
        bench.apply(&world::image())?;
        body(bench)
    });
}

/// The same with a connection table of so many bytes.
pub(crate) fn cases_with_table(table: u32, body: impl FnOnce(&mut Bench) -> Result<()> + Send) {
    let capacity = Capacity { table, ..CAPACITY };
    lab::test(&[Need::Root], |lab| {
        in_host(lab, capacity, |bench| {
            bench.apply(&world::image())?;
            body(bench)
        })
    });
}

/// Runs cases against a program whose arena is empty.
pub(crate) fn bench(body: impl FnOnce(&mut Bench) -> Result<()> + Send) {
    lab::test(&[Need::Root], |lab| in_host(lab, CAPACITY, body));
}

fn in_host(
    lab: &Lab,
    capacity: Capacity,
    body: impl FnOnce(&mut Bench) -> Result<()> + Send,
) -> Result<()> {
    let host = lab.host("lb1")?;
    host.sh(&format!(
        "ip link add other index {OTHER_INTERFACE} type veth peer name end"
    ))?;
    // BPF_PROG_TEST_RUN says that frames came in by `lo` of the calling thread's network.
    host.run(|| {
        let mut bench = Bench::open(&host, capacity)?;
        body(&mut bench)?;
        ensure!(
            bench.failures.is_empty(),
            "of {} cases some went wrong:\n{}",
            bench.cases,
            bench.failures
        );
        Ok(())
    })
}

impl Bench {
    fn open(host: &Host, capacity: Capacity) -> Result<Self> {
        let pins = Pins::open(Path::new(PINS))?;
        let bpf = Bpf::open(pins, capacity, Build::Plain)?;
        Ok(Self {
            bpf,
            host: host.clone(),
            failures: String::new(),
            cases: 0,
        })
    }

    /// Brings the maps to `image` and to where people find them.
    pub(crate) fn apply(&mut self, image: &Image) -> Result<()> {
        for op in plan::diff(self.bpf.applied(), image) {
            self.bpf.apply(&op, Instant::now())?;
        }
        self.bpf.commit()?;
        Ok(())
    }

    /// Whether this kernel takes `metadata` bytes in front of a frame (32 at most before 6.8). If
    /// not, says so.
    pub(crate) fn takes_metadata(&mut self, metadata: usize) -> bool {
        let taken = self.run_with(&[0; 60], metadata).is_ok();
        if !taken {
            eprintln!("SKIPPED: this kernel takes no {metadata} bytes of metadata");
        }
        taken
    }

    /// What the program makes of a frame.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        self.run_with(frame, 0)
    }

    /// The same with `metadata` bytes (a multiple of 4) in front of the frame, which leave that
    /// much less headroom.
    pub(crate) fn run_with(&mut self, frame: &[u8], metadata: usize) -> Result<(u32, Vec<u8>)> {
        let mut data_in = vec![0; metadata];
        data_in.extend(frame);
        let words = [
            u32::try_from(metadata)?,
            u32::try_from(data_in.len())?,
            0,
            0,
            0,
            0,
        ];
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
        let context: Vec<u8> = words
            .iter()
            .flat_map(|word| (*word).to_ne_bytes())
            .collect();
        let mut context_out = [0; 24];
        let mut data_out = vec![0; data_in.len() + 256];
        let mut options = TestRunOptions {
            data_in: Some(&data_in),
            data_out: Some(&mut data_out),
            ..TestRunOptions::default()
        };
        if metadata > 0 {
            options.ctx_in = Some(&context);
            options.ctx_out = Some(&mut context_out);
        }
        let result = self
            .bpf
            .program()?
            .test_run(options)
            .with_context(|| format!("BPF_PROG_TEST_RUN of {} bytes", frame.len()))?;
        data_out.truncate(result.data_size_out as usize);
        Ok((result.return_value, data_out.split_off(metadata)))
    }

    /// One case; what does not fit is noted and shown when all have run.
    pub(crate) fn case(
        &mut self,
        name: impl AsRef<str>,
        frame: &[u8],
        expect: &Expect,
    ) -> Result<()> {
        let before = stats::read(&self.bpf);
        let (code, out) = self.run(frame)?;
        self.cases += 1;
        let mut problems = String::new();
        let (action, wanted) = match expect {
            Expect::Pass => (Action::Pass, Some(frame)),
            Expect::Drop(_) => (Action::Drop, None),
            Expect::Send(sent) => (sent.action, Some(sent.frame.as_slice())),
            Expect::Answer(frame) => (Action::Tx, Some(frame.as_slice())),
        };
        if code != action as u32 {
            writeln!(problems, "  verdict {code}, expected {action:?}")?;
        }
        if let Some(wanted) = wanted
            && wanted != out
        {
            write!(problems, "{}", difference(frame, wanted, &out))?;
        }
        let counted = count_difference(&expected_stats(before, expect), &stats::read(&self.bpf));
        problems += &counted;
        if !problems.is_empty() {
            writeln!(self.failures, "{}:\n{problems}", name.as_ref())?;
        }
        Ok(())
    }

    /// A frame that goes up the stack.
    pub(crate) fn passes(&mut self, name: impl AsRef<str>, packet: &Packet) -> Result<()> {
        self.case(name, &packet.build(), &Expect::Pass)
    }

    /// A frame that is dropped.
    pub(crate) fn drops(
        &mut self,
        name: impl AsRef<str>,
        packet: &Packet,
        reason: DropReason,
    ) -> Result<()> {
        self.case(name, &packet.build(), &Expect::Drop(reason))
    }

    /// Notes a failure that is not about one frame.
    pub(crate) fn check(&mut self, name: &str, holds: bool) {
        self.cases += 1;
        if !holds {
            self.failures += &format!("{name}\n");
        }
    }
}

/// What the counters should say after a packet.
fn expected_stats(mut stats: Stats, expect: &Expect) -> Stats {
    count_expected(&mut stats, expect);
    stats
}

/// Adds what a packet should add to the counters.
pub(crate) fn count_expected(stats: &mut Stats, expect: &Expect) {
    match expect {
        Expect::Pass => {}
        Expect::Drop(reason) => *stats.drops.entry(*reason).or_default() += 1,
        Expect::Answer(_) => {
            *stats.drops.entry(DropReason::TooBigAnswered).or_default() += 1;
        }
        Expect::Send(sent) => {
            let target = sent.target;
            let add = |traffic: &mut Traffic| {
                traffic.packets += 1;
                traffic.bytes += sent.bytes as u64;
                traffic.new_flows += u64::from(sent.new_flow);
            };
            add(stats.services.entry(ServiceId(target.service)).or_default());
            add(stats.backends.entry(BackendId(target.backend)).or_default());
        }
    }
}

/// Which counters are not as expected, one a line.
pub(crate) fn count_difference(wanted: &Stats, found: &Stats) -> String {
    fn lines<K: Ord + Debug, V: PartialEq + Debug>(
        wanted: &BTreeMap<K, V>,
        found: &BTreeMap<K, V>,
    ) -> String {
        let mut text = String::new();
        for (key, wanted) in wanted {
            let found = found.get(key);
            if found != Some(wanted) {
                text += &format!("  counter {key:?}: {found:?}, expected {wanted:?}\n");
            }
        }
        text
    }
    lines(&wanted.services, &found.services)
        + &lines(&wanted.backends, &found.backends)
        + &lines(&wanted.drops, &found.drops)
}

fn difference(frame: &[u8], wanted: &[u8], found: &[u8]) -> String {
    let at = wanted.iter().zip(found).take_while(|(a, b)| a == b).count();
    format!(
        "  {} bytes, expected {}; the first other byte is at {at}\n    in       {}\n    expected {}\n    found    {}\n",
        found.len(),
        wanted.len(),
        hex(frame),
        hex(wanted),
        hex(found)
    )
}

/// The first 128 bytes, readable.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(128)];
    shown.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the host has its bpffs.
pub(crate) const PINS: &str = "/sys/fs/bpf/ballast";

const CAPACITY: Capacity = Capacity {
    arena: 4 << 20,
    table: 64 << 10,
    services: 256,
    backends: 512,
};
