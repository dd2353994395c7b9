//! `lab demo`: what Ballast does, shown on a lab of hosts with real programs and real requests.

mod death;
mod document;
mod failover;
mod how_to;
mod picture;
mod story;

use std::{collections::BTreeMap, fs, process, thread, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::{SigSet, Signal};

use crate::{
    ballast::{
        Agent, BackendCounters, Counters,
        Forwarding::{DirectRouting, Tunnel},
        from_pinned_maps, from_status,
    },
    client::{Get, Load, Pace, Report},
    lab::Lab,
    pair::{Pair, Setup, Stack},
    topology::VIP,
    vrrp::{Version, VirtualRouter},
};
use document::{Document, Events, Interruption};
use story::Story;

/// How `lab demo` was called.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Flags {
    /// Leave the lab up afterwards and print commands to play with; Ctrl-C ends it
    #[arg(long)]
    keep: bool,
    /// Print one JSON document last on stdout; the story goes to stderr
    #[arg(long)]
    json: bool,
}

/// Plays it.
///
/// # Errors
/// When a step fails; what failed is in the lab's logs, whose tails are printed.
pub(super) fn run(flags: Flags) -> Result<()> {
    let story = Story::new(flags.json);
    let signals = block_signals()?;
    let lab = Lab::new()?;
    if !flags.keep {
        end_on(signals, &lab);
    }
    let result = play(&story, &lab, flags.keep.then_some(signals));
    match result {
        Ok(document) => {
            if flags.json {
                println!("{}", serde_json::to_string(&document)?);
            }
            ensure!(document.ok, "not everything went as it should: see above");
            Ok(())
        }
        Err(error) => {
            lab.show_logs();
            Err(error)
        }
    }
}

fn play(story: &Story, lab: &Lab, keep: Option<SigSet>) -> Result<Document> {
    story.title(
        "A published how-to for keepalived, `ballast import`ed: a client, two balancers, two web servers",
    );
    let imported = how_to::imported(story, lab)?;

    story.title("A client, two balancers, four web servers: each a host of its own (namespaces)");
    let mut pair = Pair::prepare(lab, setup())?;
    story.hosts(&pair);

    story.title("The balancers' one file, /etc/ballast/ballast.yaml to be, here of lb1");
    story.block(&pair.config(0).to_string());
    pair.run(0)?;
    pair.run(1)?;
    story.say("`ballast run` is ready on both: XDP is attached to eth0, the rings are written");
    pair.wait_for_master(0, LIMIT)?;
    story.say(&format!("lb1 is master and has {VIP}, lb2 is its backup"));

    story.title("Requests through the virtual address, a new connection each");
    let requests = Load::burst(&pair.net.client.host, &get(), THREADS, REQUESTS)?;
    story.answers(&requests);
    let counters = counters(&pair)?;

    story.title("The master's agent is killed under load (kill -9), and started again");
    let agent_kill = under_load(story, &mut pair, &["--keep-datapath"], |story, agent| {
        agent.kill()?;
        story.say("killed; the pinned XDP program goes on forwarding");
        Ok(())
    })?;

    story.title("It is restarted in good order under load, as for an upgrade");
    let restart = under_load(story, &mut pair, &[], |story, agent| {
        agent.stop()?;
        story.say("stopped with --keep-datapath; nobody is there to notice");
        Ok(())
    })?;

    story.title(
        "What each web server got through lb1, from `ballast status` and from the pinned map by bpftool",
    );
    let (status, pinned) = both_counters(&pair)?;
    story.counters(&status, &pinned);

    story.title("A web server is killed, leaves the ring, and comes back");
    let backend_death = death::backend(story, &mut pair)?;

    story.title("The master is stopped in good order: it says so, and forwards until lb2 does");
    let stop = failover::stop(story, &mut pair)?;

    story.title("The master loses its power: cable, processes and XDP program are gone at once");
    let failover = failover::power_off(story, &mut pair)?;

    let events = Events {
        imported,
        agent_kill,
        restart,
        backend_death,
        stop,
        failover,
    };
    let document = Document::new(
        &requests,
        &counters,
        &pair.config(0),
        events,
        status == pinned,
    );
    if let Some(signals) = keep {
        story.commands(&pair);
        signals.wait()?;
    }
    story.title("Tearing down");
    drop(pair);
    story.say("no namespace, interface, pin or process is left");
    Ok(document)
}

fn setup() -> Setup {
    let forwarding = [DirectRouting, DirectRouting, DirectRouting, Tunnel];
    Setup::new([Stack::Ballast; 2], |index| {
        VirtualRouter::new("front", 51, Version::V3)
            .priority(if index == 0 { 150 } else { 100 })
            .interval(Duration::from_millis(100))
            .address(VIP)
    })
    .web(&forwarding)
    .check(CHECK)
}

fn get() -> Get {
    Get::new((VIP, 80))
}

/// Requests go on while `interrupt` takes lb1's agent away, while it is gone, and while it starts
/// again, with `flags`.
fn under_load(
    story: &Story,
    pair: &mut Pair<'_>,
    flags: &[&str],
    interrupt: impl FnOnce(&Story, &mut Agent) -> Result<()>,
) -> Result<Interruption> {
    pair.wait_for_master(0, LIMIT)?;
    let load = Load::start(&pair.net.client.host, &get(), PACE);
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let agent = &mut pair.balancer_mut(0)?.agent;
    interrupt(story, agent)?;
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    agent.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    agent.run()?;
    story.say("started again: it took over what it found");
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let report = load.stop()?;
    story.answers(&report);
    Ok(Interruption {
        sent: report.sent(),
        lost: report.failed(),
    })
}

/// By backend name, of the service `web`.
type ByBackend = BTreeMap<String, BackendCounters>;

fn counters(pair: &Pair<'_>) -> Result<ByBackend> {
    let status = from_status(&pair.balancer(0)?.agent.status()?)?;
    Ok(of_web(status))
}

fn both_counters(pair: &Pair<'_>) -> Result<(ByBackend, ByBackend)> {
    let pinned = from_pinned_maps(&pair.net.lbs[0].host, "/sys/fs/bpf/ballast")?;
    Ok((counters(pair)?, of_web(pinned)))
}

fn of_web(counters: Counters) -> ByBackend {
    counters
        .into_iter()
        .filter(|((service, _), _)| service == "web")
        .map(|((_, backend), counters)| (backend, counters))
        .collect()
}

/// Keeps Ctrl-C and SIGTERM from this thread and those it makes.
fn block_signals() -> Result<SigSet> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    Ok(signals)
}

/// Ends the demo at a signal. The hosts follow us by themselves; only the scratch directory does not.
fn end_on(signals: SigSet, lab: &Lab) {
    let dir = lab.dir().to_owned();
    thread::spawn(move || {
        signals.wait().ok();
        fs::remove_dir_all(&dir).ok();
        process::exit(130);
    });
}

/// What a shell user means by "all of `answers`".
fn summary(report: &Report) -> String {
    let servers: Vec<_> = report
        .by_server()
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    servers.join(", ")
}

/// Of each of the three parts; the product promises at least 1000.
const REQUESTS: usize = 1200;
const THREADS: usize = 8;
const PACE: Pace = Pace {
    threads: 8,
    rate: 400,
};
/// Dead after a fifth of a second and a retry.
const CHECK: &str = "{ interval: 200ms, timeout: 100ms, retries: 1, retry_delay: 50ms, http: { paths: [{ path: / }] } }";
const LIMIT: Duration = Duration::from_secs(60);
