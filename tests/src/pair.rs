//! Two balancers at work: real servers, a client, and on each balancer either Ballast with VRRP, or a
//! Ballast that only forwards beside a keepalived that moves the addresses.

mod role;
mod stray;

use std::{net::IpAddr, os::unix::fs::symlink};

use anyhow::{Context, Result};

use crate::{
    ballast::{Agent, Backend, Config, Forwarding, START_LIMIT, Service},
    gap::{ECHO_PORT, Echo},
    keepalived::Keepalived,
    lab::Lab,
    process::{Process, command},
    site::real_server,
    topology::{Node, VIP, VIP6, VrrpPair, vrrp_pair},
    vrrp::{TRACKED, VirtualRouter, keepalived_conf, vrrp_yaml},
    web::Web,
};

pub use role::{NOTIFY, has_address, notified};
pub use stray::Strays;

/// Who elects the master on a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Stack {
    /// Ballast forwards and elects.
    Ballast,
    /// Ballast forwards; keepalived elects.
    Keepalived,
}

impl Stack {
    /// As tables show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ballast => "ballast",
            Self::Keepalived => "keepalived",
        }
    }
}

/// What runs where.
#[derive(Clone, Debug)]
#[must_use]
pub struct Setup {
    /// On `lb1` and `lb2`.
    pub stacks: [Stack; 2],
    /// On `lb1` and `lb2`.
    pub routers: [Vec<VirtualRouter>; 2],
    /// More top-level YAML, the same on every Ballast that elects.
    pub yaml: String,
    /// The real servers.
    pub forwarding: Vec<Forwarding>,
    /// Whether they run nginx, too, for services `web` and, with a router for it, `web6` (80/tcp).
    pub web: bool,
    /// How web servers are checked.
    pub check: String,
    /// Whether keepalived logs.
    pub keepalived_logs: bool,
}

impl Setup {
    /// One virtual router with [`VIP`] on both balancers, and one real server; `router` is asked for
    /// each index.
    pub fn new(stacks: [Stack; 2], router: impl Fn(usize) -> VirtualRouter) -> Self {
        Self::many(stacks, |index| vec![router(index)])
    }

    /// The same with any number of virtual routers.
    pub fn many(stacks: [Stack; 2], routers: impl Fn(usize) -> Vec<VirtualRouter>) -> Self {
        Self {
            stacks,
            routers: [routers(0), routers(1)],
            yaml: String::new(),
            forwarding: vec![Forwarding::DirectRouting],
            web: false,
            check: "none".to_owned(),
            keepalived_logs: true,
        }
    }

    /// With more YAML for Ballast.
    pub fn yaml(mut self, yaml: &str) -> Self {
        self.yaml += yaml;
        self
    }

    /// With nginx on one real server for each of `forwarding`.
    pub fn web(mut self, forwarding: &[Forwarding]) -> Self {
        self.forwarding = forwarding.to_vec();
        self.web = true;
        self
    }

    /// With web servers checked like this (`health_check`).
    pub fn check(mut self, check: &str) -> Self {
        check.clone_into(&mut self.check);
        self
    }
}

/// The pair.
#[derive(Debug)]
pub struct Pair<'lab> {
    lab: &'lab Lab,
    /// What was asked for.
    pub setup: Setup,
    /// What runs on `lb1` and `lb2`; nothing does without power.
    balancers: [Option<Balancer>; 2],
    /// nginx on each real server, where asked for.
    pub webs: Vec<Web>,
    _echoes: Vec<Echo>,
    /// The machines.
    pub net: VrrpPair,
}

/// What runs on one balancer.
#[derive(Debug)]
pub struct Balancer {
    /// Forwards, and elects where its stack says so.
    pub agent: Agent,
    /// Elects where its stack says so.
    pub keepalived: Option<Keepalived>,
    /// The process that routers may track.
    pub tracked: Option<Process>,
}

