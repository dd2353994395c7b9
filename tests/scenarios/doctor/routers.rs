//! Traps of virtual routers: what keeps two from hearing each other, or from being one.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    keepalived::Keepalived,
    lab,
    require::Need,
    site::Site,
    topology::VIP,
    vrrp::{Version, VirtualRouter, keepalived_conf, vrrp_yaml},
};

use super::{examine, finds_with, on_prepared};
use crate::support::{NEEDS, front};

#[test]
fn an_interface_without_multicast_is_found() {
    on_prepared(|site| {
        site.net.lb.host.sh("ip link set eth0 multicast off")?;
        finds_with(site, &vrrp_yaml(&[front(0)]), &["no-multicast"])
    });
}

#[test]
fn rules_that_drop_adverts_are_found_and_named() {
    with_program("nft", |site| {
        let host = &site.net.lb.host;
        let yaml = vrrp_yaml(&[front(0)]);
        let nft = |rules: &str| {
            let file = host.dir().join("rules.nft");
            std::fs::write(&file, format!("flush ruleset\n{rules}\n"))?;
            host.exec(["nft", "-f", &file.display().to_string()])
                .map(drop)
        };
        nft(
            "table inet filter {\n chain input { type filter hook input priority 0; policy drop;
             ct state established,related accept; iifname \"lo\" accept; meta l4proto { tcp, icmp } accept; }\n}",
        )?;
        finds_with(site, &yaml, &["vrrp-filtered"])?;
        nft(
            "table inet filter {\n chain input { type filter hook input priority 0; policy drop;
             ip protocol vrrp ip daddr 224.0.0.18 accept; meta l4proto { tcp, icmp } accept; }\n}",
        )?;
        finds_with(site, &yaml, &[])?;
        nft(
            "table ip mangle {\n chain out { type filter hook output priority 0; ip protocol 112 drop; }\n}",
        )?;
        let examined = examine(host, site.agent.config())?;
        examined.found(&["vrrp-filtered"])?;
        ensure!(
            examined
                .document
                .to_string()
                .contains("ip protocol vrrp drop")
        );
        Ok(())
    });
}

#[test]
fn another_virtual_router_of_our_number_is_found() {
    let mut other = front(1);
    other.addresses.clear();
    let other = other.address([10, 0, 0, 200]);
    beside(other, front(0), &["vrid-conflict"]);
}

#[test]
fn a_neighbour_of_another_version_is_found() {
    let other = VirtualRouter::new("front", 51, Version::V2).address(VIP);
    beside(other, front(0), &["vrrp-version-mismatch"]);
}

#[test]
fn a_neighbour_with_another_password_is_found() {
    let ours = VirtualRouter::new("front", 51, Version::V2).address(VIP);
    let theirs = ours.clone().password("theirs");
    beside(theirs, ours.password("ours"), &["vrrp-password-mismatch"]);
}

#[test]
fn a_neighbour_with_another_interval_is_found() {
    let theirs = VirtualRouter::new("front", 51, Version::V2).address(VIP);
    let ours = theirs.clone().interval(Duration::from_secs(2));
    beside(theirs, ours, &["vrrp-interval-mismatch"]);
}

#[test]
fn a_neighbour_that_agrees_is_no_trap() {
    beside(front(1), front(0), &[]);
}

#[test]
fn a_second_master_is_found() {
    with_keepalived(|site| {
        let _other = speaking(site, front(1))?;
        // The balancer has the address, too, as a master does.
        finds_with(
            site,
            &vrrp_yaml(&[front(0)]),
            &["duplicate-address", "two-masters"],
        )
    });
}

/// Expects these faults where a keepalived is master of `theirs`, and this host is to run `ours`.
fn beside(theirs: VirtualRouter, ours: VirtualRouter, ids: &[&str]) {
    with_keepalived(|site| {
        site.net
            .lb
            .host
            .sh(&format!("ip address del {VIP}/32 dev eth0"))?;
        let _other = speaking(site, theirs)?;
        finds_with(site, &vrrp_yaml(&[ours]), ids)
    });
}

fn with_keepalived(body: impl FnOnce(&mut Site) -> Result<()>) {
    with_program("keepalived", body);
}

fn with_program(name: &'static str, body: impl FnOnce(&mut Site) -> Result<()>) {
    let needs = [NEEDS, &[Need::Program(name)]].concat();
    lab::test(&needs, |lab| {
        let direct = lb_tests::ballast::Forwarding::DirectRouting;
        body(&mut Site::prepare(lab, &[direct])?)
    });
}

/// A keepalived on the client, master already.
fn speaking(site: &Site, router: VirtualRouter) -> Result<Keepalived> {
    let client = &site.net.client;
    let mut keepalived = Keepalived::prepare(&client.host, &keepalived_conf("other", &[router]))?;
    let adverts = lb_tests::vrrp::Adverts::of(client)?;
    keepalived.run()?;
    lb_tests::wait::wait_for("the other router's adverts", crate::support::SOON, || {
        !adverts.sent().is_empty()
    })?;
    Ok(keepalived)
}
