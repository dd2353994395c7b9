//! An agent that is stopped or dies at a bad time: a peer takes over at once, or nobody notices.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::binary,
    pair::{Pair, Setup, has_address},
    topology::VIP,
    vrrp::{Adverts, Version},
    wait::wait_for,
};
use nix::sys::signal::Signal;

use crate::support::{BALLAST, SOON, front, on_pair};

/// Every second, so that a restart in the lab is well within the master-down time.
fn slow() -> Setup {
    Setup::new(BALLAST, |index| {
        let mut router = front(index).interval(Duration::from_secs(1));
        router.version = Version::V2;
        router
    })
}

#[test]
fn sigterm_to_a_master_that_is_still_starting_hands_over() {
    on_pair(slow(), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let adverts = Adverts::of(&pair.net.lbs[0])?;
        let agent = &mut pair.balancer_mut(0)?.agent;
        agent.kill()?;
        let before = adverts.sent().len();
        agent.run_unready()?;
        wait_for("the first advert of the next one", SOON, || {
            adverts.sent().len() > before
        })?;
        agent.process()?.signal(Signal::SIGTERM)?;
        let status = agent.process()?.wait(SOON)?;
        ensure!(status.success(), "it ended with {status}");
        ensure!(
            adverts.sent().iter().any(|advert| advert.priority == 0),
            "no priority 0"
        );
        pair.wait_for_master(1, SOON)
    });
}

#[test]
fn after_a_kill_addresses_stay_for_the_restart_unless_it_does_not_come_up() {
    on_pair(slow(), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        // Twice, because it was up in between.
        for _ in 0..2 {
            pair.balancer_mut(0)?.agent.kill()?;
            withdraw(pair, "signal")?;
            ensure!(has_address(&pair.net.lbs[0].host, VIP.into()), "removed");
            pair.balancer_mut(0)?.agent.run()?;
            pair.wait_for_state(0, "master", SOON)?;
        }
        pair.balancer_mut(0)?.agent.kill()?;
        withdraw(pair, "core-dump")?;
        ensure!(has_address(&pair.net.lbs[0].host, VIP.into()), "removed");
        // Killed again before it was up.
        withdraw(pair, "core-dump")?;
        pair.expect_no_addresses(0)?;
        pair.wait_for_master(1, SOON)
    });
}

#[test]
fn a_stop_that_ended_in_a_kill_leaves_no_address() {
    on_pair(slow(), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        pair.balancer_mut(0)?.agent.kill()?;
        withdraw(pair, "timeout")?;
        pair.expect_no_addresses(0)
    });
}

/// What the unit runs after each end.
fn withdraw(pair: &Pair<'_>, result: &str) -> Result<()> {
    let agent = &pair.balancer(0)?.agent;
    let ballast = binary()?.display().to_string();
    let config = agent.config().display().to_string();
    let said = agent.host().exec([
        "env",
        &format!("SERVICE_RESULT={result}"),
        &ballast,
        "withdraw",
        "--unless-restarting",
        "-c",
        &config,
    ])?;
    eprintln!("{}", said.trim());
    Ok(())
}
