//! How a new master tells the network where its addresses are now.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    pair::Setup,
    topology::{VIP, VIP6},
    vrrp::{Announcements, Burst, Version, VirtualRouter},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, on_pair, priority};

#[test]
fn a_new_master_announces_each_address_in_bursts_at_once_after_the_delay_and_by_refresh() {
    on_pair(Setup::many(BALLAST, routers), |pair| {
        let all_on = |index: usize| vec![index; pair.setup.routers[0].len()];
        pair.wait_for_masters(&all_on(0), SOON)?;
        pair.wait_for_state(1, "backup", SOON)?;
        let lb2 = &pair.net.lbs[1];
        let announcements = Announcements::of(lb2)?;
        pair.power_off(0)?;
        // As many bursts as show that there are no more of one kind, and the rest of the last.
        let bursts = |address: IpAddr| announcements.bursts(address, APART);
        for address in REFRESHED {
            wait_for("refreshes", SOON, || {
                let seen = bursts(address);
                ensure!(seen.len() > REFRESHES, "{seen:?}");
                Ok(())
            })?;
        }
        for address in REFRESHED {
            let seen = bursts(address);
            expect(&seen[..REFRESHES], 2, REFRESH).with_context(|| address.to_string())?;
        }
        for address in ONCE_MORE {
            let seen = bursts(address);
            ensure!(seen.len() == 2, "{address}: {seen:?}");
            // The default of `repeat`.
            expect(&seen, 5, DELAY).with_context(|| address.to_string())?;
        }
        let mac = pair.net.lbs[1].port.mac();
        for announcement in announcements.sent() {
            ensure!(announcement.mac == mac, "{announcement:?}");
            let ours = [&REFRESHED[..], &ONCE_MORE[..]].concat();
            ensure!(ours.contains(&announcement.address), "{announcement:?}");
        }
        Ok(())
    });
}

/// All of `count`, and `every` apart: no sooner than timers that a stall made late, which the next is not.
fn expect(bursts: &[Burst], count: usize, every: Duration) -> Result<()> {
    ensure!(
        bursts.iter().all(|burst| burst.count == count),
        "expected {count} each: {bursts:?}"
    );
    for pair in bursts.windows(2) {
        let between = pair[1].start.duration_since(pair[0].start)?;
        ensure!(
            between > every / 2 && between < 3 * every,
            "expected {every:?} between: {bursts:?}"
        );
    }
    Ok(())
}

fn routers(index: usize) -> Vec<VirtualRouter> {
    let router = |name: &str, id, addresses: &[IpAddr], garp: &str| {
        let router = VirtualRouter::new(name, id, Version::V3)
            .interval(Duration::from_millis(100))
            .priority(priority(index == 0));
        let router = addresses.iter().fold(router, |r, a| r.address(*a));
        router.yaml(garp)
    };
    let delay = format!("garp: {{ delay: {}ms }}", DELAY.as_millis());
    let refresh = format!(
        "garp: {{ repeat: 2, delay: 0s, refresh: {}ms }}",
        REFRESH.as_millis()
    );
    vec![
        router("delay", 51, &ONCE_MORE[..2], &delay),
        router("delay6", 51, &ONCE_MORE[2..], &delay),
        router("refresh", 52, &REFRESHED[..1], &refresh),
        router("refresh6", 52, &REFRESHED[1..], &refresh),
    ]
}

const ONCE_MORE: [IpAddr; 3] = [
    IpAddr::V4(VIP),
    IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 126)),
    IpAddr::V6(VIP6),
];
const REFRESHED: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 127)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x127)),
];
const DELAY: Duration = Duration::from_secs(2);
const REFRESH: Duration = Duration::from_millis(1500);
/// More than the delay, twice.
const REFRESHES: usize = 4;
/// Between two bursts at least; within one at most.
const APART: Duration = Duration::from_millis(500);
