//! Who is master, and what it holds.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Forwarding::{DirectRouting, Tunnel},
    client::Get,
    pair::{Pair, Setup, has_address},
    topology::{VIP, VIP6, host_prefix, mac_text},
    vrrp::{Adverts, Version, VirtualRouter, sync_group},
    wait::wait_for,
};
use nix::sys::signal::Signal;

use crate::support::{BALLAST, SOON, front, on_pair, priority, router};

#[test]
fn an_address_that_somebody_removes_is_put_back_without_a_change_of_role() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = [router(pair, 0)?.transitions, router(pair, 1)?.transitions];
        let host = &pair.net.lbs[0].host;
        let vip = host_prefix(VIP.into());
        for _ in 0..3 {
            host.sh(&format!("ip address del {vip} dev eth0"))?;
            wait_for("the address to be back", SOON, || {
                has_address(host, VIP.into())
            })?;
        }
        ensure!(pair.wait_until_at_rest()? == 0);
        let after = [router(pair, 0)?.transitions, router(pair, 1)?.transitions];
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    });
}

#[test]
fn members_of_a_sync_group_move_together() {
    let routers = |index: usize| {
        let member = |name: &str, id| {
            VirtualRouter::new(name, id, Version::V3)
                .interval(Duration::from_millis(100))
                .priority(priority(index == 0))
        };
        vec![
            member("outside", 1).address(VIP).track(0),
            member("inside", 2).address([10, 0, 0, 126]),
        ]
    };
    let setup = Setup::many(BALLAST, routers).yaml(&sync_group("gateway", &["outside", "inside"]));
    on_pair(setup, |pair| {
        pair.wait_for_masters(&[0, 0], SOON)?;
        // Only the outer one tracks the process.
        pair.kill_tracked(0)?;
        pair.wait_for_masters(&[1, 1], SOON)?;
        pair.run_tracked(0)?;
        pair.wait_for_masters(&[0, 0], SOON)?;
        pair.power_off(0)?;
        pair.wait_for_masters(&[1, 1], SOON)?;
        pair.power_on(0)?;
        pair.wait_for_masters(&[0, 0], SOON)
    });
}

#[test]
fn after_a_partition_the_winner_announces_itself_again() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let [lb1, lb2] = &pair.net.lbs;
        for lb in [lb1, lb2] {
            lb.port.isolate(true)?;
        }
        // Neither hears the other, the client hears both; the later announcement is lb2's.
        wait_for("two masters", SOON, || has_address(&lb2.host, VIP.into()))?;
        client_reaches(pair, 1)?;
        for lb in [lb1, lb2] {
            lb.port.isolate(false)?;
        }
        pair.wait_for_master(0, SOON)?;
        client_reaches(pair, 0)
    });
}

#[test]
fn an_agent_that_was_stopped_for_long_listens_before_it_speaks() {
    on_pair(
        Setup::new(BALLAST, |index| front(index).no_preempt()),
        |pair| {
            let first = pair.wait_until_at_rest()?;
            let process = pair.balancer_mut(first)?.agent.process()?;
            let stopped = Instant::now();
            process.signal(Signal::SIGSTOP)?;
            let other = pair.net.lbs[1 - first].host.clone();
            wait_for("the other to take over", SOON, || {
                has_address(&other, VIP.into())
            })?;
            // What the agent does not take for a moment's delay.
            wait_for("a long stop", SOON, || {
                stopped.elapsed() > Duration::from_millis(1500)
            })?;
            let adverts = Adverts::of(&pair.net.lbs[first])?;
            let process = pair.balancer_mut(first)?.agent.process()?;
            process.signal(Signal::SIGCONT)?;
            ensure!(pair.wait_until_at_rest()? == 1 - first);
            let spoke = adverts.sent().iter().filter(|a| a.priority > 0).count();
            ensure!(spoke == 0, "it spoke {spoke} times");
            Ok(())
        },
    );
}

#[test]
fn members_of_a_group_that_were_stopped_for_long_listen_before_they_speak() {
    let routers = |index: usize| {
        let member = |name: &str, id| {
            VirtualRouter::new(name, id, Version::V3)
                .interval(Duration::from_millis(100))
                .priority(priority(index == 0))
                .no_preempt()
        };
        vec![
            member("outside", 1).address(VIP),
            member("inside", 2).address([10, 0, 0, 126]),
        ]
    };
    let setup = Setup::many(BALLAST, routers).yaml(&sync_group("gateway", &["outside", "inside"]));
    on_pair(setup, |pair| {
        let first = pair.wait_for_any_master(SOON)?;
        pair.wait_for_masters(&[first; 2], SOON)?;
        pair.wait_for_state(1 - first, "backup", SOON)?;
        let stopped = Instant::now();
        let process = pair.balancer_mut(first)?.agent.process()?;
        process.signal(Signal::SIGSTOP)?;
        let other = pair.net.lbs[1 - first].host.clone();
        wait_for("the other to take over", SOON, || {
            has_address(&other, VIP.into()) && has_address(&other, [10, 0, 0, 126].into())
        })?;
        wait_for("a long stop", SOON, || {
            stopped.elapsed() > Duration::from_millis(1500)
        })?;
        let adverts = Adverts::of(&pair.net.lbs[first])?;
        let process = pair.balancer_mut(first)?.agent.process()?;
        process.signal(Signal::SIGCONT)?;
        pair.wait_for_masters(&[1 - first; 2], SOON)?;
        pair.wait_for_state(first, "backup", SOON)?;
        pair.wait_for_state(1 - first, "master", SOON)?;
        wait_for("some intervals", SOON, || {
            let heard = adverts.received().len();
            ensure!(heard > 20, "{heard} adverts");
            Ok(())
        })?;
        // At most that they give up the role, each once: so their successor, who never heard that
        // there were two, announces itself again.
        let spoke = adverts.sent();
        let claims = spoke.iter().filter(|advert| advert.priority > 0).count();
        ensure!(claims == 0 && spoke.len() <= 2, "they spoke: {spoke:?}");
        Ok(())
    });
}

#[test]
fn an_ipv6_address_moves_with_its_traffic() {
    let setup = Setup::many(BALLAST, |index| {
        let v6 = VirtualRouter::new("front6", 51, Version::V3)
            .interval(Duration::from_millis(100))
            .priority(priority(index == 0))
            .address(VIP6);
        vec![front(index), v6]
    });
    on_pair(setup.web(&[DirectRouting, Tunnel]), |pair| {
        pair.wait_for_masters(&[0, 0], SOON)?;
        let client = pair.net.client.host.clone();
        // Less than a lost packet takes to be sent again.
        let get = Get::new((VIP6, 80)).limit(Duration::from_millis(950));
        get.send(&client)?;
        pair.power_off(0)?;
        pair.wait_for_masters(&[1, 1], SOON)?;
        // At once: the client's neighbour entry was replaced by the announcement.
        get.send(&client)?;
        Ok(())
    });
}

/// Whose MAC the client has for the virtual address.
fn client_reaches(pair: &Pair<'_>, index: usize) -> Result<()> {
    let mac = mac_text(pair.net.lbs[index].port.mac());
    let client = &pair.net.client.host;
    client.output(["ping", "-c1", "-W1", &VIP.to_string()])?;
    wait_for(&format!("the client to have {mac}"), SOON, || {
        let neighbour = client.sh(&format!("ip neigh show {VIP}"))?;
        ensure!(neighbour.contains(&mac), "{neighbour}");
        Ok(())
    })?;
    Ok(())
}
