//! `lab failover`: what a client sees of a failover, Ballast next to keepalived, as a table.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    gap::{Calm, Event, Row, STALL, Table, calm, measure, restore},
    lab::Lab,
    pair::{Pair, Setup, Stack},
    topology::VIP,
    vrrp::{Version, VirtualRouter},
};

/// How `lab failover` was called.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Flags {
    /// Measurements for each row at intervals below a second; a quarter of it, at least 5, at others
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// What happens to the master (default: everything)
    #[arg(long = "event")]
    events: Vec<Event>,
    /// Advertisement intervals in milliseconds
    #[arg(long = "interval", value_name = "MS", default_values_t = [1000, 100, 10])]
    intervals: Vec<u64>,
    /// Who elects (default: both)
    #[arg(long = "stack")]
    stacks: Vec<Stack>,
    /// Seconds without an event at the shortest interval with all cores busy; 0: leave it out
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    calm: u64,
    /// Print one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Measures, and prints the table.
///
/// # Errors
/// When a pair does not do what it should, or the machine stalls all the time.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let events = or_all(&flags.events, &Event::ALL);
    let stacks = or_all(&flags.stacks, &[Stack::Ballast, Stack::Keepalived]);
    let mut table = Table::default();
    for interval in flags.intervals.iter().copied().map(Duration::from_millis) {
        let runs = if interval < Duration::from_secs(1) {
            flags.runs
        } else {
            flags.runs.min((flags.runs / 4).max(5))
        };
        table.rows.extend(rows(&stacks, interval, &events, runs)?);
    }
    let shortest = flags.intervals.iter().min().copied().unwrap_or_default();
    let mut quiet = Vec::new();
    for stack in stacks.iter().copied().filter(|_| flags.calm > 0) {
        let interval = Duration::from_millis(shortest);
        quiet.push((stack, false_takeovers(stack, interval, flags.calm)?));
    }
    if flags.json {
        let mut document = table.json();
        document["calm"] = quiet
            .iter()
            .map(|(stack, calm)| calm_json(*stack, flags.calm, shortest, calm))
            .collect();
        println!("{document}");
    } else {
        println!("{table}\n{NOTES}");
        for (stack, calm) in &quiet {
            println!("{}", calm_text(*stack, flags.calm, shortest, calm));
        }
    }
    Ok(())
}

fn rows(stacks: &[Stack], interval: Duration, events: &[Event], runs: usize) -> Result<Vec<Row>> {
    let labs: Vec<(Stack, Lab)> = stacks
        .iter()
        .map(|stack| Ok((*stack, Lab::new()?)))
        .collect::<Result<_>>()?;
    let measured = measure_all(&labs, interval, events, runs);
    if measured.is_err() {
        for (_, lab) in &labs {
            lab.show_logs();
        }
    }
    measured.with_context(|| format!("at {interval:?}"))
}

/// The stacks take turns: what else the machine is doing is the same for all.
fn measure_all(
    labs: &[(Stack, Lab)],
    interval: Duration,
    events: &[Event],
    runs: usize,
) -> Result<Vec<Row>> {
    let mut pairs = labs
        .iter()
        .map(|(stack, lab)| Pair::start(lab, setup(*stack, interval)).map(Some))
        .collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for event in events.iter().copied() {
        let mut of_event: Vec<Row> = labs
            .iter()
            .map(|(stack, _)| Row::new(event, interval, *stack))
            .collect();
        for run in 0..runs {
            // Evenly over the interval: when in it a master dies is what makes gaps differ.
            #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
            let phase = (run as f64 + 0.5) / runs as f64;
            for ((row, pair), (stack, lab)) in of_event.iter_mut().zip(&mut pairs).zip(labs) {
                measure_on(row, pair, phase, runs, || {
                    Pair::start(lab, setup(*stack, interval))
                })
                .with_context(|| stack.name().to_owned())?;
            }
        }
        rows.extend(of_event);
    }
    Ok(rows)
}

/// One measurement for the row, on another pair where this one does not come to rest: what hangs after a
/// stall of the machine is not what is measured.
fn measure_on<'lab>(
    row: &mut Row,
    pair: &mut Option<Pair<'lab>>,
    phase: f64,
    runs: usize,
    start: impl Fn() -> Result<Pair<'lab>>,
) -> Result<()> {
    for _ in 0..PAIRS {
        let one = match pair.take() {
            Some(pair) => pair,
            None => start()?,
        };
        match measure_until_it_counts(row, pair.insert(one), phase, runs) {
            Ok(()) => return Ok(()),
            Err(error) => {
                eprintln!("{}: {error:#}; with another pair", row.stack.name());
                row.stalled += 1;
                *pair = None;
            }
        }
    }
    bail!("{PAIRS} pairs did not come to rest")
}

