//! Who gets a new connection, by each scheduler's rule; and that no open one ever changes its backend.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{
        Config,
        Forwarding::{self, DirectRouting, Tunnel},
        from_status,
    },
    client::{Connection, Get},
    site::Site,
    topology::VIP,
    wait::wait_for,
};
use serde_json::Value;

use crate::support::{SOON, on_site};

const THREE: &[Forwarding] = &[DirectRouting, DirectRouting, DirectRouting];

#[test]
fn round_robin_takes_turns_exactly() {
    on_site(&[DirectRouting, Tunnel, DirectRouting], |site| {
        schedule(site, "rr", &[5, 1, 1])?;
        for _ in 0..3 {
            let names = answers(site, &site.get(), 3)?;
            ensure!(shares(&names).values().all(|n| *n == 1), "{names:?}");
        }
        let names = answers(site, &site.get6(), 30)?;
        ensure!(shares(&names).values().all(|n| *n == 10), "{names:?}");
        Ok(())
    });
}

#[test]
fn weighted_round_robin_gives_exact_shares() {
    on_site(THREE, |site| {
        schedule(site, "wrr", &[1, 2, 3])?;
        let names = answers(site, &site.get(), 60)?;
        let wanted = [("web1", 10), ("web2", 20), ("web3", 30)];
        assert_eq!(
            shares(&names),
            wanted.map(|(n, c)| (n.to_owned(), c)).into()
        );
        // Nobody has more than one turn beyond its share at a time.
        let heaviest = names.windows(4).filter(|w| w.iter().all(|n| n == "web3"));
        assert_eq!(heaviest.count(), 0, "{names:?}");
        // Weight 0: no new ones.
        schedule(site, "wrr", &[1, 0, 1])?;
        let names = answers(site, &site.get(), 20)?;
        let wanted = [("web1", 10), ("web3", 10)];
        assert_eq!(
            shares(&names),
            wanted.map(|(n, c)| (n.to_owned(), c)).into()
        );
        Ok(())
    });
}

/// 24 connections are open with `web1`; 48 more come to three backends with weights 1, 1, 2.
fn loaded(scheduler: &'static str, wanted: [usize; 3]) {
    on_site(THREE, move |site| {
        schedule(site, scheduler, &[1, 0, 0])?;
        let mut open = Open::default();
        open.more(site, 24)?;
        assert_eq!(open.shares(), [24, 0, 0]);
        wait_for_active(site, [24, 0, 0])?;
        schedule(site, scheduler, &[1, 1, 2])?;
        open.more(site, 48)?;
        let shares = open.shares();
        for (name, (found, wanted)) in NAMES.iter().zip(shares.into_iter().zip(wanted)) {
            // Those that came between a sweep and the sequence that followed it count a little late.
            ensure!(
                found.abs_diff(wanted) <= 3,
                "{name} has {found} connections of 72: {shares:?}, {wanted} were expected"
            );
        }
        open.all_finish()
    });
}

#[test]
fn least_connections_evens_out() {
    loaded("lc", [24, 24, 24]);
}

#[test]
fn weighted_least_connections_evens_out_by_weight() {
    loaded("wlc", [24, 16, 32]);
}

#[test]
fn shortest_expected_delay_evens_out_by_weight() {
    loaded("sed", [24, 16, 32]);
}

#[test]
fn never_queue_evens_out_by_weight() {
    loaded("nq", [24, 16, 32]);
}

#[test]
fn never_queue_fills_idle_backends_first() {
    on_site(THREE, |site| {
        schedule(site, "nq", &[1000, 1, 1])?;
        let mut open = Open::default();
        open.more(site, 3)?;
        assert_eq!(open.shares(), [1, 1, 1]);
        open.all_finish()
    });
}

#[test]
fn source_hashing_keeps_a_client_with_one_backend_whatever_its_port() {
    on_site(THREE, |site| {
        schedule(site, "sh", &[1, 1, 1])?;
        let mut seen = std::collections::BTreeSet::new();
        for client in sources(site, 24)? {
            let get = site.get().from((client, 0));
            let names = answers(site, &get, 5)?;
            ensure!(shares(&names).len() == 1, "{client}: {names:?}");
            let told = site.agent.explain((client, 9), (VIP.into(), 80))?;
            ensure!(told["backend"] == names[0].as_str(), "{told}");
            seen.extend(names);
        }
        ensure!(seen.len() == 3, "24 clients went to {seen:?} only");
        Ok(())
    });
}

