//! S1: three addresses on whichever of two hosts has a living HAProxy.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    client::Get,
    haproxy,
    imported::{Elector, Machine, fixture, replaced},
    lab::{self, Lab},
    pair::{Stack, has_address},
    process::Process,
    require::Need,
    topology::Network,
    vrrp::instances,
    wait::wait_for,
};

use super::{PAIRS, SOON, wait_for_address, wait_until_without, within};
use crate::doctor;

const SITES: [(Ipv4Addr, &str); 3] = [
    (Ipv4Addr::new(10, 0, 0, 1), "foo.example.com"),
    (Ipv4Addr::new(10, 0, 0, 2), "bar.example.com"),
    (Ipv4Addr::new(10, 0, 0, 3), "baz.example.com"),
];
const NEEDS: &[Need] = &[
    Need::Program("haproxy"),
    Need::Program("killall"),
    Need::Program("keepalived"),
];

struct Vms {
    client: Machine,
    machines: [Machine; 2],
    proxies: [Option<Process>; 2],
    electors: [Elector; 2],
}

impl Vms {
    fn start(lab: &Lab, stacks: [Stack; 2]) -> Result<Self> {
        let network = Network::new(lab, "switch")?;
        let plug = |name: &str, number: u8| {
            let address = format!("10.0.0.{number}/24");
            Machine::plug(lab, &network, name, "eth0", &address)
        };
        let machines = [plug("VM1", 11)?, plug("VM2", 12)?];
        let first = fixture("s1-vm1")?;
        // The page: the same file, but for these two.
        let second = replaced(&first, "state MASTER", "state BACKUP")?;
        let second = replaced(&second, "priority 101 ", "priority 100 ")?;
        let proxies = [
            Some(haproxy::start(&machines[0].host, &SITES)?),
            Some(haproxy::start(&machines[1].host, &SITES)?),
        ];
        let electors = [
            Elector::start(stacks[0], &machines[0].host, &first)?,
            Elector::start(stacks[1], &machines[1].host, &second)?,
        ];
        Ok(Self {
            client: plug("client", 44)?,
            machines,
            proxies,
            electors,
        })
    }

    /// Waits until one has all addresses and the other none; returns when the first was there.
    fn wait_for_holder(&self, holder: usize, limit: Duration) -> Result<Instant> {
        let all = SITES.map(|(address, _)| IpAddr::from(address));
        let host = &self.machines[holder].host;
        let first = wait_for_address(host, all[0], limit)?;
        for address in all {
            wait_for_address(host, address, SOON)?;
        }
        wait_until_without(&self.machines[1 - holder].host, &all, SOON)?;
        Ok(first)
    }

    fn wait_for_priority(&self, index: usize, priority: u8) -> Result<()> {
        let Some(agent) = self.electors[index].agent() else {
            return Ok(());
        };
        wait_for("the effective priority", SOON, || {
            let routers = instances(agent)?;
            ensure!(routers[0].effective_priority == priority, "{routers:?}");
            Ok(())
        })?;
        Ok(())
    }

    /// Each site at its address.
    fn sites_answer(&self) -> Result<()> {
        for (address, site) in SITES {
            let reply = wait_for(site, SOON, || {
                Get::new((address, 80)).send(&self.client.host)
            })?;
            assert_eq!(String::from_utf8_lossy(&reply.body), site);
        }
        Ok(())
    }
}

#[test]
fn the_host_with_a_living_haproxy_has_the_addresses() {
    for stacks in PAIRS {
        lab::test(NEEDS, |lab| plays(&mut Vms::start(lab, stacks)?));
    }
}

#[test]
fn a_firewall_that_drops_protocol_112_is_found_by_the_doctor() {
    let needs = [NEEDS, &[Need::Program("nft")]].concat();
    lab::test(&needs, |lab| {
        let vms = Vms::start(lab, [Stack::Ballast; 2])?;
        vms.wait_for_holder(0, SOON)?;
        let host = &vms.machines[1].host;
        let agent = vms.electors[1].agent().context("not Ballast")?;
        let found = || -> Result<bool> {
            let examined = doctor::examine(host, agent.config())?;
            Ok(examined.has("vrrp-filtered"))
        };
        ensure!(!found()?, "found before there was a firewall");
        host.sh("nft add table inet filter")?;
        host.sh(
            "nft add chain inet filter input { type filter hook input priority 0 ; policy drop ; }",
        )?;
        host.sh("nft add rule inet filter input meta l4proto { tcp, icmp } accept")?;
        // Deaf, it takes the addresses as well.
        wait_for_address(host, SITES[0].0.into(), SOON)?;
        ensure!(found()?, "not found");
        host.sh("nft insert rule inet filter input ip protocol 112 accept")?;
        vms.wait_for_holder(0, SOON)?;
        ensure!(!found()?, "still found");
        Ok(())
    });
}

fn plays(vms: &mut Vms) -> Result<()> {
    vms.wait_for_holder(0, SOON)?;
    vms.wait_for_priority(0, 103)?;
    vms.wait_for_priority(1, 102)?;
    let shown = vms.machines[0].host.sh("ip address show dev eth0")?;
    ensure!(shown.contains("10.0.0.1/32"), "{shown}");
    vms.sites_answer()?;

    let killed = Instant::now();
    vms.proxies[0] = None;
    let taken = vms.wait_for_holder(1, SOON)?;
    // The script's interval, and three of VRRP and the skew.
    within(
        "the takeover",
        killed,
        taken,
        Duration::from_millis(2000 + 3600),
    )?;
    vms.wait_for_priority(0, 101)?;
    vms.sites_answer()?;

    vms.proxies[0] = Some(haproxy::start(&vms.machines[0].host, &SITES)?);
    vms.wait_for_holder(0, SOON)?;
    vms.wait_for_priority(0, 103)?;
    vms.sites_answer()?;

    // Dead on both: the first keeps the addresses, once the second's points are gone, too.
    vms.proxies[1] = None;
    vms.wait_for_priority(1, 100)?;
    vms.proxies[0] = None;
    vms.wait_for_priority(0, 101)?;
    vms.wait_for_holder(0, SOON)?;
    ensure!(!has_address(&vms.machines[1].host, SITES[0].0.into()));
    Ok(())
}
