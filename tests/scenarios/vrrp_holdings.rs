//! What a master holds follows its configuration, and the host's.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_tests::{
    netns::Host,
    pair::{Pair, Setup},
    topology::VIP,
    vrrp::{Adverts, VirtualRouter, instances, sync_group},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair};

#[test]
fn routes_that_stay_in_the_file_stay_in_the_kernel() {
    let routes = |to: &'static [&'static str]| move |index: usize| front(index).yaml(&via(to));
    on_pair(Setup::new(BALLAST, routes(ALL)), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = transitions(pair)?;
        wait_for_routes(pair, ALL)?;
        // Fewer, others, and all again.
        for to in [&ALL[3..], &ALL[..2], &ALL[1..3], ALL] {
            pair.setup.routers[0] = vec![routes(to)(0)];
            reload(pair)?;
            wait_for_routes(pair, to)?;
        }
        ensure!(transitions(pair)? == before, "it gave up its role");
        Ok(())
    });
}

#[test]
fn routes_come_back_with_the_interface_that_they_leave_by() {
    const AWAY: &str = "virtual_routes: [{ to: 198.51.100.0/24, interface: away0 }]";
    let setup = Setup::new(BALLAST, |index| front(index).yaml(AWAY));
    on_pair(setup, |pair| {
        for lb in &pair.net.lbs {
            for command in [
                "add away0 type veth peer away1",
                "set away1 up",
                "set away0 up",
            ] {
                lb.host.sh(&format!("ip link {command}"))?;
            }
        }
        ensure!(pair.wait_until_at_rest()? == 0);
        wait_for_routes(pair, &["198.51.100.0/24"])?;
        let host = &pair.net.lbs[0].host;
        host.sh("ip link set away0 down")?;
        wait_for_routes(pair, &[])?;
        host.sh("ip link set away0 up")?;
        wait_for_routes(pair, &["198.51.100.0/24"])?;
        ensure!(pair.wait_until_at_rest()? == 0);
        Ok(())
    });
}

#[test]
fn an_address_with_another_prefix_takes_the_place_of_the_old_one() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = transitions(pair)?;
        let config = pair.config(0).to_string();
        let vip = format!("\"{VIP}/32\"");
        ensure!(config.contains(&vip), "{config}");
        let agent = &pair.balancer(0)?.agent;
        agent.write_config(&config.replace(&vip, &format!("\"{VIP}/28\"")))?;
        agent.reload()?;
        wait_for("the new prefix alone", SOON, || {
            let addresses = pair.net.lbs[0].host.sh("ip -brief address show dev eth0")?;
            let (old, new) = (format!("{VIP}/32"), format!("{VIP}/28"));
            ensure!(
                !addresses.contains(&old) && addresses.contains(&new),
                "{addresses}"
            );
            Ok(())
        })?;
        ensure!(pair.wait_until_at_rest()? == 0);
        ensure!(transitions(pair)? == before, "it gave up its role");
        Ok(())
    });
}

#[test]
fn a_group_that_gets_another_name_and_order_changes_no_role() {
    let routers = |index: usize| {
        let mut inside = VirtualRouter::new("inside", 2, front(index).version)
            .address([10, 0, 0, 126])
            .priority(front(index).priority);
        inside.interval = front(index).interval;
        vec![front(index), inside]
    };
    let name = front(0).name;
    let setup = Setup::many(BALLAST, routers).yaml(&sync_group("one", &[&name, "inside"]));
    on_pair(setup, |pair| {
        pair.wait_for_masters(&[0, 0], SOON)?;
        let before = transitions(pair)?;
        let backup = Adverts::of(&pair.net.lbs[1])?;
        let agent = &pair.balancer(0)?.agent;
        let old = pair.config(0).to_string();
        let new = old.replace(
            &sync_group("one", &[&name, "inside"]),
            &sync_group("another", &["inside", &name]),
        );
        ensure!(new != old, "{old}");
        agent.write_config(&new)?;
        agent.reload()?;
        // As long as the other would wait, and more.
        let over = Instant::now() + 2 * front(0).master_down();
        wait_for("the master-down time", SOON, || Instant::now() > over)?;
        ensure!(backup.sent().is_empty(), "lb2 took over");
        pair.wait_for_masters(&[0, 0], SOON)?;
        ensure!(transitions(pair)? == before, "it gave up its role");
        Ok(())
    });
}

fn transitions(pair: &Pair<'_>) -> Result<Vec<(String, u64)>> {
    let mut found: Vec<_> = instances(&pair.balancer(0)?.agent)?
        .into_iter()
        .map(|router| (router.name, router.transitions))
        .collect();
    found.sort();
    Ok(found)
}

fn reload(pair: &Pair<'_>) -> Result<()> {
    let agent = &pair.balancer(0)?.agent;
    agent.write_config(&pair.config(0).to_string())?;
    agent.reload()
}

fn via(to: &[&str]) -> String {
    let routes = to
        .iter()
        .map(|to| format!("{{ to: {to}, via: 10.0.0.250 }}"));
    let routes: Vec<_> = routes.collect();
    format!("virtual_routes: [{}]", routes.join(", "))
}

/// Waits until the master has these routes of ours, and keeps them for a while: a late removal is
/// what the test is about.
fn wait_for_routes(pair: &Pair<'_>, wanted: &[&str]) -> Result<()> {
    let host = &pair.net.lbs[0].host;
    let there = || routes(host);
    let mut wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    wanted.sort();
    wait_for("the master's routes", SOON, || {
        let found = there()?;
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })?;
    let over = Instant::now() + Duration::from_millis(300);
    while Instant::now() < over {
        let found = there()?;
        ensure!(found == wanted, "{found:?} instead of {wanted:?}");
    }
    Ok(())
}

fn routes(host: &Host) -> Result<Vec<String>> {
    let text = host.sh("ip -4 route show proto 176")?;
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    found.sort();
    Ok(found)
}

const ALL: &[&str] = &[
    "198.51.100.0/28",
    "198.51.100.16/28",
    "198.51.100.32/28",
    "198.51.100.48/28",
];