#[test]
fn destination_hashing_keeps_a_service_with_one_backend() {
    on_site(THREE, |site| {
        schedule(site, "dh", &[1, 1, 1])?;
        let names = answers(site, &site.get(), 20)?;
        ensure!(shares(&names).len() == 1, "{names:?}");
        // And with another one once that is gone.
        let weights = [0, 1, 2].map(|n| u16::from(names[0] != NAMES[n]));
        schedule(site, "dh", &weights)?;
        let others = answers(site, &site.get(), 20)?;
        ensure!(
            shares(&others).len() == 1 && others[0] != names[0],
            "{others:?} after {names:?}"
        );
        Ok(())
    });
}

#[test]
fn open_connections_stay_through_new_weights_schedulers_reloads_and_a_kill() {
    on_site(THREE, |site| {
        let mut open = Open::default();
        schedule(site, "wrr", &[1, 2, 3])?;
        open.more(site, 12)?;
        assert_eq!(open.shares(), [2, 4, 6]);
        // In other directions, and back; `weight: 0` keeps what is there.
        for (scheduler, weights) in [
            ("wrr", [3, 2, 1]),
            ("wlc", [1, 0, 0]),
            ("rr", [1, 1, 1]),
            ("maglev", [1, 5, 1]),
            ("lc", [0, 1, 1]),
        ] {
            schedule(site, scheduler, &weights)?;
            open.go_on()?;
            open.more(site, 3)?;
        }
        site.agent.kill()?;
        open.some_finish()?;
        open.go_on()?;
        site.agent.run()?;
        open.go_on()?;
        schedule(site, "wrr", &[1, 1, 1])?;
        open.go_on()?;
        // A backend that is removed keeps what it has, too.
        let mut config = site.config.clone();
        for service in &mut config.services {
            service.backends.remove(0);
        }
        site.reload(config)?;
        let names = answers(site, &site.get(), 10)?;
        ensure!(!shares(&names).contains_key("web1"), "{names:?}");
        open.all_finish()
    });
}

#[test]
fn a_flow_of_a_killed_backend_goes_to_a_living_one() {
    on_site(THREE, |site| {
        schedule(site, "rr", &[1, 1, 1])?;
        answers(site, &site.get(), 3)?;
        let mut config = site.config.clone();
        for service in &mut config.services {
            service.health_check =
                "{ interval: 200ms, timeout: 200ms, retries: 0, tcp: {} }".to_owned();
        }
        site.reload(config)?;
        site.webs[1].process.kill()?;
        lb_tests::ballast::wait_for_backend(&site.agent, "web", "web2", "down", SOON)?;
        let names = answers(site, &site.get(), 20)?;
        let wanted = [("web1", 10), ("web3", 10)];
        assert_eq!(
            shares(&names),
            wanted.map(|(n, c)| (n.to_owned(), c)).into()
        );
        Ok(())
    });
}

#[test]
fn status_counts_what_is_remembered() {
    on_site(THREE, |site| {
        schedule(site, "rr", &[1, 1, 1])?;
        let mut open = Open::default();
        open.more(site, 9)?;
        wait_for_active(site, [3, 3, 3])?;
        let status = site.agent.status()?;
        let flows = &status["services"][0]["flows"];
        ensure!(flows["remembered"] == 9 && flows["inserts"] == 9, "{flows}");
        // Of each connection its SYN was a miss; at least the ACK after it was a hit.
        ensure!(flows["misses"] == 9, "{flows}");
        ensure!(flows["hits"].as_u64().is_some_and(|n| n >= 9), "{flows}");
        for other in ["evictions", "over_budget", "table_full", "to_previous"] {
            ensure!(flows[other] == 0, "{other} in {flows}");
        }
        let table = &status["datapath"]["connection_table"];
        ensure!(table["flows"] == 9 && table["places"] == 4 << 20, "{table}");
        let screen = String::from_utf8(site.agent.ballast(&["status"])?.stdout)?;
        ensure!(screen.contains("9 flows remembered"), "{screen}");

        let dump = site
            .net
            .lb
            .host
            .sh("bpftool map dump pinned /sys/fs/bpf/ballast/flow_stats")?;
        ensure!(dump.contains("over_budget"), "no field names: {dump}");
        open.all_finish()
    });
}

