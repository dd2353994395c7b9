//! What a client sees when the master goes, and when it comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Forwarding::{DirectRouting, Tunnel},
    client::{Get, Load},
    gap::{Event, Measurement, STALL, measure, restore},
    pair::{Pair, Setup},
    topology::VIP,
};

use crate::support::{BALLAST, PACE, SOON, front, on_pair};

#[test]
fn power_off_is_over_after_the_master_down_time_and_the_other_forwards() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        let seen = quietly(pair, Event::PowerOff)?;
        within_master_down(pair, &seen)?;
        ensure!(
            seen.forwarded_by == [Some("lb1".to_owned()), Some("lb2".to_owned())],
            "forwarded by {:?}",
            seen.forwarded_by
        );
        // The one with the higher priority takes it back, and nobody notices.
        restore(pair, Event::PowerOff, &seen)?;
        pair.wait_for_master(0, SOON)
    });
}

#[test]
fn a_pulled_cable_is_a_failover_and_a_plugged_one_a_fail_back() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        let seen = quietly(pair, Event::LinkDown)?;
        within_master_down(pair, &seen)?;
        pair.wait_for_state(0, "fault", SOON)?;
        restore(pair, Event::LinkDown, &seen)?;
        pair.wait_for_master(0, SOON)
    });
}

#[test]
fn a_clean_stop_and_the_fail_back_lose_no_request() {
    let setup = Setup::new(BALLAST, front).web(&[DirectRouting, DirectRouting, Tunnel]);
    on_pair(setup, |pair| {
        pair.wait_until_at_rest()?;
        let load = Load::start(&pair.net.client.host, &Get::new((VIP, 80)), PACE);
        load.wait_for_more(100, SOON)?;
        let seen = measure(pair, Event::CleanStop, 0.3)?;
        ensure!(seen.gap.lost == 0, "probes were lost: {:?}", seen.gap);
        pair.expect_no_addresses(0)?;
        restore(pair, Event::CleanStop, &seen)?;
        pair.wait_for_master(0, SOON)?;
        load.wait_for_more(200, SOON)?;
        load.stop()?.all_answered()
    });
}

#[test]
fn a_tracked_process_that_dies_moves_the_address_and_nothing_is_lost() {
    on_pair(Setup::new(BALLAST, |index| front(index).track(0)), |pair| {
        let seen = measure(pair, Event::ProcessDeath, 0.6)?;
        ensure!(seen.gap.lost == 0, "probes were lost: {:?}", seen.gap);
        pair.wait_for_state(0, "fault", SOON)?;
        restore(pair, Event::ProcessDeath, &seen)?;
        pair.wait_for_master(0, SOON)
    });
}

#[test]
fn without_preemption_the_address_stays_where_it_is() {
    on_pair(
        Setup::new(BALLAST, |index| front(index).no_preempt()),
        |pair| {
            pair.wait_until_at_rest()?;
            let first = pair.wait_for_any_master(SOON)?;
            let seen = measure(pair, Event::PowerOff, 0.0)?;
            restore(pair, Event::PowerOff, &seen)?;
            pair.wait_for_state(first, "backup", SOON)?;
            let master = pair.wait_until_at_rest()?;
            ensure!(master == 1 - first, "it went back");
            Ok(())
        },
    );
}

/// Measures until the machine does not stall meanwhile.
fn quietly(pair: &mut Pair<'_>, event: Event) -> Result<Measurement> {
    for _ in 0..TRIES {
        let seen = measure(pair, event, 0.5)?;
        if seen.stall <= STALL {
            return Ok(seen);
        }
        eprintln!("the machine stalled for {:?}: again", seen.stall);
        restore(pair, event, &seen)?;
        pair.wait_for_master(0, SOON)?;
    }
    anyhow::bail!("the machine stalled in each of {TRIES} measurements")
}

fn within_master_down(pair: &Pair<'_>, seen: &Measurement) -> Result<()> {
    let router = &pair.setup.routers[1][0];
    let limit = router.master_down() + SLACK;
    ensure!(
        seen.gap.silence <= limit,
        "silent for {:?}, expected at most {limit:?}",
        seen.gap.silence
    );
    Ok(())
}

/// For a stall below the canary's limit, twice, and the address and its announcement.
const SLACK: Duration = Duration::from_millis(40);
const TRIES: usize = 5;
