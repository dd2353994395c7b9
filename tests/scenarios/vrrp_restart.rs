//! What must not change a role: reloads, a killed agent that comes back in time.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    gap::{ECHO_PORT, Probes},
    pair::{Pair, Setup},
    topology::VIP,
    vrrp::{Adverts, Version},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair, router};

#[test]
fn kill_9_and_restart_within_the_master_down_time_change_no_role() {
    let setup = Setup::new(BALLAST, |index| {
        let mut router = front(index).interval(Duration::from_secs(1));
        router.version = Version::V2;
        router
    });
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let backup = Adverts::of(&pair.net.lbs[1])?;
        let probes = Probes::start(&pair.net.client.host, (VIP, ECHO_PORT).into())?;
        probes.wait_for_more(100, SOON)?;
        let killed = Instant::now();
        let agent = &mut pair.balancer_mut(0)?.agent;
        agent.kill()?;
        agent.run()?;
        ensure!(
            killed.elapsed() < Duration::from_secs(3),
            "the agent took {:?} to start",
            killed.elapsed()
        );
        // Longer than the backup would have waited.
        let over = pair.setup.routers[1][0].master_down() + Duration::from_secs(1);
        wait_for("the master-down time", SOON, || killed.elapsed() > over)?;
        ensure!(backup.sent().is_empty(), "lb2 took over");
        ensure!(pair.wait_until_at_rest()? == 0);
        let trace = probes.stop()?;
        let lost = trace.answered.iter().filter(|at| at.is_none()).count();
        ensure!(lost == 0, "{lost} probes were lost");
        Ok(())
    });
}

#[test]
fn reloads_that_change_something_else_change_no_role() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let backup = Adverts::of(&pair.net.lbs[1])?;
        let before = transitions(pair)?;
        let reloads = reloads()?;
        let start = Instant::now();
        for round in 0..reloads {
            let mut config = pair.config(0);
            for service in &mut config.services {
                for backend in &mut service.backends {
                    backend.weight = 1 + round % 2;
                }
            }
            let agent = &pair.balancer(0)?.agent;
            agent.write_config(&config.to_string())?;
            agent.reload()?;
        }
        eprintln!("{reloads} reloads in {:.1?}", start.elapsed());
        ensure!(backup.sent().is_empty(), "lb2 took over");
        ensure!(transitions(pair)? == before);
        ensure!(pair.wait_until_at_rest()? == 0);
        Ok(())
    });
}

/// How many: `BALLAST_RELOADS`, for a quicker round.
fn reloads() -> Result<u16> {
    match env::var("BALLAST_RELOADS") {
        Ok(number) => number.parse().context("BALLAST_RELOADS"),
        Err(_) => Ok(RELOADS),
    }
}

fn transitions(pair: &Pair<'_>) -> Result<[u64; 2]> {
    Ok([router(pair, 0)?.transitions, router(pair, 1)?.transitions])
}

/// Some 20 ms each.
const RELOADS: u16 = 1000;
