//! Three opinions of every packet: the program in the kernel, the same code of `lb_common` on the host,
//! and the [`Reference`], for random and mutated packets. They agree on the verdict, on every byte that
//! leaves, on the one counter that moves, and (kernel and host) on every word that is remembered.
//!
//! | variable | |
//! |---|---|
//! | `PACKETS=10000000` | how many; 1,000,000 if it is not set, and 80,000 under an emulated kernel |
//! | `SEED=…` | repeats a run; without it each is another |
//! | `SEED=… EPOCH=…` | repeats the part of a run in which something went wrong |
//!
//! A run is made of epochs, each with a program of its own that has just been loaded: what is remembered
//! stays little enough for the kernel's maps to forget nothing. But every eighth epoch is a flood of
//! flows to a small table, which forgets as its rules say; of what becomes of those flows the
//! reference has no opinion.

mod belief;
mod clock;

use std::{
    collections::BTreeMap,
    env, mem,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lb_common::{
    backend::{CLOSED, DEAD},
    hash::mix64,
    verdict::{DropReason, FlowEvent},
};
use lb_user::dataplane::{
    image::{Image, ServiceId},
    stats::{self, Stats},
};

use lb_tests::random::Random;

use crate::{
    generator::Generator,
    harness::{Action, Bench, Expect, cases_with_table, count_difference, count_expected},
    world::Way,
};
use belief::{Belief, Packet};

/// Packets of a run that is not told how many.
const PACKETS: u64 = 1_000_000;
/// The same where a packet takes a millisecond.
const EMULATED: u64 = 2 * EPOCH;
/// Packets of an epoch.
const EPOCH: u64 = 40_000;
/// Packets between two looks at the counters.
const BATCH: u64 = 1000;
/// Every how many epochs there is a flood.
const FLOODS: u64 = 8;
/// Bytes of the connection table, large and small.
const TABLES: [u32; 2] = [1 << 20, 1 << 14];
/// Metadata that leaves no room for an outer header.
const MOST_METADATA: usize = 212;

/// How often each kind of thing happened.
type Seen = BTreeMap<String, u64>;

#[test]
fn the_kernel_the_host_and_the_reference_agree_on_every_packet() {
    let seed = variable("SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs() << 30)
    });
    let emulated = env::var_os("BALLAST_VM").is_some();
    let default = if emulated { EMULATED } else { PACKETS };
    let packets = variable("PACKETS").unwrap_or(default);
    let epochs = match variable("EPOCH") {
        Some(epoch) => epoch..epoch + 1,
        None => 0..packets.div_ceil(EPOCH),
    };
    let all = epochs.end - epochs.start >= FLOODS;
    println!(
        "SEED={seed}, {} packets",
        (epochs.end - epochs.start) * EPOCH
    );
    let next = AtomicU64::new(epochs.start);
    let seen = Mutex::new(Seen::new());
    let worker = |cpu| {
        let _stop = StopOthers(&next);
        loop {
            let epoch = next.fetch_add(1, Ordering::Relaxed);
            if !epochs.contains(&epoch) {
                return;
            }
            let of_epoch = run(seed, epoch, cpu);
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            for (kind, times) in of_epoch {
                *seen.entry(kind).or_default() += times;
            }
        }
    };
    thread::scope(|scope| {
        for cpu in clock::cpus() {
            scope.spawn(move || worker(cpu));
        }
    });
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{seen:#?}");
    if all && !seen.is_empty() {
        all_kinds(&seen);
    }
}

/// Where one goes wrong, the others need not go on.
struct StopOthers<'a>(&'a AtomicU64);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(u64::MAX / 2, Ordering::Relaxed);
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number in the environment"))
}

/// One epoch; what happened in it.
fn run(seed: u64, epoch: u64, cpu: usize) -> Seen {
    let flood = epoch % FLOODS == FLOODS - 1;
    let [large, small] = TABLES;
    let mut seen = Seen::new();
    let collected = &mut seen;
    cases_with_table(if flood { small } else { large }, |bench| {
        clock::stay_on(cpu)?;
        let mut epoch_run = Epoch::new(bench, mix64(seed.wrapping_add(epoch)), flood);
        epoch_run
            .run()
            .with_context(|| format!("SEED={seed} EPOCH={epoch} repeats it"))?;
        *collected = epoch_run.seen;
        Ok(())
    });
    seen
}

/// An epoch under way.
struct Epoch<'a> {
    bench: &'a mut Bench,
    generator: Generator,
    /// Of what is not in the frames.
    random: Random,
    /// What may be so; more than one where it is not known which tick the program has seen.
    beliefs: Vec<Belief>,
    expected: Stats,
    metadata_taken: bool,
    seen: Seen,
}

impl<'a> Epoch<'a> {
    fn new(bench: &'a mut Bench, seed: u64, flood: bool) -> Self {
        let metadata_taken = bench.takes_metadata(MOST_METADATA);
        Self {
            generator: if flood {
                Generator::flood(seed)
            } else {
                Generator::new(seed)
            },
            random: Random::new(!seed),
            beliefs: vec![Belief::new(&bench.bpf, !flood)],
            expected: stats::read(&bench.bpf),
            metadata_taken,
            seen: Seen::new(),
            bench,
        }
    }

