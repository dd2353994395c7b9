//! What the scenarios share.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Forwarding,
    client::{Get, Load, Pace},
    lab::{self, Lab},
    require::Need,
    site::Site,
};

/// Everything a scenario needs besides the lab itself.
pub(crate) const NEEDS: &[Need] = &[
    Need::Tun,
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
    report.all_answered()?;
    let seen: BTreeSet<_> = report.by_server().into_keys().collect();
    ensure!(
        seen == names.iter().copied().collect(),
        "answered by {report}"
    );
    Ok(())
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
