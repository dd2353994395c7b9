//! S2: two addresses of another network than the interface's, and the default route, on the master.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_tests::{
    imported::{Elector, Machine, fixture, replaced},
    lab::{self, Lab},
    netns::Host,
    pair::Stack,
    require::Need,
    topology::Network,
    wait::wait_for,
};

use super::{PAIRS, SOON, wait_for_address, wait_until_without, within};

const VIPS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 168, 7, 100)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 7, 101)),
];
const NEEDS: &[Need] = &[Need::Program("keepalived")];

struct Routers {
    machines: [Machine; 2],
    electors: [Elector; 2],
}

impl Routers {
    fn start(lab: &Lab, stacks: [Stack; 2]) -> Result<Self> {
        let network = Network::new(lab, "switch")?;
        let plug = |name: &str, number: u8| {
            let address = format!("192.168.6.{number}/24");
            Machine::plug(lab, &network, name, "eth0", &address)
        };
        let machines = [plug("KA1", 110)?, plug("KA2", 120)?];
        let first = fixture("s2-ka1")?;
        let second = replaced(&first, "state MASTER", "state BACKUP")?;
        let second = replaced(&second, "priority 100", "priority 99")?;
        Ok(Self {
            electors: [
                Elector::start(stacks[0], &machines[0].host, &first)?,
                Elector::start(stacks[1], &machines[1].host, &second)?,
            ],
            machines,
        })
    }

    /// Waits until one has everything and the other nothing; returns when the first address was there.
    fn wait_for_master(&self, master: usize) -> Result<Instant> {
        let host = &self.machines[master].host;
        let first = wait_for_address(host, VIPS[0], SOON)?;
        wait_for("addresses and route of the master", SOON, || has_all(host))?;
        let other = &self.machines[1 - master].host;
        wait_until_without(other, &VIPS, SOON)?;
        wait_for("the backup's routes", SOON, || {
            let routes = other.sh("ip route")?;
            ensure!(!routes.contains("default"), "{routes}");
            Ok(())
        })?;
        Ok(first)
    }
}

fn has_all(host: &Host) -> Result<()> {
    let addresses = host.sh("ip -4 address show dev eth0")?;
    for (start, rest) in [
        ("inet 192.168.7.100/24 scope global", ""),
        ("inet 192.168.7.101/24 scope global", "secondary"),
    ] {
        let mut lines = addresses.lines().map(str::trim);
        let found = lines.any(|line| line.starts_with(start) && line.contains(rest));
        ensure!(found, "no `{start} … {rest}` in\n{addresses}");
    }
    let first = addresses
        .lines()
        .find(|line| line.contains("192.168.7.100"));
    ensure!(
        first.is_some_and(|line| !line.contains("secondary")),
        "{addresses}"
    );
    let routes = host.sh("ip route")?;
    ensure!(
        routes.contains("default via 192.168.7.1 dev eth0"),
        "{routes}"
    );
    Ok(())
}

#[test]
fn the_master_has_both_addresses_and_the_route_also_beside_a_keepalived_in_either_role() {
    for stacks in PAIRS {
        lab::test(NEEDS, |lab| {
            let mut routers = Routers::start(lab, stacks)?;
            routers.wait_for_master(0)?;

            let cut = Instant::now();
            routers.machines[0].port.cut()?;
            let taken = wait_for_address(&routers.machines[1].host, VIPS[0], SOON)?;
            within("after the cut", cut, taken, Duration::from_millis(3610))?;
            wait_for("the new master", SOON, || {
                has_all(&routers.machines[1].host)
            })?;
            routers.machines[0].port.mend()?;
            routers.wait_for_master(0)?;

            let stopped = Instant::now();
            routers.electors[0].terminate()?;
            let taken = wait_for_address(&routers.machines[1].host, VIPS[0], SOON)?;
            within("after the stop", stopped, taken, Duration::from_millis(610))?;
            routers.electors[0].wait_for_end()?;
            routers.wait_for_master(1)?;
            routers.electors[0].run()?;
            routers.wait_for_master(0).map(drop)
        });
    }
}
