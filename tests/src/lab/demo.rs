//! `lab demo`: what Ballast does, shown on a lab of hosts with real programs and real requests.

mod document;
mod story;

use std::{collections::BTreeMap, fs, process, thread, time::Duration};

use anyhow::{Result, ensure};
use nix::sys::signal::{SigSet, Signal};

use crate::{
    ballast::{
        BackendCounters,
        Forwarding::{DirectRouting, Tunnel},
        from_pinned_maps, from_status,
    },
    client::{Load, Pace, Report},
    lab::Lab,
    site::Site,
};
use document::{Document, Interruption};
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
    story.title("A client, a balancer, four web servers: each a host of its own (namespaces)");
    let mut site = Site::prepare(lab, &[DirectRouting, DirectRouting, DirectRouting, Tunnel])?;
    site.config.services.retain(|service| service.name == "web");
    site.agent.write_config(&site.config.to_string())?;
    story.hosts(&site);

    story.title("The balancer's one file, /etc/ballast/ballast.yaml to be");
    story.block(&site.config.to_string());
    site.agent.run()?;
    story.say("`ballast run` is ready: XDP is attached to eth0, the rings are written");

    story.title("Requests through the virtual address, a new connection each");
    let requests = Load::burst(&site.net.client.host, &site.get(), THREADS, REQUESTS)?;
    story.answers(&requests);
    let counters = counters(&site)?;

    story.title("The agent is killed under load (kill -9), and started again");
    let agent_kill = under_load(story, &mut site, |story, site| {
        site.agent.kill()?;
        story.say("killed; the pinned XDP program goes on forwarding");
        Ok(())
    })?;

    story.title("The agent is restarted in good order under load, as for an upgrade");
    let restart = under_load(story, &mut site, |story, site| {
        site.agent.stop()?;
        story.say("stopped with --keep-datapath; nobody is there to notice");
        Ok(())
    })?;

    story.title(
        "What each web server got, from `ballast status` and from the pinned map by bpftool",
    );
    let (status, pinned) = both_counters(&site)?;
    story.counters(&status, &pinned);

    let document = Document::new(
        &requests,
        &counters,
        &site.config,
        agent_kill,
        restart,
        status == pinned,
    );
    if let Some(signals) = keep {
        story.commands(&site);
        signals.wait()?;
    }
    story.title("Tearing down");
    drop(site);
    story.say("no namespace, interface, pin or process is left");
    Ok(document)
}

/// Requests go on while `interrupt` takes the agent away, while it is gone, and while it starts.
fn under_load(
    story: &Story,
    site: &mut Site,
    interrupt: impl FnOnce(&Story, &mut Site) -> Result<()>,
) -> Result<Interruption> {
    let load = Load::start(&site.net.client.host, &site.get(), PACE);
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    interrupt(story, site)?;
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    site.agent.flags = vec!["--keep-datapath".to_owned()];
    site.agent.run()?;
    story.say("started again: it took over what it found");
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let report = load.stop()?;
    story.answers(&report);
    Ok(Interruption {
        sent: report.sent(),
        lost: report.failed(),
    })
}

/// By backend name; the demo has one service.
type ByBackend = BTreeMap<String, BackendCounters>;

fn counters(site: &Site) -> Result<ByBackend> {
    let status = from_status(&site.agent.status()?)?;
    Ok(status
        .into_iter()
        .map(|((_, backend), counters)| (backend, counters))
        .collect())
}

fn both_counters(site: &Site) -> Result<(ByBackend, ByBackend)> {
    let pinned = from_pinned_maps(&site.net.lb.host, "/sys/fs/bpf/ballast")?;
    let pinned = pinned
        .into_iter()
        .map(|((_, backend), counters)| (backend, counters))
        .collect();
    Ok((counters(site)?, pinned))
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
const LIMIT: Duration = Duration::from_secs(60);
