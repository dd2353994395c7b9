//! The real servers and the ways to them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use crate::{
    config::{
        Config,
        model::{Backend, Forwarding, Protocol},
    },
    doctor::{
        check::Judgement,
        facts::{Answer, Facts, Server},
    },
    net::{NextHop, Unresolved, nexthop::Tables, route::RouteAnswer},
};

pub(in crate::doctor) fn next_hop(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    for (address, who) in targets(config) {
        match lost(tables, facts, address) {
            Ok(None) => {}
            Ok(Some(why)) => judgement.found(format!("{who}: {why}")),
            Err(unknown) => judgement.unknown(format!("{who}: {unknown}")),
        }
    }
    judgement
}

/// Why an address cannot be reached. Who answers now counts for more than what the kernel remembers.
fn lost(tables: &Tables, facts: &Facts, address: IpAddr) -> Result<Option<String>, String> {
    let asked = tables
        .neighbour_of(address)
        .and_then(|key| Some((key, facts.stations.get(&key)?)));
    let seen = tables.next_hop(address);
    let waits = matches!(
        &seen,
        NextHop::Unresolved {
            reason: Unresolved::NeighbourIncomplete { .. } | Unresolved::NeighbourFailed { .. }
        } | NextHop::Resolved { .. }
    );
    match (seen, asked) {
        (_, Some((_, Ok(macs)))) if waits && !macs.is_empty() => Ok(None),
        (_, Some((key, Ok(_)))) if waits => Ok(Some(format!(
            "{} does not answer ARP or neighbour discovery",
            key.address
        ))),
        (_, Some((_, Err(why)))) if waits => Err(why.to_string()),
        (NextHop::Unresolved { reason }, _) => Ok(Some(reason.to_string())),
        (NextHop::Resolved { .. } | NextHop::Local, _) => Ok(None),
    }
}

pub(in crate::doctor) fn routed(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    let mut told = BTreeSet::new();
    for backend in backends(config, Forwarding::DirectRouting) {
        if let Some(RouteAnswer::Unicast {
            gateway: Some(router),
            ..
        }) = tables.routes.get(&backend.address)
            && told.insert(backend.address)
        {
            let Backend { name, address, .. } = backend;
            judgement.found(format!("backend `{name}` ({address}) is behind {router}"));
        }
    }
    judgement
}

pub(in crate::doctor) fn tunnel_mtu(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    // Clients send what fits their own network, hardly ever more than Ethernet's 1500.
    let arriving = config.datapath.interfaces.iter();
    let arriving = arriving.filter_map(|name| super::datapath::link(tables, name));
    let arriving = arriving.map(|link| link.mtu).max().unwrap_or(ETHERNET);
    let arriving = arriving.min(ETHERNET);
    let mut told = BTreeSet::new();
    for backend in backends(config, Forwarding::Tunnel) {
        let address = backend.address;
        let Some(RouteAnswer::Unicast { interface, mtu, .. }) = tables.routes.get(&address) else {
            continue;
        };
        let Some(link) = tables.links.get(interface) else {
            continue;
        };
        let mtu = mtu.map_or(link.mtu, |route| route.min(link.mtu));
        let outer = if address.is_ipv4() { IPV4 } else { IPV6 };
        if mtu < arriving + outer && told.insert(address) {
            let (name, fits) = (&backend.name, mtu.saturating_sub(outer));
            judgement.found(format!(
                "backend `{name}` ({address}): packets of {arriving} bytes arrive, {fits} fit an MTU of {mtu}"
            ));
        }
    }
    judgement
}

pub(in crate::doctor) fn vip_missing(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.need(&facts.network);
    for server in &facts.servers {
        let at_vip = judgement.need(&server.at_vip).copied();
        if at_vip != Some(Answer::Silence) {
            continue;
        }
        let what = format!("{} does not answer for {}", who(server), server.vip);
        match judgement.need(&server.at_own) {
            Some(Answer::Silence) => {
                judgement.unknown(format!("{what}, but not for its own address either"));
            }
            // A filter may well drop TCP where only UDP is served.
            Some(_) if server.protocol == Protocol::Udp => {
                judgement.unknown(format!("{what}, asked by TCP for a UDP service"));
            }
            Some(_) => judgement.found(format!("{what} (service `{}`)", server.service)),
            None => {}
        }
    }
    judgement
}

pub(in crate::doctor) fn vip_refused(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.need(&facts.network);
    for server in &facts.servers {
        if server.protocol == Protocol::Udp {
            continue;
        }
        let own = SocketAddr::new(server.address, server.vip.port());
        let answers = (
            judgement.need(&server.at_vip),
            judgement.need(&server.at_own),
        );
        if let (Some(Answer::Refused), Some(Answer::Accepted)) = answers {
            let (who, vip) = (who(server), server.vip);
            judgement.found(format!("{who} refuses connections to {vip}, {own} accepts"));
        }
    }
    judgement
}

fn who(server: &Server) -> String {
    format!("backend `{}` ({})", server.backend, server.address)
}

fn backends(config: &Config, forwarding: Forwarding) -> impl Iterator<Item = &Backend> {
    let all = config.services.iter().flat_map(|service| &service.backends);
    all.filter(move |backend| backend.forwarding == forwarding)
}

/// Everybody that packets go to, once, and what to call him.
pub(in crate::doctor) fn targets(config: &Config) -> Vec<(IpAddr, String)> {
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for service in &config.services {
        let backends = service.backends.iter();
        let named = backends.map(|b| (b.address, format!("backend `{}` ({})", b.name, b.address)));
        let fallback = service.fallback.as_ref().map(|f| {
            let name = format!("fallback {} of `{}`", f.address, service.name);
            (f.address, name)
        });
        for (address, name) in named.chain(fallback) {
            if seen.insert(address) {
                targets.push((address, name));
            }
        }
    }
    targets
}

/// The MTU of Ethernet, in bytes.
const ETHERNET: u32 = 1500;
/// An outer header, in bytes.
const IPV4: u32 = 20;
/// The same for IPv6.
const IPV6: u32 = 40;
