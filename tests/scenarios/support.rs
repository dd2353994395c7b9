//! What the scenarios share.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Forwarding,
    client::{Get, Load, Pace},
    lab::{self, Lab},
    netns::Host,
    pair::{Pair, Setup, Stack},
    require::Need,
    site::Site,
    topology::VIP,
    vrrp::{Instance, Version, VirtualRouter, instances},
};

/// Everything a scenario needs besides the lab itself.
pub(crate) const NEEDS: &[Need] = &[
    Need::Program("nginx"),
    Need::Program("curl"),
    Need::Program("bpftool"),
];

/// A steady load that two shared cores carry with ease.
pub(crate) const PACE: Pace = Pace {
    threads: 4,
    rate: 200,
};

/// A limit for things that take no time; generous, because machines stall.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Runs a test on a started site with one web server for each of `forwarding`.
pub(crate) fn on_site(forwarding: &[Forwarding], body: impl FnOnce(&mut Site) -> Result<()>) {
    in_lab(|lab| body(&mut Site::start(lab, forwarding)?));
}

/// Runs a test in an empty lab.
pub(crate) fn in_lab(body: impl FnOnce(&Lab) -> Result<()>) {
    lab::test(NEEDS, body);
}

/// Sends requests until as many as any fair spread needs are through, and expects all of them
/// answered, by exactly `names`.
pub(crate) fn all_answer(site: &Site, get: &Get, names: &[&str]) -> Result<()> {
    let report = Load::burst(&site.net.client.host, get, 4, 40 * names.len())?;
    report.answered_by(names)
}

/// Whether an XDP program is on the balancer's `eth0`.
pub(crate) fn has_xdp(site: &Site) -> Result<bool> {
    Ok(site
        .net
        .lb
        .host
        .sh("ip -details link show eth0")?
        .contains("xdp"))
}

/// Expects the host's bpffs to hold nothing of ours. `maps.debug` and `progs.debug` are the kernel's
/// own: it puts them into a new bpffs (`kernel/bpf/preload`).
pub(crate) fn nothing_pinned(host: &Host) -> Result<()> {
    let pins = host.sh("find /sys/fs/bpf -mindepth 1 ! -name *.debug")?;
    ensure!(pins.is_empty(), "pins are left:\n{pins}");
    Ok(())
}

/// Both balancers elect themselves.
pub(crate) const BALLAST: [Stack; 2] = [Stack::Ballast; 2];

/// A virtual router with [`VIP`], version 3, every 100 ms; `lb1` has priority 150, `lb2` 100.
pub(crate) fn front(index: usize) -> VirtualRouter {
    VirtualRouter::new("front", 51, Version::V3)
        .priority(priority(index == 0))
        .interval(Duration::from_millis(100))
        .address(VIP)
}

/// Of the balancer that should be master, and of the other.
pub(crate) fn priority(first: bool) -> u8 {
    if first { 150 } else { 100 }
}

/// Runs a test on a started pair.
pub(crate) fn on_pair(setup: Setup, body: impl FnOnce(&mut Pair<'_>) -> Result<()>) {
    lab::test(PAIR_NEEDS, |lab| body(&mut Pair::start(lab, setup)?));
}

/// The only virtual router of a balancer, as its agent sees it.
pub(crate) fn router(pair: &Pair<'_>, index: usize) -> Result<Instance> {
    let mut routers = instances(&pair.balancer(index)?.agent)?;
    ensure!(routers.len() == 1, "{} routers", routers.len());
    Ok(routers.remove(0))
}

const PAIR_NEEDS: &[Need] = &[
    Need::Program("nginx"),
    Need::Program("keepalived"),
    Need::Program("pgrep"),
];