/// One measurement for the row, repeated while the machine stalls; then the pair is at rest again, so
/// that it disturbs nobody else's.
fn measure_until_it_counts(
    row: &mut Row,
    pair: &mut Pair<'_>,
    phase: f64,
    runs: usize,
) -> Result<()> {
    loop {
        let measurement = measure(pair, row.event, phase)?;
        let [_, after] = measurement.master;
        let counts = row.add(&measurement, pair.net.lbs[after].host.name());
        eprintln!(
            "{:10} {:>6?} {:13} {:>2}/{runs}: gap {:>7.1?} (before {:.1?}), {} lost, {} then {}{}",
            row.stack.name(),
            row.interval,
            row.event,
            row.gaps.len(),
            measurement.gap.silence,
            measurement.quiet,
            measurement.gap.lost,
            measurement.forwarded_by[0].as_deref().unwrap_or("nobody"),
            measurement.forwarded_by[1].as_deref().unwrap_or("nobody"),
            if counts {
                ""
            } else {
                "; the machine stalled, again"
            },
        );
        ensure!(
            row.stalled <= 2 * runs + 10,
            "the machine stalls all the time: {:?} in the latest measurement",
            measurement.stall
        );
        restore(pair, row.event, &measurement)?;
        pair.wait_until_at_rest()?;
        if counts {
            return Ok(());
        }
    }
}

/// Nobody preempts, so that each event is also the preparation of the next, on the other balancer.
fn setup(stack: Stack, interval: Duration) -> Setup {
    // Version 2 is what everybody runs at one second, and has nothing shorter.
    let version = if interval < Duration::from_secs(1) {
        Version::V3
    } else {
        Version::V2
    };
    let mut setup = Setup::new([stack; 2], |index| {
        VirtualRouter::new("VI_1", 51, version)
            .priority(if index == 0 { 101 } else { 100 })
            .interval(interval)
            .address(VIP)
            .track(0)
            .no_preempt()
    });
    setup.keepalived_logs = false;
    setup
}

fn false_takeovers(stack: Stack, interval: Duration, seconds: u64) -> Result<Calm> {
    let mut worst = None;
    for _ in 0..CALM_TRIES {
        let lab = Lab::new()?;
        let pair = Pair::start(&lab, setup(stack, interval))?;
        let seen = calm(&pair, Duration::from_secs(seconds))?;
        let stalled = seen.stall > STALL;
        worst = Some(seen);
        if !stalled {
            break;
        }
        eprintln!(
            "{}: the machine stalled for {:.1?}",
            stack.name(),
            seen.stall
        );
    }
    worst.context("no run")
}

fn calm_json(stack: Stack, seconds: u64, interval: u64, calm: &Calm) -> Value {
    json!({
        "stack": stack.name(),
        "seconds": seconds,
        "interval_ms": interval,
        "adverts_from_master": calm.from_master,
        "adverts_from_backup": calm.from_backup,
        "longest_silence_ms": calm.longest_silence.as_secs_f64() * 1000.0,
        "canary_max_ms": calm.stall.as_secs_f64() * 1000.0,
    })
}

fn calm_text(stack: Stack, seconds: u64, interval: u64, calm: &Calm) -> String {
    let verdict = if calm.from_backup == 0 {
        "no false take-over".to_owned()
    } else {
        format!(
            "FALSE TAKE-OVERS: {} adverts from the backup",
            calm.from_backup
        )
    };
    format!(
        "{:10} {seconds} s at {interval} ms with all cores busy: {verdict}; {} adverts, at most {:.1?} apart; canary {:.1?}{}",
        stack.name(),
        calm.from_master,
        calm.longest_silence,
        calm.stall,
        if calm.stall > STALL {
            " (the machine stalled)"
        } else {
            ""
        },
    )
}

fn or_all<T: Copy>(chosen: &[T], all: &[T]) -> Vec<T> {
    if chosen.is_empty() {
        all.to_vec()
    } else {
        chosen.to_vec()
    }
}

const CALM_TRIES: usize = 3;
const PAIRS: usize = 3;
const NOTES: &str = "\
gap: the longest silence between two answers to 1 kHz UDP probes, kernel receive timestamps; 1 ms: none.
quiet: the same in as long a time before each event: a gap like it is the machine's.
advert: from the last advert of a master that could not say goodbye to the first answer, whenever it went.
lost: probes without an answer. stalled: measurements repeated because the canary overslept by more than 10 ms
(a tenth of the interval, where that is more).
Intervals of 1 s: version 2; shorter: version 3. Priorities 101 and 100, no preemption.
keepalived: Debian's, logging off, real-time priority; it moves the address, a Ballast without vrrp_instances forwards.
keepalived's process tracking needs the initial network namespace: here its vrrp_script runs pgrep every second.
";