impl<'lab> Pair<'lab> {
    /// Makes the machines and starts the real servers; nothing runs on the balancers yet.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn prepare(lab: &'lab Lab, setup: Setup) -> Result<Self> {
        let net = vrrp_pair(lab, setup.forwarding.len())?;
        let sources: Vec<IpAddr> = net
            .lbs
            .iter()
            .flat_map(|lb| [lb.v4.into(), lb.v6.into()])
            .collect();
        let (mut webs, mut echoes) = (Vec::new(), Vec::new());
        for (node, forwarding) in net.webs.iter().zip(&setup.forwarding) {
            real_server(node, *forwarding, &sources)?;
            echoes.push(Echo::start(&node.host, VIP.into())?);
            if setup.web {
                webs.push(Web::start(&node.host)?);
            }
        }
        let balancers = [
            Some(prepare(&setup, &net, 0)?),
            Some(prepare(&setup, &net, 1)?),
        ];
        Ok(Self {
            lab,
            setup,
            balancers,
            webs,
            _echoes: echoes,
            net,
        })
    }

    /// The same, with everything running; who is master is not waited for.
    ///
    /// # Errors
    /// When a part of it does not come up.
    pub fn start(lab: &'lab Lab, setup: Setup) -> Result<Self> {
        let mut pair = Self::prepare(lab, setup)?;
        pair.run(0)?;
        pair.run(1)?;
        Ok(pair)
    }

    /// Starts everything on a balancer.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn run(&mut self, index: usize) -> Result<()> {
        self.run_tracked(index)?;
        let Balancer {
            agent, keepalived, ..
        } = self.balancer_mut(index)?;
        agent.run()?;
        keepalived.as_mut().map_or(Ok(()), Keepalived::run)
    }

    /// The configuration of a balancer's agent.
    #[must_use]
    pub fn config(&self, index: usize) -> Config {
        config(&self.setup, &self.net.webs, index)
    }

    /// Cuts the power of a balancer.
    ///
    /// # Errors
    /// When it does not die.
    pub fn power_off(&mut self, index: usize) -> Result<()> {
        self.net.power_off(index)?;
        self.balancers[index] = None;
        Ok(())
    }

    /// Gives power again: a new machine in which everything is started.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn power_on(&mut self, index: usize) -> Result<()> {
        self.net.power_on(self.lab, index)?;
        self.balancers[index] = Some(prepare(&self.setup, &self.net, index)?);
        self.run(index)
    }

    /// SIGTERM to who elects. Returns at once.
    ///
    /// # Errors
    /// When it does not run.
    pub fn terminate(&mut self, index: usize) -> Result<()> {
        let Balancer {
            agent, keepalived, ..
        } = self.balancer_mut(index)?;
        match keepalived {
            Some(keepalived) => keepalived.terminate(),
            None => agent.process()?.signal(nix::sys::signal::Signal::SIGTERM),
        }
    }

    /// SIGTERM to who elects, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end as it should.
    pub fn stop(&mut self, index: usize) -> Result<()> {
        let Balancer {
            agent, keepalived, ..
        } = self.balancer_mut(index)?;
        keepalived
            .as_mut()
            .map_or_else(|| agent.stop(), Keepalived::stop)
    }

    /// Waits until who elects is gone, after [`Pair::terminate`].
    ///
    /// # Errors
    /// When it survives.
    pub fn wait_for_end(&mut self, index: usize) -> Result<()> {
        let Balancer {
            agent, keepalived, ..
        } = self.balancer_mut(index)?;
        match keepalived {
            Some(keepalived) => keepalived.wait_for_end(),
            None => agent.process()?.wait(START_LIMIT).map(drop),
        }
    }

    /// Starts again who elects, after [`Pair::stop`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn run_elector(&mut self, index: usize) -> Result<()> {
        let Balancer {
            agent, keepalived, ..
        } = self.balancer_mut(index)?;
        keepalived
            .as_mut()
            .map_or_else(|| agent.run(), Keepalived::run)
    }

    /// Starts the process that routers may track, if it is not there.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_tracked(&mut self, index: usize) -> Result<()> {
        let host = &self.net.lbs[index].host;
        // The kernel's name of a process is that of its file, here of the link.
        let program = host.dir().join(TRACKED);
        if !program.exists() {
            symlink("/bin/sleep", &program).context("cannot link to sleep")?;
        }
        if self.balancer(index)?.tracked.is_none() {
            let process = host.spawn(TRACKED, command(&program, ["infinity"]))?;
            self.balancer_mut(index)?.tracked = Some(process);
        }
        Ok(())
    }

    /// Kills the process that routers may track.
    ///
    /// # Errors
    /// When the balancer has no power.
    pub fn kill_tracked(&mut self, index: usize) -> Result<()> {
        self.balancer_mut(index)?.tracked = None;
        Ok(())
    }

    /// What runs on a balancer.
    ///
    /// # Errors
    /// When it has no power.
    pub fn balancer(&self, index: usize) -> Result<&Balancer> {
        self.balancers[index].as_ref().context(NO_POWER)
    }

    /// The same, to change it.
    ///
    /// # Errors
    /// When it has no power.
    pub fn balancer_mut(&mut self, index: usize) -> Result<&mut Balancer> {
        self.balancers[index].as_mut().context(NO_POWER)
    }
}

fn prepare(setup: &Setup, net: &VrrpPair, index: usize) -> Result<Balancer> {
    let host = &net.lbs[index].host;
    role::install_notify(host)?;
    let agent = Agent::prepare(host, &config(setup, &net.webs, index).to_string())?;
    let keepalived = match setup.stacks[index] {
        Stack::Ballast => None,
        Stack::Keepalived => {
            let mut routers = setup.routers[index].clone();
            for router in &mut routers {
                router.notify.get_or_insert_with(|| NOTIFY.into());
            }
            let conf = keepalived_conf(host.name(), &routers);
            let mut keepalived = Keepalived::prepare(host, &conf)?;
            keepalived.logs = setup.keepalived_logs;
            Some(keepalived)
        }
    };
    Ok(Balancer {
        agent,
        keepalived,
        tracked: None,
    })
}

fn config(setup: &Setup, webs: &[Node], index: usize) -> Config {
    let mut web = Service::new("web", VIP, 80).health_check(&setup.check);
    let mut web6 = Service::new("web6", VIP6, 80).health_check(&setup.check);
    let mut echo = Service::new("echo", VIP, ECHO_PORT);
    echo.protocol = "udp";
    for (node, forwarding) in webs.iter().zip(&setup.forwarding) {
        let backend = Backend::new(node.host.name(), node.v4, *forwarding);
        web = web.backend(backend.clone());
        web6 = web6.backend(Backend::new(node.host.name(), node.v6, *forwarding));
        echo = echo.backend(backend);
    }
    let mut config = Config::on(&["eth0"]);
    // Both balancers are on one machine here: what one frees when it dies must not hold up the other.
    config.ring_memory = Some("16MiB");
    config.connection_table_size = Some(1 << 16);
    if setup.web {
        config = config.service(web);
        let mut addresses = setup.routers[index].iter().flat_map(|r| &r.addresses);
        if addresses.any(|address| address.addr() == VIP6) {
            config = config.service(web6);
        }
    }
    config = config.service(echo);
    if setup.stacks[index] == Stack::Ballast {
        config.extra = vrrp_yaml(&setup.routers[index]) + &setup.yaml;
    }
    config
}

const NO_POWER: &str = "the balancer has no power";
