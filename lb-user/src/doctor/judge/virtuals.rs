//! The addresses that only balancers may have.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::datapath::link;
use crate::{
    config::{
        Config,
        model::{Family, RouteTarget},
    },
    doctor::{
        check::Judgement,
        facts::{Claim, Facts},
    },
    net::nexthop::Tables,
    types::Mac,
};

pub(in crate::doctor) fn duplicate_address(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.need(&facts.network);
    let servers = real_servers(facts);
    for claim in &facts.claims {
        let Some(holders) = judgement.need(&claim.holders) else {
            continue;
        };
        // A real server among them is another trap.
        let others: Vec<_> = holders
            .iter()
            .filter(|m| !servers.contains_key(m))
            .collect();
        if others.len() + usize::from(claim.ours) < 2 {
            continue;
        }
        let names: Vec<_> = others.iter().map(ToString::to_string).collect();
        let us = if claim.ours { "this host and " } else { "" };
        judgement.found(format!(
            "{} on `{}`: {us}{}",
            claim.address,
            claim.interface,
            names.join(", ")
        ));
    }
    judgement
}

pub(in crate::doctor) fn vip_on_real_server(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    judgement.need(&facts.network);
    let servers = real_servers(facts);
    for claim in &facts.claims {
        let Some(holders) = judgement.need(&claim.holders) else {
            continue;
        };
        for mac in holders {
            if let Some(addresses) = servers.get(mac) {
                let Claim {
                    address, interface, ..
                } = claim;
                let who = who(config, addresses);
                judgement.found(format!("{address} on `{interface}`: {mac}, that is {who}"));
            }
        }
    }
    judgement
}

pub(in crate::doctor) fn address_unowned(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    let virtuals: BTreeSet<IpAddr> = config
        .vrrp_instances
        .iter()
        .flat_map(|instance| &instance.virtual_addresses)
        .map(|address| address.vip.addr())
        .collect();
    for service in &config.services {
        if !virtuals.contains(&service.address) && !tables.is_own(service.address) {
            judgement.found(format!(
                "service `{}`: {} is of no instance and not on this host",
                service.name, service.address
            ));
        }
    }
    judgement
}

pub(in crate::doctor) fn address_outside(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let Some(tables) = judgement.need(&facts.network) else {
        return judgement;
    };
    for instance in &config.vrrp_instances {
        for address in &instance.virtual_addresses {
            let vip = address.vip;
            let name = address.interface.as_ref().unwrap_or(&instance.interface);
            let alone = vip.prefix() == if vip.addr().is_ipv4() { 32 } else { 128 };
            let Some(link) = link(tables, name).filter(|_| alone) else {
                continue;
            };
            let covered = tables.addresses.values().any(|own| {
                own.interface == link.index && own.address != vip.addr() && own.covers(vip.addr())
            });
            if !covered {
                judgement.found(format!(
                    "instance `{}`: {vip} is in no network of `{name}`",
                    instance.name
                ));
            }
        }
    }
    judgement
}

pub(in crate::doctor) fn default_route(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    for instance in &config.vrrp_instances {
        for route in &instance.virtual_routes {
            if route.to != RouteTarget::Default {
                continue;
            }
            let family = route.via.map_or(instance.family, Family::of);
            let [v4, v6] = &facts.host.default_routes;
            let routes = if family == Family::V4 { v4 } else { v6 };
            let Some(routes) = judgement.need(routes) else {
                continue;
            };
            // While master, one of them is the virtual one.
            if !routes.iter().any(|gateway| *gateway != route.via) {
                let name = &instance.name;
                judgement.found(format!(
                    "instance `{name}` brings the only {family} default route of this host"
                ));
            }
        }
    }
    judgement
}

/// The backends' stations: who has which Ethernet address.
fn real_servers(facts: &Facts) -> BTreeMap<Mac, BTreeSet<IpAddr>> {
    let mut servers = BTreeMap::<Mac, BTreeSet<IpAddr>>::new();
    let Ok(tables) = &facts.network else {
        return servers;
    };
    for (key, answer) in &facts.stations {
        for mac in answer.iter().flatten() {
            // A router on the way may well be the master of another virtual router.
            if is_on_link(tables, key.address) {
                servers.entry(*mac).or_default().insert(key.address);
            }
        }
    }
    servers
}

/// Whether the address was asked for as itself, and not as somebody's router.
fn is_on_link(tables: &Tables, address: IpAddr) -> bool {
    tables.routes.contains_key(&address)
        && tables
            .neighbour_of(address)
            .is_some_and(|key| key.address == address)
}

fn who(config: &Config, addresses: &BTreeSet<IpAddr>) -> String {
    let backends = config.services.iter().flat_map(|service| &service.backends);
    let names: BTreeSet<String> = backends
        .filter(|backend| addresses.contains(&backend.address))
        .map(|backend| format!("`{}` ({})", backend.name, backend.address))
        .collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
