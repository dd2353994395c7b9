//! What a master does last, and in which order.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    ballast::START_LIMIT,
    lab,
    netns::Host,
    pair::{Pair, Setup, has_address},
    topology::VIP,
    vrrp::{Adverts, VirtualRouter},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair};

#[test]
fn a_master_that_is_told_to_stop_gives_up_first_and_forwards_for_two_seconds_more() {
    gives_up_first(Setup::new(BALLAST, with_route));
}

#[test]
fn a_peer_that_takes_over_before_the_addresses_are_gone_is_waited_for_all_the_same() {
    gives_up_first(Setup::new(BALLAST, |index| {
        // Its skew is a tenth of a millisecond, and 200 addresses are not gone by then.
        let router = with_route(index)
            .interval(Duration::from_millis(10))
            .priority([254, 253][index]);
        (1..=200).fold(router, |router, n| router.address([10, 20, 0, n]))
    }));
}

fn gives_up_first(setup: Setup) {
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let lb1 = pair.net.lbs[0].clone();
        wait_for("the route", SOON, || has_route(&lb1.host))?;
        let adverts = Adverts::of(&lb1)?;
        let strays = pair.watch_strays(0)?;
        pair.terminate(0)?;
        let mut seen = Seen::default();
        let mut after_all = None;
        wait_for("XDP to be gone", START_LIMIT, || {
            seen.look(&lb1.host)?;
            if seen.address.is_some() && seen.xdp.is_none() && after_all.is_none() {
                // Somebody whose cache has not heard of it yet.
                pair.send_stray(&pair.net.client, 0)?;
                after_all = Some(SystemTime::now());
            }
            seen.xdp.context("XDP is there")
        })?;
        // In the last round they may have gone after they were asked for, and before XDP was.
        seen.look(&lb1.host)?;
        let process = pair.balancer_mut(0)?.agent.process()?;
        let status = process.wait(START_LIMIT)?;
        ensure!(status.success(), "it ended with {status}");
        let sent = adverts.sent();
        let release = sent.iter().find(|advert| advert.priority == 0);
        let release = release.context("no advert with priority 0")?.at;
        ensure!(
            sent.iter().all(|a| a.at <= release || a.priority == 0),
            "it spoke after it gave up: {sent:?}"
        );
        let received = adverts.received();
        let taken = received.iter().find(|advert| advert.priority > 0);
        let taken = taken.context("nobody took over")?.at;
        let address = seen.address.context("the address was never gone")?;
        let route = seen.route.context("the route was never gone")?;
        let xdp = seen.xdp.context("XDP was never gone")?;
        eprintln!(
            "priority 0, then the address after {:.1?}, the peer's advert {:.1?}, XDP {:.2?}",
            address.duration_since(release)?,
            taken.duration_since(release)?,
            xdp.duration_since(release)?
        );
        // What was seen may have been so a moment earlier, never later.
        ensure!(release <= address && release <= route && release < taken);
        ensure!(
            address.max(route) < taken + FORWARD_ON,
            "address or route went too late"
        );
        let kept = xdp.duration_since(taken)?;
        ensure!(kept >= FORWARD_ON, "XDP was kept for {kept:?} only");
        ensure!(kept <= 3 * FORWARD_ON, "XDP was kept for {kept:?}");
        ensure!(after_all.is_some() && strays.forwarded() == 1, "{strays:?}");
        Ok(())
    });
}

#[test]
fn a_master_without_a_peer_stops_when_nobody_took_over_in_time() {
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, Setup::new(BALLAST, with_route))?;
        pair.run(0)?;
        pair.wait_for_state(0, "master", SOON)?;
        let lb1 = pair.net.lbs[0].clone();
        wait_for("the route", SOON, || has_route(&lb1.host))?;
        let adverts = Adverts::of(&lb1)?;
        let start = Instant::now();
        pair.terminate(0)?;
        let process = pair.balancer_mut(0)?.agent.process()?;
        let status = process.wait(START_LIMIT)?;
        let took = start.elapsed();
        eprintln!("it ended after {took:.2?}");
        ensure!(status.success(), "it ended with {status}");
        // Not before a peer would have been heard.
        let least = pair.setup.routers[1][0].master_down();
        ensure!(took >= least, "after {took:?}, and {least:?} are needed");
        ensure!(took <= 3 * NOBODY, "after {took:?}");
        let sent = adverts.sent();
        let last = sent.last().context("it sent nothing")?;
        ensure!(last.priority == 0, "{sent:?}");
        pair.expect_no_addresses(0)?;
        ensure!(!has_route(&lb1.host), "the route is left");
        // The kernel takes its time after the last reference is gone.
        wait_for("XDP to be gone", SOON, || {
            ensure!(!has_xdp(&lb1.host)?, "XDP is left");
            Ok(())
        })?;
        Ok(())
    });
}

/// When something was first seen to be gone.
#[derive(Debug, Default)]
struct Seen {
    address: Option<SystemTime>,
    route: Option<SystemTime>,
    xdp: Option<SystemTime>,
}

impl Seen {
    fn look(&mut self, host: &Host) -> Result<()> {
        if self.address.is_none() && !has_address(host, VIP.into()) {
            self.address = Some(SystemTime::now());
        }
        if self.route.is_none() && !has_route(host) {
            self.route = Some(SystemTime::now());
        }
        if self.xdp.is_none() && !has_xdp(host)? {
            self.xdp = Some(SystemTime::now());
        }
        Ok(())
    }
}

fn with_route(index: usize) -> VirtualRouter {
    front(index).yaml(&format!(
        "virtual_routes: [{{ to: {ROUTE}, via: 10.0.0.101, interface: eth0 }}]"
    ))
}

fn has_route(host: &Host) -> bool {
    let routes = host.sh(&format!("ip route show {ROUTE}"));
    routes.is_ok_and(|routes| !routes.trim().is_empty())
}

fn has_xdp(host: &Host) -> Result<bool> {
    let link = host.sh("ip -details link show eth0")?;
    Ok(link.contains("xdp"))
}

const ROUTE: &str = "10.77.0.0/16";
/// How long XDP stays after the peer's first advert.
const FORWARD_ON: Duration = Duration::from_secs(2);
/// How long a peer is waited for: four intervals, of a second at least.
const NOBODY: Duration = Duration::from_secs(4);
