//! S0, the NAT variation: a pair of gateways from the published file, `FloatIP01` inside and an address
//! outside beside it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{Agent, wait_for_backend},
    capture::Capture,
    client::Get,
    imported::{fixture, import, replaced},
    lab::Lab,
    netns::Host,
    pair::has_address,
    topology::{Network, Nic, VIP},
    wait::wait_for,
    web::Web,
};

use crate::{
    ipvsadm,
    support::{Gateway, SOON, in_lab},
};

/// The web servers' way out.
const INSIDE: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 125);
const SERVICE: &str = "tcp-10.0.0.125-80";

/// The published file with the changes that its text describes for NAT.
fn conf(number: usize) -> Result<String> {
    let text = fixture(&format!("s0-lb{number}"))?;
    let priority = 102 - number;
    let outside = format!(
        "vrrp_instance Outside {{\n   state MASTER\n   interface eth0\n   virtual_router_id 2\n   \
         priority {priority}\n   advert_int 1\n   virtual_ipaddress {{\n      {VIP}/24\n   }}\n}}\n"
    );
    let text = replaced(&text, "interface eth0", "interface eth1")?;
    let text = replaced(
        &text,
        "      FloatIP01\n",
        "      FloatIP01\n      Outside\n",
    )?;
    let text = replaced(&text, "lb_kind DR", "lb_kind NAT")?;
    let service = format!("virtual_server {VIP} 80");
    let text = replaced(&text, "virtual_server 172.16.0.125 80", &service)?;
    Ok(text + &outside)
}

struct Site {
    client: Host,
    client_port: lb_tests::topology::Port,
    gateways: [Gateway; 2],
    agents: [Option<Agent>; 2],
    _webs: [Web; 2],
}

impl Site {
    fn start(lab: &Lab) -> Result<Self> {
        let outside = Network::new(lab, "outside")?;
        let inside = Network::new(lab, "inside")?;
        let plug = |network: &Network, host: &Host, device: &str, address: &str| {
            let address: ipnet::IpNet = address.parse()?;
            network.connect(host, &Nic::new(device).address(address))
        };
        let client = lab.host("client")?;
        let client_port = plug(&outside, &client, "eth0", "10.0.0.44/24")?;
        let web = |number: u8| -> Result<Web> {
            let host = lab.host(&format!("Web{number}"))?;
            plug(
                &inside,
                &host,
                "eth0",
                &format!("172.16.0.{}/25", 100 + number),
            )?;
            host.sh(&format!("ip route add default via {INSIDE}"))?;
            Web::start(&host)
        };
        let gateway = |number: u8| -> Result<Gateway> {
            let host = lab.host(&format!("LB0{number}"))?;
            let front = plug(
                &outside,
                &host,
                "eth0",
                &format!("10.0.0.{}/24", 120 + number),
            )?;
            let back = plug(
                &inside,
                &host,
                "eth1",
                &format!("172.16.0.{}/25", 120 + number),
            )?;
            host.sysctl("net.ipv4.ip_forward", 1)?;
            Ok(Gateway {
                host,
                cables: [front, back],
            })
        };
        let mut site = Self {
            client,
            client_port,
            _webs: [web(1)?, web(2)?],
            gateways: [gateway(1)?, gateway(2)?],
            agents: [None, None],
        };
        for index in [0, 1] {
            let host = &site.gateways[index].host;
            let yaml = import(host, &conf(index + 1)?)?;
            site.agents[index] = Some(Agent::start(host, &yaml)?);
            site.wait_for_both(0)?;
        }
        Ok(site)
    }

    fn agent(&self, index: usize) -> Result<&Agent> {
        self.agents[index].as_ref().context("no power")
    }

    /// Waits until this gateway has both addresses; the other one, if it has power, none.
    fn wait_for_both(&self, index: usize) -> Result<()> {
        let what = format!("both addresses on gateway {index}");
        let has = |host: &Host| [VIP, INSIDE].map(|address| has_address(host, address.into()));
        wait_for(&what, SOON, || {
            let other = self.agents[1 - index].is_some();
            let others = other.then(|| has(&self.gateways[1 - index].host));
            has(&self.gateways[index].host) == [true; 2]
                && others.is_none_or(|others| others == [false; 2])
        })?;
        Ok(())
    }

    /// Who answers the client, which sticks to one server.
    fn answer(&self) -> Result<String> {
        let get = Get::new((VIP, 80)).limit(SOON);
        Ok(get.send(&self.client)?.server)
    }
}

#[test]
fn both_addresses_move_together_and_the_client_sees_only_the_one_outside() {
    in_lab(|lab| {
        let mut site = Site::start(lab)?;
        for web in ["172.16.0.101", "172.16.0.102"] {
            wait_for_backend(site.agent(0)?, SERVICE, web, "up", SOON)?;
        }
        let (switch, port) = site.client_port.tap();
        let capture = Capture::start(switch, port)?;
        let first = site.answer()?;
        ensure!(first.starts_with("Web"), "{first}");
        for _ in 0..4 {
            ensure!(
                site.answer()? == first,
                "the client did not stick to {first}"
            );
        }
        ipvsadm::equals_status(site.agent(0)?)?;
        let strangers: Vec<_> = capture
            .stop()?
            .into_iter()
            .filter_map(|(_, frame)| Some((frame.ip.first()?.src, frame.ports?)))
            .filter(|(source, ports)| ports.0 == 80 && *source != VIP)
            .collect();
        ensure!(strangers.is_empty(), "answers of {strangers:?}");

        site.gateways[0].power_off()?;
        site.agents[0] = None;
        site.wait_for_both(1)?;
        wait_for("an answer through LB02", SOON, || {
            site.answer().map_err(|error| format!("{error:#}"))
        })?;
        ipvsadm::equals_status(site.agent(1)?)
    });
}
