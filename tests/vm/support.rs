//! What the tests share: a balancer between two networks, and web servers behind it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Result;
use ipnet::Ipv4Net;
use lb_tests::{
    client::{Get, Load},
    lab::{self, Lab},
    netns::Host,
    require::Need,
    topology::{Network, Nic, Port, VIP},
    wait::wait_for,
    web::Web,
};

/// A limit for things that take no time; an emulated machine takes its time.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Where the web servers listen.
pub(crate) const WEB_PORT: u16 = 8080;

/// The balancer's address among the web servers.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// Runs a test in an empty lab.
pub(crate) fn in_lab(body: impl FnOnce(&Lab) -> Result<()>) {
    let needs = [
        Need::Ipvs,
        Need::Program("nginx"),
        Need::Program("curl"),
        Need::Program("ipvsadm"),
        Need::Program("nft"),
    ];
    lab::test(&needs, body);
}

/// `client` in front (10.0.0.0/24), web servers behind (10.1.0.0/24).
pub(crate) struct Site {
    pub(crate) front: Network,
    pub(crate) back: Network,
    pub(crate) client: Host,
    pub(crate) webs: Vec<Web>,
    pub(crate) web_hosts: Vec<Host>,
}

impl Site {
    /// Web servers with `gateway` as the way to everywhere.
    pub(crate) fn new(lab: &Lab, webs: u8, gateway: Ipv4Addr) -> Result<Self> {
        let front = Network::new(lab, "front")?;
        let back = Network::new(lab, "back")?;
        let client = lab.host("client")?;
        connect(&front, &client, "eth0", Ipv4Addr::new(10, 0, 0, 44))?;
        let mut site = Self {
            front,
            back,
            client,
            webs: Vec::new(),
            web_hosts: Vec::new(),
        };
        for n in 1..=webs {
            let host = lab.host(&format!("web{n}"))?;
            connect(&site.back, &host, "eth0", web_address(n))?;
            host.sh(&format!("ip route add default via {gateway}"))?;
            site.webs.push(Web::start_on(&host, WEB_PORT)?);
            site.web_hosts.push(host);
        }
        Ok(site)
    }

    /// A balancer with `eth0` in front and `eth1` behind.
    pub(crate) fn balancer(&self, lab: &Lab, name: &str, number: u8) -> Result<Host> {
        self.gateway(lab, name, number).map(|gateway| gateway.host)
    }

    /// The same with its cables, to be pulled.
    pub(crate) fn gateway(&self, lab: &Lab, name: &str, number: u8) -> Result<Gateway> {
        let host = lab.host(name)?;
        let front = connect(&self.front, &host, "eth0", Ipv4Addr::new(10, 0, 0, number))?;
        let back = connect(&self.back, &host, "eth1", Ipv4Addr::new(10, 1, 0, number))?;
        Ok(Gateway {
            host,
            cables: [front, back],
        })
    }

    /// Expects requests to the virtual address to be answered, all of them, by exactly `names`.
    pub(crate) fn all_answer(&self, names: &[&str]) -> Result<()> {
        let get = Get::new((VIP, 80)).limit(Duration::from_secs(20));
        let report = Load::burst(&self.client, &get, 2, 12 * names.len())?;
        report.answered_by(names)
    }

    /// Waits until [`all_answer`](Self::all_answer) holds.
    pub(crate) fn wait_for_answers(&self, names: &[&str]) -> Result<()> {
        let what = format!("answers from {names:?}");
        wait_for(&what, SOON, || {
            self.all_answer(names).map_err(|error| format!("{error:#}"))
        })?;
        Ok(())
    }
}

/// A balancer between two networks.
pub(crate) struct Gateway {
    pub(crate) host: Host,
    pub(crate) cables: [Port; 2],
}

impl Gateway {
    /// Nothing of it is heard any more.
    pub(crate) fn power_off(&self) -> Result<()> {
        self.cables.iter().try_for_each(Port::cut)?;
        self.host.kill_power()?;
        self.cables.iter().try_for_each(Port::unplug)
    }
}

/// The address of `webN`.
pub(crate) fn web_address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, 100 + n)
}

/// Plugs `host` in with an address of a /24.
pub(crate) fn connect(
    network: &Network,
    host: &Host,
    device: &str,
    address: Ipv4Addr,
) -> Result<Port> {
    let nic = Nic::new(device).address(Ipv4Net::new(address, 24)?);
    network.connect(host, &nic)
}

/// The virtual address on the balancer's front side.
pub(crate) fn own_vip(balancer: &Host) -> Result<()> {
    balancer
        .sh(&format!("ip address add {VIP}/32 dev eth0"))
        .map(drop)
}

/// A document's backends: `webN` with its port, and weights.
pub(crate) fn backends(weights: &[u16], port: u16) -> String {
    let lines = (1..).zip(weights).map(|(n, weight)| {
        let address: IpAddr = web_address(n).into();
        format!("      - {{ name: web{n}, address: {address}, port: {port}, weight: {weight} }}\n")
    });
    lines.collect()
}
