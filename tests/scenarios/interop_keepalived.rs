//! Ballast and Debian's keepalived as one pair: versions 2 and 3, IPv4 and IPv6, multicast and unicast,
//! with and without password, each of the two as the master that it should be and as the backup.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    pair::{Pair, Setup, Stack},
    topology::{LBS, LBS6, VIP},
    vrrp::{Version, VirtualRouter, instances},
};

use crate::support::{SOON, on_pair, priority};

#[test]
fn every_combination_elects_takes_over_and_fails_back_with_keepalived() {
    on_pair(setup(), |pair| {
        let rest = masters(pair);
        pair.wait_for_masters(&rest, SOON)?;
        for index in [0, 1] {
            let other = vec![1 - index; rest.len()];
            pair.stop(index)?;
            pair.wait_for_masters(&other, SOON)?;
            pair.run_elector(index)?;
            pair.wait_for_masters(&rest, SOON)?;
        }
        nothing_refused(pair)
    });
}

#[test]
fn every_combination_takes_over_from_a_dead_keepalived_and_the_other_way_round() {
    on_pair(setup(), |pair| {
        let rest = masters(pair);
        for index in [0, 1] {
            pair.wait_for_masters(&rest, SOON)?;
            let other = vec![1 - index; rest.len()];
            pair.power_off(index)?;
            pair.wait_for_masters(&other, SOON)?;
            pair.power_on(index)?;
        }
        pair.wait_for_masters(&rest, SOON)
    });
}

#[test]
fn a_keepalived_with_another_password_is_not_listened_to() {
    let stacks = [Stack::Ballast, Stack::Keepalived];
    let setup = Setup::new(stacks, |index| {
        VirtualRouter::new("secret", 9, Version::V2)
            .priority(priority(index == 1))
            .password(if index == 0 { "ours" } else { "theirs" })
            .address(VIP)
    });
    on_pair(setup, |pair| {
        pair.wait_for_state(0, "master", SOON)?;
        pair.wait_for_state(1, "master", SOON)?;
        lb_tests::wait::wait_for("a refused password", SOON, || {
            let router = crate::support::router(pair, 0)?;
            ensure!(
                router.counters.dropped.get("password") > Some(&0),
                "{router:?}"
            );
            ensure!(router.state == "master");
            Ok(())
        })?;
        Ok(())
    });
}

/// Ballast is `lb1`. Every combination twice: once it has the higher priority, once keepalived has it.
fn setup() -> Setup {
    Setup::many([Stack::Ballast, Stack::Keepalived], |index| {
        let twice = [0, 1].into_iter().flat_map(|first| {
            let combinations = combinations(index).into_iter();
            combinations.map(move |router| (first, router))
        });
        let routers = twice.zip(1_u8..).map(|((first, mut router), id)| {
            let winner = ["ballast", "keepalived"][first];
            router.name = format!("{}-{winner}", router.name);
            router.id = id;
            router.priority = priority(first == index);
            if router.name.contains("IPv6") {
                router.address([0xfd00, 0, 0, 0, 0, 0, 1, id.into()])
            } else {
                router.address([10, 0, 0, 200 + id])
            }
        });
        routers.collect()
    })
}

fn combinations(index: usize) -> Vec<VirtualRouter> {
    let v2 = |name: &str| VirtualRouter::new(name, 1, Version::V2);
    let v3 =
        |name: &str| VirtualRouter::new(name, 1, Version::V3).interval(Duration::from_millis(200));
    let (own, peer) = (LBS[index], LBS[1 - index]);
    let (own6, peer6) = (LBS6[index], LBS6[1 - index]);
    vec![
        v2("v2-IPv4-multicast"),
        v2("v2-IPv4-multicast-password").password("1111"),
        v2("v2-IPv4-unicast").unicast(own, peer),
        v2("v2-IPv4-unicast-password")
            .unicast(own, peer)
            .password("longer-than-8"),
        v3("v3-IPv4-multicast"),
        v3("v3-IPv4-unicast").unicast(own, peer),
        v3("v3-IPv6-multicast"),
        // keepalived 2.2.7 sends these with the hop limit of ordinary packets.
        v3("v3-IPv6-unicast")
            .unicast(own6, peer6)
            .yaml("unicast_ttl_check: false"),
    ]
}

fn masters(pair: &Pair<'_>) -> Vec<usize> {
    let routers = pair.setup.routers[0].iter();
    routers
        .map(|router| usize::from(router.priority != priority(true)))
        .collect()
}

/// Everything that keepalived sends is an advert to us.
fn nothing_refused(pair: &Pair<'_>) -> Result<()> {
    let routers = instances(&pair.balancer(0)?.agent)?;
    ensure!(routers.len() == pair.setup.routers[0].len());
    for router in routers {
        ensure!(router.counters.dropped_in_all() == 0, "{router:?}");
        ensure!(router.counters.received > 0, "{router:?}");
    }
    Ok(())
}
