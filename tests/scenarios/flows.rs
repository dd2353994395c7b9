//! Thousands of connections that last, while everything an operator can do happens to their service.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    ballast::{
        Backend, Config,
        Forwarding::{DirectRouting, Tunnel},
        Service, wait_for_backend,
    },
    fleet::{Answering, Fleet},
    lab::Lab,
    pair::{Pair, Setup},
    site::Site,
    topology::{Node, VIP},
    wait::wait_for,
};
use serde_json::Value;

use crate::support::{BALLAST, SOON, front, in_lab, on_pair};

#[test]
fn nothing_but_a_dead_backend_breaks_one_of_2000_connections() {
    in_lab(|lab| {
        let mut busy = Busy::start(lab)?;
        busy.grows_and_shrinks()?;
        busy.is_reloaded_a_hundred_times()?;
        busy.loses_its_agent()?;
        busy.loses_a_server()?;
        busy.loses_its_agent()?;
        busy.nothing_else_broke()
    });
}

#[test]
fn a_failover_with_equal_health_breaks_none_of_2000_connections() {
    on_pair(Setup::new(BALLAST, front).web(&FORWARDING), |pair| {
        let servers = start_servers(&pair.net.webs)?;
        // The other one has had a past of its own: other servers, in another order, and a crash.
        let mut past = webs_service(pair);
        past.backends.reverse();
        past.backends.pop();
        reload(pair, 1, past)?;
        let agent = &mut pair.balancer_mut(1)?.agent;
        agent.kill()?;
        agent.run()?;
        for index in [0, 1] {
            let service = webs_service(pair);
            reload(pair, index, service)?;
        }
        for index in [0, 1] {
            all_up(pair, index)?;
            settled(pair, index)?;
        }
        pair.wait_for_master(0, SOON)?;
        let fleet = Fleet::open(&pair.net.client.host, target(RING), FLEET)?;
        ensure!(fleet.living().len() == FORWARDING.len());
        pair.power_off(0)?;
        fleet.wait_for_round(LONG)?;
        ensure!(broken(&[&fleet]).is_empty(), "{:?}", broken(&[&fleet]));
        drop(servers);
        Ok(())
    });
}

/// Two services, one that goes by its ring and one that takes turns, and their clients.
struct Busy {
    site: Site,
    servers: Vec<Option<Answering>>,
    fleets: Vec<Fleet>,
    /// Those that were killed: connections to them may break.
    dead: BTreeSet<u8>,
}

impl Busy {
    fn start(lab: &Lab) -> Result<Self> {
        let mut site = Site::prepare(lab, &FORWARDING)?;
        let servers = start_servers(&site.net.webs)?;
        let webs = &site.net.webs[..FORWARDING.len() - 1];
        site.config = Config::on(&["eth0"])
            .service(service(webs, RING, "maglev"))
            .service(service(webs, TURNS, "wlc"));
        site.agent.write_config(&site.config.to_string())?;
        site.agent.run()?;
        for web in webs {
            up(&site, web, "up")?;
        }
        let mut busy = Self {
            servers: servers.into_iter().map(Some).collect(),
            site,
            fleets: Vec::new(),
            dead: BTreeSet::new(),
        };
        busy.more(RING, FLEET)?;
        busy.more(TURNS, FLEET / 4)?;
        for fleet in &busy.fleets {
            ensure!(fleet.living().len() == webs.len(), "{:?}", fleet.living());
        }
        Ok(busy)
    }

    /// New connections, which have to go on, too.
    fn more(&mut self, port: u16, count: usize) -> Result<()> {
        let client = &self.site.net.client.host;
        self.fleets.push(Fleet::open(client, target(port), count)?);
        Ok(())
    }

    /// The configuration with a change in both services.
    fn change(&mut self, what: &str, change: impl Fn(&mut Service)) -> Result<()> {
        let mut config = self.site.config.clone();
        config.services.iter_mut().for_each(change);
        self.site.reload(config)?;
        self.more(RING, 50)?;
        self.more(TURNS, 20)?;
        self.goes_on().with_context(|| what.to_owned())
    }

    fn grows_and_shrinks(&mut self) -> Result<()> {
        let webs = self.site.net.webs.clone();
        let last = webs.len() - 1;
        self.change("a backend is added", |service| {
            service.backends.push(backend(&webs, last));
        })?;
        up(&self.site, &webs[last], "up")?;
        self.change("a backend is removed", |service| {
            service.backends.remove(0);
        })?;
        self.change("a backend is drained", |service| {
            service.backends[0].weight = 0;
        })?;
        self.change("weights change", |service| {
            service.backends[1].weight = 5;
            service.backends[2].weight = 2;
        })?;
        self.change("the ring grows", |service| {
            service.extra.push("ring_size: 16381".to_owned());
        })?;
        self.change("all is as it was", |service| {
            *service = self::service(&webs, service.port, scheduler(service.port));
        })
    }

    fn is_reloaded_a_hundred_times(&mut self) -> Result<()> {
        for number in 0..100u16 {
            let mut config = self.site.config.clone();
            for service in &mut config.services {
                let count = service.backends.len();
                service.backends[usize::from(number) % count].weight = 1 + number % 7;
                service.backends.rotate_left(1);
            }
            self.site.reload(config)?;
        }
        self.goes_on().context("a hundred reloads")
    }

