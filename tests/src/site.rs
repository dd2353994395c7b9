//! A running site: clients, a balancer with its agent, real servers with nginx. Most scenarios and
//! the demo begin here.

use std::net::IpAddr;

use anyhow::Result;

use crate::{
    ballast::{Agent, Backend, Config, Forwarding, Service},
    client::Get,
    lab::Lab,
    realserver,
    topology::{Node, OneLb, VIP, VIP6, one_lb},
    web::Web,
};

/// [`OneLb`] at work. Services `web` (IPv4) and `web6` (IPv6) on port 80, backends `web1`, `web2`, ….
#[derive(Debug)]
pub struct Site {
    /// The agent on the balancer.
    pub agent: Agent,
    /// What it was started with.
    pub config: Config,
    /// The machines.
    pub net: OneLb,
    /// nginx on each real server.
    pub webs: Vec<Web>,
}

impl Site {
    /// Starts everything; one web server for each of `forwarding`.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn start(lab: &Lab, forwarding: &[Forwarding]) -> Result<Self> {
        let mut site = Self::prepare(lab, forwarding)?;
        site.agent.run()?;
        Ok(site)
    }

    /// The same without starting the agent.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn prepare(lab: &Lab, forwarding: &[Forwarding]) -> Result<Self> {
        let net = one_lb(lab, forwarding.len())?;
        let balancers = [net.lb.v4.into(), net.lb.v6.into()];
        let mut webs = Vec::new();
        for (node, forwarding) in net.webs.iter().zip(forwarding) {
            real_server(node, *forwarding, &balancers)?;
            webs.push(Web::start(&node.host)?);
        }
        let config = config(&net.webs, forwarding);
        let agent = Agent::prepare(&net.lb.host, &config.to_string())?;
        Ok(Self {
            agent,
            config,
            net,
            webs,
        })
    }

    /// A request to the IPv4 virtual address.
    pub fn get(&self) -> Get {
        Get::new((VIP, 80))
    }

    /// A request to the IPv6 virtual address.
    pub fn get6(&self) -> Get {
        Get::new((VIP6, 80))
    }

    /// Writes `config` and reloads.
    ///
    /// # Errors
    /// When the reload is refused.
    pub fn reload(&mut self, config: Config) -> Result<()> {
        self.agent.write_config(&config.to_string())?;
        self.config = config;
        self.agent.reload()
    }
}

/// Makes a node a real server.
///
/// # Errors
/// When a setting is refused.
pub fn real_server(node: &Node, forwarding: Forwarding, balancers: &[IpAddr]) -> Result<()> {
    let vips = [VIP.into(), VIP6.into()];
    match forwarding {
        Forwarding::DirectRouting => realserver::direct_routing(&node.host, &vips),
        Forwarding::Tunnel => realserver::tunnel(&node.host, &vips, balancers),
    }
}

fn config(webs: &[Node], forwarding: &[Forwarding]) -> Config {
    let mut web = Service::new("web", VIP, 80);
    let mut web6 = Service::new("web6", VIP6, 80);
    for (node, forwarding) in webs.iter().zip(forwarding) {
        let name = node.host.name();
        web = web.backend(Backend::new(name, node.v4, *forwarding));
        web6 = web6.backend(Backend::new(name, node.v6, *forwarding));
    }
    Config::on(&["eth0"]).service(web).service(web6)
}