const NAMES: [&str; 3] = ["web1", "web2", "web3"];

/// Gives both services a scheduler, and their backends weights.
fn schedule(site: &mut Site, scheduler: &str, weights: &[u16]) -> Result<()> {
    let mut config: Config = site.config.clone();
    for service in &mut config.services {
        service.extra = vec![format!("scheduler: {scheduler}")];
        for (backend, weight) in service.backends.iter_mut().zip(weights) {
            backend.weight = *weight;
        }
    }
    site.reload(config)
}

/// Who answers, one request after another.
fn answers(site: &Site, get: &Get, count: usize) -> Result<Vec<String>> {
    site.net.client.host.run(|| {
        let one = |_| Ok(get.send_here()?.server);
        (0..count).map(one).collect()
    })
}

fn shares(names: &[String]) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for name in names {
        *shares.entry(name.clone()).or_default() += 1;
    }
    shares
}

/// More addresses for the client's host.
fn sources(site: &Site, count: u8) -> Result<Vec<IpAddr>> {
    let [a, b, c, _] = site.net.client.v4.octets();
    let addresses: Vec<IpAddr> = (0..count).map(|n| [a, b, c, 200 + n].into()).collect();
    for address in &addresses {
        let client = &site.net.client.host;
        client.sh(&format!("ip addr add {address}/32 dev eth0"))?;
    }
    Ok(addresses)
}

/// Connections that are open, and who they are with.
#[derive(Default)]
struct Open {
    connections: Vec<(Connection, SocketAddr, String)>,
}

impl Open {
    /// Opens some more.
    fn more(&mut self, site: &Site, count: usize) -> Result<()> {
        let get = site.get().limit(SOON * 10);
        for _ in 0..count {
            let connection = site.net.client.host.run(|| Connection::open(&get))?;
            let source = connection.source()?;
            let with = told(site, source)?;
            self.connections.push((connection, source, with));
        }
        Ok(())
    }

    fn shares(&self) -> [usize; 3] {
        let all = || self.connections.iter();
        NAMES.map(|name| all().filter(|(_, _, with)| with == name).count())
    }

    /// Sends a part of a request on two of three; the others are silent to the end.
    fn go_on(&mut self) -> Result<()> {
        let connections = self.connections.iter_mut().enumerate();
        for (_, (connection, _, _)) in connections.filter(|(n, _)| n % 3 != 0) {
            connection.send_header("X-Still: here\r\n")?;
        }
        Ok(())
    }

    /// Brings a third of them to their end.
    fn some_finish(&mut self) -> Result<()> {
        let rest = self.connections.split_off(self.connections.len() / 3);
        let connections = std::mem::replace(&mut self.connections, rest);
        Self { connections }.all_finish()
    }

    /// The rest of a request on each, and its answer from whom it was with.
    fn all_finish(self) -> Result<()> {
        for (mut connection, source, with) in self.connections {
            connection.request()?;
            let reply = connection.finish()?;
            ensure!(
                reply.server == with,
                "{source} was with {with}, and {} answered",
                reply.server
            );
        }
        Ok(())
    }
}

/// Who has a flow, by `explain`.
fn told(site: &Site, source: SocketAddr) -> Result<String> {
    let told = site
        .agent
        .explain((source.ip(), source.port()), (VIP.into(), 80))?;
    let backend = told["backend"].as_str().context("no backend")?;
    Ok(backend.to_owned())
}

/// Waits until a sweep has found so many connections with each.
fn wait_for_active(site: &Site, wanted: [u64; 3]) -> Result<()> {
    let what = format!("{wanted:?} active flows");
    wait_for(&what, SOON, || -> Result<()> {
        let status = site.agent.status()?;
        let found = active(&status)?;
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })?;
    Ok(())
}

fn active(status: &Value) -> Result<Vec<u64>> {
    ensure!(!from_status(status)?.is_empty());
    let backends = status["services"][0]["backends"].as_array();
    let backends = backends.context("no backends")?;
    let active = |backend: &Value| backend["flows"]["active"].as_u64().context("no flows");
    backends.iter().map(active).collect()
}