    fn run(&mut self) -> Result<()> {
        for number in 1..=EPOCH {
            self.packet()
                .with_context(|| format!("packet {number} of the epoch"))?;
            if number % BATCH == 0 {
                self.compare_counters()
                    .with_context(|| format!("within {BATCH} packets up to {number}"))?;
            }
            if number == EPOCH / 2 {
                self.lose_backends()?;
            }
        }
        for (event, times) in self.beliefs[0].events() {
            *self.seen.entry(event.name().to_owned()).or_default() += times;
        }
        Ok(())
    }

    fn packet(&mut self) -> Result<()> {
        let frame = self.generator.frame();
        let metadata = match self.random.index(20) {
            0 if self.metadata_taken => 4 * self.random.index(MOST_METADATA / 4 + 1),
            _ => 0,
        };
        let before = clock::now();
        let (code, out) = self.bench.run_with(&frame, metadata)?;
        let ticks = clock::ticks(before, clock::now());
        let packet = Packet {
            frame: &frame,
            metadata,
            code,
            out: &out,
        };
        let mut agreeing: Vec<(Belief, Expect)> = Vec::with_capacity(1);
        let mut opinions = String::new();
        let mut judge =
            |mut belief: Belief, tick| match belief.agree(&self.bench.bpf, &packet, tick) {
                Err(opinion) => opinions += &opinion,
                Ok(_) if agreeing.iter().any(|(other, _)| *other == belief) => {}
                Ok(expect) => agreeing.push((belief, expect)),
            };
        for belief in mem::take(&mut self.beliefs) {
            let (last, earlier) = ticks.split_last().context("some tick")?;
            for tick in earlier {
                judge(belief.clone(), *tick);
            }
            judge(belief, *last);
        }
        ensure!(!agreeing.is_empty(), "{}{opinions}", packet.describe());
        let (_, expect) = &agreeing[0];
        count_expected(&mut self.expected, expect);
        *self.seen.entry(kind(expect)).or_default() += 1;
        self.beliefs = agreeing.into_iter().map(|(belief, _)| belief).collect();
        Ok(())
    }

    /// What has been counted and remembered is what is believed.
    fn compare_counters(&mut self) -> Result<()> {
        let found = stats::read(&self.bench.bpf);
        let difference = count_difference(&self.expected, &found);
        ensure!(difference.is_empty(), "counters differ:\n{difference}");
        let bpf = &self.bench.bpf;
        self.beliefs
            .retain(|belief| belief.is_remembered(bpf, &found));
        ensure!(
            !self.beliefs.is_empty(),
            "the connection table or its counters differ: {:?}",
            found.flows
        );
        Ok(())
    }

    /// Some backends die, and of these some come back: flows that were theirs are none's now. And some take
    /// no new flows any more: clients that stay with them have to go elsewhere.
    fn lose_backends(&mut self) -> Result<()> {
        let mut image: Image = self.bench.bpf.applied().clone();
        let of_way = |service: ServiceId| {
            let ways = Way::REMEMBERING.map(Way::port);
            ways.contains(&image.services[&service].key.port())
        };
        let remembered: Vec<_> = image
            .backends
            .iter()
            .filter(|(_, backend)| of_way(backend.info.service_id))
            .map(|(id, _)| *id)
            .collect();
        for id in remembered {
            match (id.0 % 6, image.backends.get_mut(&id)) {
                (0, Some(backend)) => backend.entry.generation += 1,
                (1, Some(backend)) => backend.entry.flags |= CLOSED,
                (3, Some(backend)) => {
                    backend.entry.generation += 1;
                    backend.entry.flags |= DEAD;
                }
                _ => {}
            }
        }
        self.bench.apply(&image)?;
        for belief in &mut self.beliefs {
            belief.reconfigure(&image);
        }
        Ok(())
    }
}

fn kind(expect: &Expect) -> String {
    match expect {
        Expect::Pass => "passed".to_owned(),
        Expect::Drop(reason) => reason.name().to_owned(),
        Expect::Send(sent) => format!("sent: {:?}", sent.action),
        Expect::Answer(_) => DropReason::TooBigAnswered.name().to_owned(),
    }
}

/// The packets are random enough if everything that can happen did.
fn all_kinds(seen: &Seen) {
    let reasons = DropReason::ALL.map(|reason| reason.name().to_owned());
    let events = FlowEvent::ALL.map(|event| event.name().to_owned());
    let actions = [Action::Tx, Action::Redirect, Action::Pass];
    let sent = actions.map(|action| format!("sent: {action:?}"));
    let all = reasons.into_iter().chain(events).chain(sent);
    for kind in all.chain(["passed".to_owned()]) {
        assert!(seen.contains_key(&kind), "no packet was {kind}: {seen:#?}");
    }
}
