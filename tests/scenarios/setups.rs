//! The setups that people follow how-tos for, end to end: the published keepalived.conf imported, the real
//! programs it names, and each thing it is supposed to show. One file each, named as the fixtures are.
//!
//! What S0 shows with NAT needs IPVS in the kernel: `tests/vm/s0.rs`.

mod s0;
mod s1;
mod s2;
mod s3;
mod s4;

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_tests::{
    imported::{SLACK, SOON},
    netns::Host,
    pair::{Stack, has_address},
    wait::wait_for,
};

/// Who elects on the two nodes where VRRP alone is concerned: we, and either beside a real keepalived.
const PAIRS: [[Stack; 2]; 3] = [
    [Stack::Ballast; 2],
    [Stack::Ballast, Stack::Keepalived],
    [Stack::Keepalived, Stack::Ballast],
];

/// Waits until `host` has an address, and returns when.
fn wait_for_address(host: &Host, address: IpAddr, limit: Duration) -> Result<Instant> {
    wait_for(&format!("{address} on {}", host.name()), limit, || {
        has_address(host, address)
    })?;
    Ok(Instant::now())
}

/// Waits until `host` has none of `addresses`.
fn wait_until_without(host: &Host, addresses: &[IpAddr], limit: Duration) -> Result<()> {
    let what = format!("{} to have given up {addresses:?}", host.name());
    wait_for(&what, limit, || {
        !addresses.iter().any(|address| has_address(host, *address))
    })?;
    Ok(())
}

/// Expects that something took at most `limit`, and a little.
fn within(what: &str, since: Instant, until: Instant, limit: Duration) -> Result<()> {
    let took = until.duration_since(since);
    ensure!(took <= limit + SLACK, "{what} took {took:?}, not {limit:?}");
    Ok(())
}