#[test]
fn persistence_keeps_a_client_with_its_backend_and_a_network_too() {
    on_site(THREE, |site| {
        persist(site, "rr", "{ timeout: 50s }")?;
        let clients = sources(site, 6)?;
        let mut homes = Vec::new();
        for client in &clients {
            let names = answers(site, &site.get().from((*client, 0)), 5)?;
            ensure!(shares(&names).len() == 1, "{client}: {names:?}");
            homes.push(names[0].clone());
        }
        // The first flows took turns.
        ensure!(shares(&homes).values().all(|n| *n == 2), "{homes:?}");
        let told = site.agent.explain((clients[0], 9), (VIP.into(), 80))?;
        ensure!(
            told["decided_by"] == "client" && told["backend"] == homes[0].as_str(),
            "{told}"
        );
        // A restart and a reload in the middle; what is drained keeps its clients.
        site.agent.kill()?;
        site.agent.run()?;
        for backend in &mut site.config.services[0].backends {
            backend.weight = u16::from(backend.name != homes[0]);
        }
        site.reload(site.config.clone())?;
        for (client, home) in clients.iter().zip(&homes) {
            let names = answers(site, &site.get().from((*client, 0)), 3)?;
            ensure!(
                names.iter().all(|name| name == home),
                "{names:?}, not {home}"
            );
        }
        // The whole network is one client.
        persist(site, "wrr", "{ timeout: 50s, prefix_length: 24 }")?;
        let one = |client: &IpAddr| answers(site, &site.get().from((*client, 0)), 1);
        let names: Vec<_> = clients.iter().map(one).collect::<Result<_>>()?;
        ensure!(shares(&names.concat()).len() == 1, "{names:?}");
        Ok(())
    });
}

#[test]
fn a_client_whose_backend_is_removed_gets_another_and_its_open_flow_stays() {
    on_site(THREE, |site| {
        persist(site, "maglev", "{ timeout: 50s }")?;
        let mut open = Open::default();
        open.more(site, 1)?;
        let home = open.connections[0].2.clone();
        let names = answers(site, &site.get(), 3)?;
        ensure!(
            names.iter().all(|name| *name == home),
            "{names:?}, not {home}"
        );
        let mut config = site.config.clone();
        for service in &mut config.services {
            service.backends.retain(|backend| backend.name != home);
        }
        site.reload(config)?;
        let names = answers(site, &site.get(), 5)?;
        ensure!(
            shares(&names).len() == 1 && names[0] != home,
            "{names:?} after {home}"
        );
        open.all_finish()
    });
}

#[test]
fn persistence_ends_when_nothing_of_a_client_was_seen_for_its_time() {
    on_site(THREE, |site| {
        persist(site, "rr", "{ timeout: 2s }")?;
        let first = answers(site, &site.get(), 2)?;
        let clients = |site: &Site| -> Result<Value> {
            Ok(site.agent.status()?["services"][0]["flows"]["clients"].clone())
        };
        wait_for("the client to be swept", SOON, || -> Result<()> {
            // Once it was counted, or never again.
            let flows = site.agent.status()?["datapath"]["connection_table"].clone();
            let swept = clients(site)? == 0 && !flows["age_seconds"].is_null();
            ensure!(swept, "{flows}");
            let told = site
                .agent
                .explain((site.net.client.v4.into(), 9), (VIP.into(), 80))?;
            ensure!(told["decided_by"] == "turn", "{told}");
            Ok(())
        })?;
        let then = answers(site, &site.get(), 2)?;
        ensure!(
            shares(&first).len() == 1 && shares(&then).len() == 1 && first != then,
            "{first:?}, then {then:?}"
        );
        Ok(())
    });
}

/// Gives both services a scheduler and persistence; IPv6 keeps its own default prefix.
fn persist(site: &mut Site, scheduler: &str, persistence: &str) -> Result<()> {
    let mut config: Config = site.config.clone();
    for service in &mut config.services {
        service.extra = vec![
            format!("scheduler: {scheduler}"),
            format!("persistence: {persistence}"),
        ];
    }
    site.reload(config)
}
