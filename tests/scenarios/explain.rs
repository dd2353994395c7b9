//! `ballast explain` tells where a flow really goes.

use anyhow::{Context as _, ensure};
use lb_tests::{
    ballast::Forwarding::{DirectRouting, Tunnel},
    client::Connection,
    topology::VIP,
};

use crate::support::{SOON, on_site};

/// Ports of one client, one flow each.
const FLOWS: std::ops::Range<u16> = 20_000..21_000;

#[test]
fn explain_names_the_backend_that_then_gets_the_flow() {
    on_site(&[DirectRouting, DirectRouting, Tunnel], |site| {
        let mut config = site.config.clone();
        for (backend, weight) in config.services[0].backends.iter_mut().zip([1, 3, 6]) {
            backend.weight = weight;
        }
        site.reload(config)?;
        let client = site.net.client.v4;
        let mut seen = std::collections::BTreeMap::<String, u32>::new();
        for port in FLOWS {
            let told = site
                .agent
                .explain((client.into(), port), (VIP.into(), 80))?;
            let told = told["backend"]
                .as_str()
                .context("explain names no backend")?
                .to_owned();
            let reply = site
                .get()
                .from((client, port))
                .send(&site.net.client.host)?;
            ensure!(
                reply.server == told,
                "port {port}: explain said {told}, {} answered",
                reply.server
            );
            *seen.entry(told).or_default() += 1;
        }
        // Weights 1 : 3 : 6 of 1000, with room for chance (four standard deviations).
        for (name, low, high) in [("web1", 60, 140), ("web2", 240, 360), ("web3", 535, 665)] {
            let count = seen.get(name).copied().unwrap_or(0);
            ensure!(
                (low..=high).contains(&count),
                "{name} got {count} of 1000: {seen:?}"
            );
        }
        Ok(())
    });
}

#[test]
fn explain_says_when_a_flow_is_of_no_service() {
    on_site(&[DirectRouting], |site| {
        let told = site
            .agent
            .explain((site.net.client.v4.into(), 1234), (VIP.into(), 81))?;
        ensure!(
            told["verdict"] == "pass" && told["backend"].is_null(),
            "{told}"
        );
        Ok(())
    });
}

#[test]
fn explain_tells_of_a_moved_slot_and_of_the_flow_that_is_remembered() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        let get = site.get().limit(SOON);
        let client = site.net.client.host.clone();
        let mut open = client.run(|| Connection::open(&get))?;
        let source = open.source()?;
        let flow = (source.ip(), source.port());
        let before = site.agent.explain(flow, (VIP.into(), 80))?;
        ensure!(before["decided_by"] == "owner", "{before}");
        ensure!(before["moved"].is_null(), "{before}");
        let first = before["backend"].as_str().context("no backend")?.to_owned();
        let second = if first == "web1" { "web2" } else { "web1" };

        // Its slot moves: the backend takes no new flows.
        let mut config = site.config.clone();
        for service in &mut config.services {
            for backend in &mut service.backends {
                backend.weight = u16::from(backend.name == second);
            }
        }
        site.reload(config)?;
        let told = site.agent.explain(flow, (VIP.into(), 80))?;
        ensure!(
            told["moved"]["from"] == first.as_str() && told["moved"]["to"] == second,
            "{told}"
        );
        // Were it a new one.
        ensure!(told["backend"] == second, "{told}");

        open.request()?;
        let told = site.agent.explain(flow, (VIP.into(), 80))?;
        ensure!(
            told["backend"] == first.as_str() && told["decided_by"] == "remembered",
            "{told}"
        );
        let reason = told["reason"].as_str().context("no reason")?;
        let parts = [
            format!("slot {} of", told["slot"]),
            format!("s ago from {first} to {second}"),
            format!("remembered on {first} until "),
        ];
        for part in parts {
            ensure!(reason.contains(&part), "no {part:?} in {reason:?}");
        }
        // 15 minutes while it is open, half a minute after its FIN.
        let left = told["remembered"]["seconds_left"].as_u64();
        ensure!(left.is_some_and(|left| (1..=902).contains(&left)), "{told}");
        ensure!(open.finish()?.server == first);
        Ok(())
    });
}
