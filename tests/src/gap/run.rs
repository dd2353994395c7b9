//! One measurement: a pair at rest, an event, a pair at rest again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use super::{ECHO_PORT, Event, Gap, Probes, Trace, analysis::nanos, probe::now};
use crate::{
    capture::Capture,
    packet::{Frame, MacAddr},
    pair::Pair,
    topology::{Node, VIP},
    vrrp::Adverts,
    wait::{pause, wait_for},
};

/// What one event did to the client.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// What the client saw.
    pub gap: Gap,
    /// The longest silence in as long a time before the event: what this machine does by itself.
    pub quiet: Duration,
    /// Where the master could not say goodbye: from its last advert to its successor's first.
    pub elected: Option<Duration>,
    /// Likewise, to the first answer. What the
    /// gap would be at worst, whenever in an interval it happened.
    pub since_advert: Option<Duration>,
    /// The canary's worst oversleep around the event.
    pub stall: Duration,
    /// Who was master before and after.
    pub master: [usize; 2],
    /// Who forwarded the last probe before the event, and the last one of the measurement.
    pub forwarded_by: [Option<String>; 2],
    /// When the event was made to happen, nanoseconds of the real-time clock.
    pub at: u64,
    /// Everything that was sent and answered.
    pub trace: Trace,
    /// Each probe that a balancer brought to a real server: its number, and the balancer's index.
    pub forwarders: Vec<(u64, usize)>,
}

/// Makes `event` happen to the master and measures. `phase` (0 to 1) is how far into an advertisement
/// interval it happens, so that several runs are spread over it. The pair stays as the event left it.
///
/// # Errors
/// When the pair is not at rest before, or the other balancer does not become master.
pub fn measure(pair: &mut Pair<'_>, event: Event, phase: f64) -> Result<Measurement> {
    let (mut captures, mut servers) = (Vec::new(), Vec::new());
    for web in &pair.net.webs {
        let (switch, port) = web.port.tap();
        captures.push(Capture::start_for(switch, port, is_ipv4)?);
        servers.push(web.port.mac());
    }
    let probes = Probes::start(&pair.net.client.host, SocketAddr::from((VIP, ECHO_PORT)))?;
    probes.wait_for_more(WARM_UP, LIMIT)?;
    let warm = now();
    pause(event.watched());
    let quiet_until = now();
    let before = pair.wait_until_at_rest()?;
    let after = 1 - before;

    let adverts = Adverts::of(&pair.net.lbs[before])?;
    let successor = Adverts::of(&pair.net.lbs[after])?;
    let router = pair.setup.routers[before]
        .first()
        .context("a pair without virtual router")?;
    let (interval, master_down) = (router.interval, router.master_down());
    let id = router.id;
    let latest = || adverts.sent().into_iter().rev().find(|sent| sent.id == id);
    wait_for("an advert", LIMIT, || latest().is_some())?;
    let advert = latest().context("an advert that was there")?;
    pause(until(advert.at, interval, phase));

    let at = now();
    event.happen(pair, before)?;
    let watched = Instant::now() + event.watched();
    pair.wait_for_master(after, master_down + LIMIT)?;
    event.wait_until_over(pair, before)?;
    probes
        .wait_for_more(SETTLE, LIMIT)
        .context("after the take-over")?;
    pause(watched.saturating_duration_since(Instant::now()));
    let end = now() - nanos(LAST_ANSWERS);
    let trace = probes.stop()?;

    let start = at - nanos(LAST_ANSWERS);
    let gap = trace.gap(start, end);
    let quiet = trace.gap(warm, quiet_until).silence;
    let sudden = event.is_sudden();
    let last_advert = latest().map(|advert| advert.at).filter(|_| sudden);
    let since_advert = last_advert.map(|last| gap.between.1.saturating_sub(stamp(last)));
    let first = successor.sent().into_iter().find(|sent| sent.id == id);
    let elected = first.zip(last_advert);
    let elected = elected.and_then(|(first, last)| first.at.duration_since(last).ok());
    let forwarders = forwarders(&captures, &servers, &pair.net.lbs);
    let sent_before = |time: u64| trace.sent.partition_point(|sent| *sent < time);
    let forwarder = |limit: usize| -> Option<String> {
        let number = u64::try_from(limit).ok()?;
        let last = forwarders.iter().rev().find(|(n, _)| *n < number)?;
        Some(pair.net.lbs[last.1].host.name().to_owned())
    };
    let forwarded_by = [forwarder(sent_before(at)), forwarder(sent_before(end))];
    Ok(Measurement {
        gap,
        quiet,
        elected,
        since_advert: since_advert.map(Duration::from_nanos),
        stall: trace.worst_oversleep(start, end),
        master: [before, after],
        forwarded_by,
        at,
        trace,
        forwarders,
    })
}

fn stamp(at: SystemTime) -> u64 {
    nanos(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// How long to wait from now, so that it is `phase` of an interval after some advert.
fn until(advert: SystemTime, interval: Duration, phase: f64) -> Duration {
    let since = advert.elapsed().unwrap_or_default();
    let target = interval.mul_f64(phase);
    let intervals = since.saturating_sub(target).as_nanos() / interval.as_nanos().max(1) + 1;
    let intervals = u32::try_from(intervals).unwrap_or(1);
    (interval * intervals + target).saturating_sub(since)
}

/// Makes good what `event` did to the balancer that was master.
///
/// # Errors
/// When it cannot be.
pub fn restore(pair: &mut Pair<'_>, event: Event, measurement: &Measurement) -> Result<()> {
    event.undo(pair, measurement.master[0])
}

/// Probe numbers and the balancers whose MACs brought them to the real servers, by number.
fn forwarders(captures: &[Capture], servers: &[MacAddr], lbs: &[Node; 2]) -> Vec<(u64, usize)> {
    let mut seen: Vec<(u64, usize)> = captures
        .iter()
        .flat_map(Capture::parsed)
        .filter_map(|(_, frame)| {
            let (number, mac) = probe(&frame, servers)?;
            Some((number, lbs.iter().position(|lb| lb.port.mac() == mac)?))
        })
        .collect();
    seen.sort_unstable();
    seen
}

fn probe(frame: &Frame, servers: &[MacAddr]) -> Option<(u64, MacAddr)> {
    let to_echo = frame.ports.is_some_and(|(_, port)| port == ECHO_PORT);
    if !to_echo || !servers.contains(&frame.dst_mac) {
        return None;
    }
    let number = <[u8; 8]>::try_from(frame.payload.get(..8)?).ok()?;
    Some((u64::from_be_bytes(number), frame.src_mac))
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00])
}

/// Probes before anything is looked at.
const WARM_UP: u64 = 50;
/// Probes after the take-over.
const SETTLE: u64 = 300;
/// Answers under way at either end.
const LAST_ANSWERS: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(20);
