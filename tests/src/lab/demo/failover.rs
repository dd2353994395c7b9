//! The parts in which the master goes: in good order, and without power.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::{
    LIMIT, PACE, REQUESTS,
    document::{Failover, ForwardedBy, Stop},
    picture::Scene,
    story::Story,
};
use crate::{
    client::{Get, Load, Report},
    gap::{Event, Measurement, measure, restore},
    pair::Pair,
    topology::VIP,
    vrrp::{Advert, Adverts},
};

/// A clean stop of the master under load, and its return.
pub(super) fn stop(story: &Story, pair: &mut Pair<'_>) -> Result<Stop> {
    let (measurement, report) = lose_master(story, pair, Event::CleanStop)?;
    Ok(Stop {
        gap_ms: milliseconds(measurement.gap.silence),
        requests_lost: report.failed(),
        probes_lost: measurement.gap.lost,
    })
}

/// Power off under load, and another machine in its place.
pub(super) fn power_off(story: &Story, pair: &mut Pair<'_>) -> Result<Failover> {
    let (measurement, report) = lose_master(story, pair, Event::PowerOff)?;
    let [before, after] = measurement.forwarded_by;
    Ok(Failover {
        cause: Event::PowerOff.name(),
        gap_ms: milliseconds(measurement.gap.silence),
        requests_lost: report.failed(),
        probes_lost: measurement.gap.lost,
        forwarded_by: ForwardedBy {
            before: before.context("nobody forwarded before the power-off")?,
            after: after.context("nobody forwarded after the power-off")?,
        },
    })
}

fn lose_master(story: &Story, pair: &mut Pair<'_>, event: Event) -> Result<(Measurement, Report)> {
    let master = pair.wait_until_at_rest()?;
    ensure!(
        master == 0,
        "lb2 is master, though lb1 has the higher priority"
    );
    let load = Load::start(&pair.net.client.host, &Get::new((VIP, 80)), PACE);
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let watch = [
        Adverts::of(&pair.net.lbs[0])?,
        Adverts::of(&pair.net.lbs[1])?,
    ];
    let measurement = measure(pair, event, 0.5)?;
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let adverts = watch.map(|watch| watch.sent());
    for line in scene(&measurement, &adverts).draw() {
        story.say(&line);
    }
    story.say(&format!(
        "one column is {COLUMN:?}; the client heard nothing for {:.1?} ({} of its probes, one a millisecond, got no answer)",
        measurement.gap.silence, measurement.gap.lost
    ));
    restore(pair, event, &measurement)?;
    pair.wait_for_master(0, LIMIT)?;
    story.say("lb1 is back, and master again");
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let report = load.stop()?;
    story.answers(&report);
    Ok((measurement, report))
}

fn scene(measurement: &Measurement, adverts: &[Vec<Advert>; 2]) -> Scene {
    let trace = &measurement.trace;
    // Who forwarded a probe is known by its MAC; when, by when it was sent.
    let forwarded = |index: usize| -> Vec<u64> {
        let numbers = measurement.forwarders.iter().filter(|(_, by)| *by == index);
        let sent = numbers.filter_map(|(number, _)| trace.sent.get(usize::try_from(*number).ok()?));
        sent.copied().collect()
    };
    let balancers = [0, 1].map(|index| {
        let times = adverts[index].iter().map(|advert| nanoseconds(advert.at));
        (
            format!("lb{}", index + 1),
            times.collect(),
            forwarded(index),
        )
    });
    let before = COLUMN * BEFORE;
    Scene {
        start: measurement.at - u64::try_from(before.as_nanos()).unwrap_or_default(),
        column: COLUMN,
        columns: COLUMNS,
        event: measurement.at,
        balancers: balancers.into(),
        answers: trace.answered.iter().flatten().copied().collect(),
    }
}

fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// With one digit.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

const COLUMN: Duration = Duration::from_millis(10);
const COLUMNS: usize = 64;
/// Columns before the event.
const BEFORE: u32 = 8;
