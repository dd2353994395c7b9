//! The published direct-routing pair (setup S0), as its how-to has it: two balancers with what
//! `ballast import` makes of its two keepalived.conf, two web servers, a client, one network.

use std::{fs, net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    ballast::{Agent, wait_for_backend},
    client::Get,
    imported::{Machine, SLACK, SOON, fixture, import},
    lab::Lab,
    netns::Host,
    pair::has_address,
    realserver::{direct_routing, realserver},
    require::Need,
    topology::Network,
    wait::wait_for,
    web::Web,
};

/// The virtual address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 125);
/// What `import` calls the service.
pub const SERVICE: &str = "tcp-172.16.0.125-80";
/// What `import` calls the backends: the hosts `Web1` and `Web2`.
pub const WEBS: [&str; 2] = ["172.16.0.101", "172.16.0.102"];
/// What it takes.
pub const NEEDS: &[Need] = &[Need::Program("nginx")];

/// All of it.
#[derive(Debug)]
pub struct HowTo {
    network: Network,
    /// 172.16.0.44
    pub client: Machine,
    /// `LB01` and `LB02`.
    pub lbs: [Machine; 2],
    /// `Web1` and `Web2`.
    pub webs: [Machine; 2],
    /// What serves there.
    pub pages: [Option<Web>; 2],
    /// What runs on the balancers; `None`: without power.
    pub agents: [Option<Agent>; 2],
}

impl HowTo {
    /// Starts everything, with web servers as `ballast realserver up` leaves them; LB01 is master then.
    ///
    /// # Errors
    /// When something does not come up.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::with(lab, |host| {
            direct_routing(host, &[VIP.into()])?;
            realserver(host, "check", &[VIP.into()], &[]).map(drop)
        })
    }

    /// `real_server` is what is done on the web servers.
    ///
    /// # Errors
    /// When something does not come up.
    pub fn with(lab: &Lab, real_server: impl Fn(&Host) -> Result<()>) -> Result<Self> {
        let network = Network::new(lab, "switch")?;
        let plug = |name: &str, number: u8| {
            let address = format!("172.16.0.{number}/25");
            Machine::plug(lab, &network, name, "eth0", &address)
        };
        let mut pair = Self {
            client: plug("client", 44)?,
            lbs: [plug("LB01", 121)?, plug("LB02", 122)?],
            webs: [plug("Web1", 101)?, plug("Web2", 102)?],
            network,
            pages: [None, None],
            agents: [None, None],
        };
        for (web, page) in pair.webs.iter().zip(&mut pair.pages) {
            real_server(&web.host)?;
            *page = Some(Web::start(&web.host)?);
        }
        for index in [0, 1] {
            pair.run(index)?;
        }
        pair.wait_for_holder(0)?;
        Ok(pair)
    }

    /// Imports a balancer's file and runs Ballast with it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn run(&mut self, index: usize) -> Result<()> {
        let host = &self.lbs[index].host;
        let yaml = import(host, &Self::conf(index)?)?;
        self.agents[index] = Some(Agent::start(host, &yaml)?);
        Ok(())
    }

    /// The keepalived.conf of a balancer.
    ///
    /// # Errors
    /// When the fixture is not there.
    pub fn conf(index: usize) -> Result<String> {
        fixture(&format!("s0-lb{}", index + 1))
    }

    /// Power off: host, agent and cable.
    ///
    /// # Errors
    /// When it does not die.
    pub fn power_off(&mut self, index: usize) -> Result<()> {
        self.lbs[index].power_off()?;
        self.agents[index] = None;
        Ok(())
    }

    /// Another LB01 in its place.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn replace_first(&mut self, lab: &Lab) -> Result<()> {
        self.lbs[0] = Machine::plug(lab, &self.network, "LB01", "eth0", "172.16.0.121/25")?;
        self.run(0)
    }

    /// The agent of a balancer.
    ///
    /// # Errors
    /// When it has no power.
    pub fn agent(&self, index: usize) -> Result<&Agent> {
        self.agents[index].as_ref().context("no power")
    }

    /// A request to the virtual address.
    pub fn get(&self) -> Get {
        Get::new((VIP, 80))
    }

    /// Who answers so many new connections, in order.
    ///
    /// # Errors
    /// When one is not answered.
    pub fn answers(&self, count: usize) -> Result<Vec<String>> {
        let one = |_| Ok(self.get().send(&self.client.host)?.server);
        (0..count).map(one).collect()
    }

    /// Waits until one balancer has the virtual address and the other one has not.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_for_holder(&self, index: usize) -> Result<()> {
        let holds = [0, 1].map(|lb| lb == index);
        wait_for(&format!("{VIP} on LB0{}", index + 1), SOON, || {
            holds == [0, 1].map(|lb| has_address(&self.lbs[lb].host, VIP.into()))
        })?;
        Ok(())
    }

    /// Waits until LB01 says that a web server is `up` or `down`.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub fn wait_for_state(&self, web: usize, state: &str, limit: Duration) -> Result<()> {
        wait_for_backend(self.agent(0)?, SERVICE, WEBS[web], state, limit + SLACK)
    }

    /// Reloads LB01 with its file but for the lines about persistence: the how-to's pages alternate then.
    ///
    /// # Errors
    /// When there are none, or the reload is refused.
    pub fn forget_clients(&self) -> Result<()> {
        let agent = self.agent(0)?;
        let yaml = fs::read_to_string(agent.config())?;
        let is_kept = |line: &&str| !line.contains("persistence");
        let lines: Vec<&str> = yaml.lines().filter(is_kept).collect();
        anyhow::ensure!(lines.len() < yaml.lines().count(), "no persistence in it");
        agent.write_config(&(lines.join("\n") + "\n"))?;
        agent.reload()
    }
}
