//! As many virtual routers as an interface can have.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use lb_tests::{
    lab,
    pair::{Pair, Setup},
    topology::VIP,
    vrrp::{Adverts, Version, VirtualRouter},
    wait::{pause, wait_for},
};

use crate::support::{BALLAST, SOON, priority};

#[test]
fn all_of_255_routers_with_20_addresses_have_their_master_soon_after_the_start() {
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, all(32, owner))?;
        let masters: Vec<_> = (1..=255).map(owner).collect();
        let took = start(&mut pair, &masters)?;
        for index in [0, 1] {
            let usage = usage(&mut pair, index)?;
            eprintln!("lb{}: {took}; {usage}", index + 1);
        }
        ensure!(
            took.masters < 3 * LIMIT,
            "{took}; expected within {LIMIT:?} of the start"
        );
        Ok(())
    });
}

#[test]
fn a_master_of_255_routers_with_20_addresses_stops_cleanly() {
    stop_of_all(32);
}

#[test]
fn a_master_of_255_networks_with_20_addresses_stops_cleanly() {
    stop_of_all(24);
}

/// Stops the master of everything, and expects everything on the other.
fn stop_of_all(prefix: u8) {
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, all(prefix, |_| 0))?;
        // One after the other: they have nothing to agree about.
        pair.run(0)?;
        pair.wait_for_masters(&[0; 255], SOON)?;
        pair.run(1)?;
        pair.wait_for_state(1, "backup", SOON)?;
        let before = Instant::now();
        // Exit status 0.
        pair.stop(0)?;
        let stopped = before.elapsed();
        eprintln!("/{prefix}: stopped after {stopped:.2?}");
        pair.expect_no_addresses(0)?;
        pair.wait_for_masters(&[1; 255], SOON)?;
        let moved = before.elapsed();
        eprintln!("/{prefix}: stopped after {stopped:.2?}, all moved after {moved:.2?}");
        let log = pair.balancer_mut(0)?.agent.process()?.log();
        ensure!(!log.contains("could not be"), "{log}");
        ensure!(stopped < STOP_LIMIT, "it took {stopped:?} to stop");
        Ok(())
    });
}

/// Since the start of both agents.
#[derive(Debug)]
struct Took {
    /// Until both were ready: had read their files, loaded and attached the data plane.
    ready: Duration,
    /// Until the last router's master said so.
    masters: Duration,
    /// Until the last address was where it belongs, and nowhere else.
    addresses: Duration,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            ready,
            masters,
            addresses,
        } = self;
        write!(
            f,
            "ready after {ready:.2?}, all masters after {masters:.2?}, all addresses after {addresses:.2?}"
        )
    }
}

/// Starts both; `masters` has the balancer that each router's master should be on.
fn start(pair: &mut Pair<'_>, masters: &[usize]) -> Result<Took> {
    let adverts = [
        Adverts::of(&pair.net.lbs[0])?,
        Adverts::of(&pair.net.lbs[1])?,
    ];
    let start = SystemTime::now();
    for index in [0, 1] {
        pair.balancer_mut(index)?.agent.run_unready()?;
    }
    for index in [0, 1] {
        pair.balancer_mut(index)?.agent.wait_until_ready()?;
    }
    let ready = start.elapsed()?;
    wait_for("every router's addresses", SOON, || {
        // Reading ten thousand addresses takes a core away from those who add them.
        pause(Duration::from_millis(200));
        pair.wait_for_masters(masters, Duration::ZERO)
    })?;
    let addresses = start.elapsed()?;
    let mut first = BTreeMap::new();
    for (index, adverts) in adverts.iter().enumerate() {
        for advert in adverts.sent() {
            let owner = masters.get(usize::from(advert.id) - 1);
            if owner == Some(&index) && advert.priority > 0 {
                first.entry(advert.id).or_insert(advert.at);
            }
        }
    }
    ensure!(first.len() == 255, "{} masters", first.len());
    let last = first.into_values().max().context("no advert")?;
    Ok(Took {
        ready,
        masters: last.duration_since(start)?,
        addresses,
    })
}

/// Odd ones belong to `lb1`.
fn owner(id: u8) -> usize {
    usize::from(id.is_multiple_of(2))
}

/// Each with 20 addresses in a network of its own, of which an address has `prefix` bits.
fn all(prefix: u8, owner: impl Fn(u8) -> usize) -> Setup {
    Setup::many(BALLAST, |index| {
        (1..=255)
            .map(|id| many(id, prefix, owner(id) == index))
            .collect()
    })
}

fn many(id: u8, prefix: u8, first: bool) -> VirtualRouter {
    let mut router = VirtualRouter::new(&format!("VI_{id}"), id, Version::V3)
        .interval(Duration::from_millis(100))
        .priority(priority(first));
    if id == 1 {
        router = router.address(VIP);
    }
    for n in u8::from(id == 1)..20 {
        let address = [10, 20, id, 1 + n].into();
        router.addresses.push(IpNet::new_assert(address, prefix));
    }
    router
}

/// Memory, and processor time over two seconds.
fn usage(pair: &mut Pair<'_>, index: usize) -> Result<String> {
    let pid = pair.balancer_mut(index)?.agent.process()?.pid();
    let ticks = || -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // After the name in parentheses, utime and stime are fields 14 and 15 of proc(5).
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = fields.split_whitespace().skip(11);
        let mut next = || fields.next().unwrap_or_default().parse::<u64>();
        Ok(next()? + next()?)
    };
    let before = ticks()?;
    pause(Duration::from_secs(2));
    let spent = ticks()? - before;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory = status.lines().find(|line| line.starts_with("VmRSS:"));
    // A tick is 10 ms: of 200 in two seconds, half as many percent.
    Ok(format!(
        "{}% of a core, {}",
        spent / 2,
        memory.unwrap_or_default()
    ))
}

/// Master-down is 0.36 s; a second for everything else. A busy machine gets three times as much.
const LIMIT: Duration = Duration::from_millis(1500);
/// Two seconds are the peer's; a master with one address takes little more.
const STOP_LIMIT: Duration = Duration::from_secs(10);
