//! `lab backend-death`: from a web server's death to its last new connection, and from its start to its
//! first, as a table.
//!
//! A new connection is a SYN of the client that reached the web server's link, so neither the client's
//! scheduling nor the server's is in it. Every run has an agent of its own, which has seen nothing flap.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    ballast::{Agent, Config, Forwarding, wait_for_backend},
    capture::Capture,
    client::{Load, Pace},
    gap::{Canary, STALL},
    lab::Lab,
    packet::Frame,
    site::Site,
    wait::{pause, wait_for},
    web::Web,
};

/// How `lab backend-death` was called.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Flags {
    /// Deaths
    #[arg(long, default_value_t = 50)]
    runs: u32,
    /// The checks' interval in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    interval: u32,
    /// Their `retry_delay` in milliseconds; there is one retry
    #[arg(long, value_name = "MS", default_value_t = 200)]
    retry_delay: u32,
    /// Print one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// One death and one return.
struct Run {
    /// From the kill to the last new connection.
    last: Duration,
    /// From the start of the new process to the first one.
    first: Duration,
    /// What of it the process took until it listened.
    listened: Duration,
    /// How long an attempt took to fail.
    failing: Duration,
    sent: usize,
    failed: usize,
    /// The canary's worst oversleep while something was to be noticed.
    stall: Duration,
}

/// Measures, and prints the table.
///
/// # Errors
/// When a bound is broken on a machine that did not stall, or the site does not do what it should.
pub(super) fn run(flags: &Flags) -> Result<()> {
    ensure!(flags.runs > 0, "there is nothing to do: --runs 0");
    let lab = Lab::new()?;
    let result = measure_all(&lab, flags);
    if result.is_err() {
        lab.show_logs();
    }
    let (runs, stalled) = result?;
    report(flags, &runs, stalled)
}

fn measure_all(lab: &Lab, flags: &Flags) -> Result<(Vec<Run>, u32)> {
    let mut site = Site::prepare(lab, &[Forwarding::DirectRouting; 3])?;
    let check = format!(
        "{{ interval: {}ms, timeout: 500ms, retries: 1, retry_delay: {}ms, http: {{ paths: [{{ path: / }}] }} }}",
        flags.interval, flags.retry_delay
    );
    let service = site.config.services.remove(0).health_check(&check);
    site.config = Config::on(&["eth0"]).service(service);
    site.agent.write_config(&site.config.to_string())?;
    let (mut runs, mut stalled): (Vec<Run>, u32) = (Vec::new(), 0);
    while runs.len() < flags.runs as usize {
        let number = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        // Evenly over the interval: when in it a server dies is what makes the times differ.
        let phase = interval(flags) * (2 * number + 1) / (2 * flags.runs);
        site.agent.run()?;
        let run = measure(&mut site, phase)?;
        site.agent.stop()?;
        let counts = run.stall <= STALL;
        eprintln!(
            "{:>3}/{}: last after {:>7.1?}, back after {:>7.1?}, {} of {} requests failed{}",
            number + 1,
            flags.runs,
            run.last,
            run.first,
            run.failed,
            run.sent,
            if counts {
                ""
            } else {
                "; the machine stalled, again"
            },
        );
        if counts {
            runs.push(run);
        } else {
            stalled += 1;
            let limit = 2 * flags.runs + 10;
            ensure!(
                stalled <= limit,
                "the machine stalls all the time: {:?}",
                run.stall
            );
        }
    }
    Ok((runs, stalled))
}

fn measure(site: &mut Site, phase: Duration) -> Result<Run> {
    wait_for("a good check of every backend", LIMIT, || {
        let status = site.agent.status()?;
        let backends = status["services"][0]["backends"].as_array();
        let good = |one: &serde_json::Value| one["health"]["good_in_a_row"].as_u64() >= Some(1);
        ensure!(backends.is_some_and(|all| all.iter().all(good)), "{status}");
        Ok(())
    })?;
    let (switch, port) = site.net.webs[VICTIM].port.tap();
    let capture = Capture::start_for(switch, port, is_ipv4)?;
    let client = site.net.client.v4;
    let canary = Canary::ordinary();
    let load = Load::start(&site.net.client.host, &site.get(), PACE);
    load.wait_for_more(WARM_UP, LIMIT)?;
    pause(phase);

    let killed = SystemTime::now();
    site.webs[VICTIM].process.kill()?;
    wait_for_backend(&site.agent, "web", NAME, "down", LIMIT)?;
    let noticed = SystemTime::now();
    let failing = time_to_fail(&site.agent)?;
    load.wait_for_more(SETTLE, LIMIT)?;
    let started = SystemTime::now();
    site.webs[VICTIM] = Web::start(&site.net.webs[VICTIM].host)?;
    let listened = started.elapsed().unwrap_or_default();
    wait_for_backend(&site.agent, "web", NAME, "up", LIMIT)?;
    let returned = SystemTime::now();
    load.wait_for_more(SETTLE, LIMIT)?;

    let report = load.stop()?;
    let matters = |at: u64| {
        [(killed, noticed), (started, returned)]
            .into_iter()
            .any(|(from, to)| (nanos(from)..=nanos(to)).contains(&at))
    };
    let overslept = canary.stop()?.into_iter();
    let stalls = overslept.filter(|(at, _)| matters(*at));
    let new: Vec<SystemTime> = capture
        .into_frames()?
        .iter()
        .filter(|captured| Frame::parse(&captured.bytes).is_some_and(|f| is_new(&f, client)))
        .map(|captured| captured.at)
        .collect();
    let last = new.iter().filter(|at| **at < started).max();
    let first = new.iter().filter(|at| **at > started).min();
    let to_the_dead = new.iter().filter(|at| (killed..started).contains(*at));
    let (to_the_dead, in_flight) = (to_the_dead.count(), PACE.threads as usize);
    ensure!(
        report.failed() <= to_the_dead + in_flight,
        "others failed, too: {to_the_dead} connections were made to the dead server; {report}"
    );
    Ok(Run {
        last: since(*last.context("no connection before the death")?, killed),
        first: since(*first.context("no connection after the return")?, started),
        listened,
        failing,
        sent: report.sent(),
        failed: report.failed(),
        stall: stalls.map(|(_, late)| late).max().unwrap_or_default(),
    })
}

