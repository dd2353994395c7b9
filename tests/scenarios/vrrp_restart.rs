//! What must not change a role: reloads, a killed agent that comes back in time.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    gap::{ECHO_PORT, Probes},
    lab,
    pair::{Pair, Setup},
    topology::VIP,
    vrrp::{Adverts, Version, VirtualRouter},
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
fn kill_9_and_restart_keep_a_role_that_is_owed_to_a_script() {
    let scripts = format!(
        "scripts:\n  - {{ name: check, command: [{CHECK}], interval: 1s, timeout: 2s, weight: 20 }}\n"
    );
    let setup = Setup::new(BALLAST, |index| match index {
        0 => owed(0).yaml("track: { scripts: [check] }"),
        _ => owed(1),
    });
    role_is_kept(setup.yaml(&scripts));
}

#[test]
fn kill_9_and_restart_keep_a_role_that_is_owed_to_a_process() {
    role_is_kept(Setup::new(BALLAST, |index| match index {
        0 => owed(0).track(20),
        _ => owed(1),
    }));
}

/// Master only by a tracker's 20.
fn owed(index: usize) -> VirtualRouter {
    front(index)
        .interval(Duration::from_secs(1))
        .priority([100, 110][index])
}

fn role_is_kept(setup: Setup) {
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, setup)?;
        for index in [0, 1] {
            // Slow enough that an agent that does not wait for it is caught.
            pair.net.lbs[index].host.run(|| {
                fs::write(CHECK, "#!/bin/sh\nsleep 0.5\n")?;
                Ok(fs::set_permissions(
                    CHECK,
                    fs::Permissions::from_mode(0o700),
                )?)
            })?;
            pair.run(index)?;
        }
        wait_for("the tracker to decide", SOON, || {
            ensure!(router(&pair, 0)?.effective_priority == 120);
            ensure!(pair.master() == Some(0));
            Ok(())
        })?;
        ensure!(pair.wait_until_at_rest()? == 0);
        let (lb1, lb2) = (
            Adverts::of(&pair.net.lbs[0])?,
            Adverts::of(&pair.net.lbs[1])?,
        );
        let killed = Instant::now();
        let agent = &mut pair.balancer_mut(0)?.agent;
        agent.kill()?;
        agent.run()?;
        let started = killed.elapsed();
        ensure!(started < Duration::from_secs(3), "{started:?} to start");
        let over = pair.setup.routers[1][0].master_down() + Duration::from_secs(1);
        wait_for("the master-down time", SOON, || killed.elapsed() > over)?;
        let low: Vec<_> = lb1
            .sent()
            .into_iter()
            .filter(|a| a.priority != 120)
            .collect();
        ensure!(low.is_empty(), "it spoke with another priority: {low:?}");
        ensure!(lb2.sent().is_empty(), "lb2 took over");
        ensure!(pair.wait_until_at_rest()? == 0);
        Ok(())
    });
}

const CHECK: &str = "/run/lab-check";

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