    fn loses_its_agent(&mut self) -> Result<()> {
        self.site.agent.kill()?;
        self.goes_on().context("there is no agent")?;
        self.site.agent.run()?;
        self.more(RING, 50)?;
        self.goes_on().context("the agent is back")
    }

    fn loses_a_server(&mut self) -> Result<()> {
        let web = self.site.net.webs[1].clone();
        self.dead.insert(1);
        self.servers[1] = None;
        up(&self.site, &web, "down")?;
        self.more(RING, 50)?;
        self.goes_on().context("a server died")?;
        self.servers[1] = Some(answering(&self.site.net.webs, 1)?);
        up(&self.site, &web, "up")?;
        self.more(RING, 50)?;
        self.goes_on().context("the server is back")
    }

    /// Every connection has been heard of since.
    fn goes_on(&self) -> Result<()> {
        for fleet in &self.fleets {
            fleet.wait_for_round(LONG)?;
        }
        self.nothing_else_broke()
    }

    fn nothing_else_broke(&self) -> Result<()> {
        let fleets: Vec<&Fleet> = self.fleets.iter().collect();
        let mut broken = broken(&fleets);
        broken.retain(|server, _| !self.dead.contains(server));
        ensure!(broken.is_empty(), "broken connections: {broken:?}");
        Ok(())
    }
}

/// Broken connections by server: how many, and what happened to the first.
fn broken(fleets: &[&Fleet]) -> BTreeMap<u8, (usize, String)> {
    let mut servers = BTreeMap::new();
    for broken in fleets.iter().flat_map(|fleet| fleet.broken()) {
        let first = || (0, broken.to_string());
        servers.entry(broken.server).or_insert_with(first).0 += 1;
    }
    servers
}

fn start_servers(webs: &[Node]) -> Result<Vec<Answering>> {
    (0..webs.len()).map(|web| answering(webs, web)).collect()
}

/// The server on one of `webs`, on the ports of both services.
fn answering(webs: &[Node], web: usize) -> Result<Answering> {
    let name = u8::try_from(web)?;
    Answering::start(&webs[web].host, &[RING, TURNS], name)
}

fn service(webs: &[Node], port: u16, scheduler: &str) -> Service {
    let service = Service::new(&format!("flows{port}"), VIP, port)
        .health_check(CHECK)
        .yaml(&format!("scheduler: {scheduler}"));
    let backends = (0..webs.len()).map(|web| backend(webs, web));
    backends.fold(service, Service::backend)
}

fn scheduler(port: u16) -> &'static str {
    if port == RING { "maglev" } else { "wlc" }
}

fn backend(webs: &[Node], web: usize) -> Backend {
    let Node { host, v4, .. } = &webs[web];
    Backend::new(host.name(), *v4, FORWARDING[web])
}

fn up(site: &Site, web: &Node, state: &str) -> Result<()> {
    for service in &site.config.services {
        let name = web.host.name();
        wait_for_backend(&site.agent, &service.name, name, state, SOON)?;
    }
    Ok(())
}

/// The service of the pair, with a grace time that a test can wait for.
fn webs_service(pair: &Pair<'_>) -> Service {
    service(&pair.net.webs, RING, "maglev").yaml("grace: 2s")
}

fn reload(pair: &mut Pair<'_>, index: usize, service: Service) -> Result<()> {
    let config = pair.config(index).service(service);
    let agent = &pair.balancer(index)?.agent;
    agent.write_config(&config.to_string())?;
    agent.reload()
}

/// Waits until no slot of a balancer has moved lately.
fn settled(pair: &Pair<'_>, index: usize) -> Result<()> {
    let agent = &pair.balancer(index)?.agent;
    wait_for("every slot to be settled", SOON, || {
        let status = agent.status()?;
        let services = status["services"].as_array().context("no services")?;
        let moved = |service: &Value| service["moved_slots"].as_u64().unwrap_or(0);
        let moved: u64 = services.iter().map(moved).sum();
        ensure!(moved == 0, "{moved} slots have moved lately");
        Ok(())
    })?;
    Ok(())
}

fn all_up(pair: &Pair<'_>, index: usize) -> Result<()> {
    let agent = &pair.balancer(index)?.agent;
    for web in &pair.net.webs {
        let service = format!("flows{RING}");
        wait_for_backend(agent, &service, web.host.name(), "up", SOON)?;
    }
    Ok(())
}

fn target(port: u16) -> SocketAddr {
    SocketAddr::from((VIP, port))
}

const FORWARDING: [lb_tests::ballast::Forwarding; 4] =
    [DirectRouting, DirectRouting, Tunnel, DirectRouting];
/// The port of the service that goes by its ring.
const RING: u16 = 7001;
/// The port of the service that takes turns.
const TURNS: u16 = 7002;
/// Connections at first; more come with each change.
const FLEET: usize = 2000;
const CHECK: &str = "{ interval: 200ms, timeout: 1s, retries: 2, retry_delay: 50ms, tcp: {} }";
/// For a round of all connections, some of which may be retransmitting, on a machine that stalls.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);