/// How long the latest attempt took, to a millisecond upwards.
fn time_to_fail(agent: &Agent) -> Result<Duration> {
    let status = agent.status()?;
    let took = status["services"][0]["backends"][VICTIM]["health"]["last_took_ms"].as_u64();
    Ok(Duration::from_millis(
        took.context("no latest attempt")? + 1,
    ))
}

/// A SYN of the client, and nobody's answer.
fn is_new(frame: &Frame, client: std::net::Ipv4Addr) -> bool {
    let from_client = frame.ip.first().is_some_and(|ip| ip.src == client);
    from_client
        && frame
            .tcp_flags
            .is_some_and(|flags| flags & (SYN | ACK) == SYN)
}

fn report(flags: &Flags, runs: &[Run], stalled: u32) -> Result<()> {
    let failing = runs.iter().map(|run| run.failing).max().unwrap_or_default();
    let listened = runs
        .iter()
        .map(|run| run.listened)
        .max()
        .unwrap_or_default();
    let delay = Duration::from_millis(flags.retry_delay.into());
    let rows = [
        (
            "last new connection after the death",
            times(runs, |run| run.last),
            interval(flags) + delay + failing + APPLY,
        ),
        (
            "first new connection after the start",
            times(runs, |run| run.first),
            interval(flags) + listened + APPLY,
        ),
    ];
    let sent: usize = runs.iter().map(|run| run.sent).sum();
    let failed: usize = runs.iter().map(|run| run.failed).sum();
    if flags.json {
        let row = |(_, times, bound): &(&str, Vec<Duration>, Duration)| json!({ "p50_ms": ms(median(times)), "max_ms": ms(maximum(times)), "bound_ms": ms(*bound) });
        println!(
            "{}",
            json!({
                "runs": runs.len(),
                "stalled": stalled,
                "interval_ms": flags.interval,
                "retries": 1,
                "retry_delay_ms": flags.retry_delay,
                "death": row(&rows[0]),
                "return": row(&rows[1]),
                "requests": { "sent": sent, "failed": failed },
            })
        );
    } else {
        println!(
            "{} runs, checks every {} ms, 1 retry after {} ms; {stalled} repeated: the machine stalled",
            runs.len(),
            flags.interval,
            flags.retry_delay
        );
        for (what, times, bound) in &rows {
            println!(
                "{what:37} p50 {:>7.1?}  max {:>7.1?}  bound {bound:>7.1?}",
                median(times),
                maximum(times),
            );
        }
        println!("{failed} of {sent} requests failed, each one to the dead server\n{NOTES}");
    }
    for (what, times, bound) in &rows {
        let worst = maximum(times);
        ensure!(worst <= *bound, "{what}: {worst:?}, the bound is {bound:?}");
    }
    Ok(())
}

fn interval(flags: &Flags) -> Duration {
    Duration::from_millis(flags.interval.into())
}

fn times(runs: &[Run], of: impl Fn(&Run) -> Duration) -> Vec<Duration> {
    let mut times: Vec<Duration> = runs.iter().map(of).collect();
    times.sort();
    times
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn maximum(sorted: &[Duration]) -> Duration {
    sorted.last().copied().unwrap_or_default()
}

/// To a tenth.
fn ms(time: Duration) -> f64 {
    f64::from(u32::try_from(time.as_micros() / 100).unwrap_or(u32::MAX)) / 10.0
}

/// Zero where it was before.
fn since(at: SystemTime, start: SystemTime) -> Duration {
    at.duration_since(start).unwrap_or_default()
}

/// Of the real-time clock, as the canary's.
fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00])
}

/// `web2`.
const VICTIM: usize = 1;
const NAME: &str = "web2";
/// A third of it goes to each web server: one every 7 ms.
const PACE: Pace = Pace {
    threads: 8,
    rate: 400,
};
const WARM_UP: usize = 50;
const SETTLE: usize = 100;
/// From the verdict to the maps, and the resolution of the load.
const APPLY: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(30);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const NOTES: &str = "\
A new connection: a SYN of the client on the web server's link, 400 connections a second to three servers.
Bound of the death: interval + retries x (retry_delay + time to fail) + 20 ms. A killed server refuses, so failing takes a millisecond.
Bound of the return: interval + the time until the server listened + 20 ms.
";
