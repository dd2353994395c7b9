//! The virtual routers' network: what is heard on it, and whether we are.

use std::{collections::BTreeSet, net::IpAddr};

use super::datapath::link;
use crate::{
    config::{
        Config,
        model::{Family, VrrpInstance, VrrpVersion},
    },
    doctor::{
        check::Judgement,
        facts::{Facts, Heard},
        firewall::{Direction, Packet},
    },
    types::Priority,
    vrrp::{
        socket,
        wire::{Advert, Authentication},
    },
};

pub(in crate::doctor) fn no_multicast(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if !config.vrrp_instances.is_empty() {
        judgement.need(&facts.network);
    }
    for instance in &config.vrrp_instances {
        let device = facts.devices.get(&instance.interface);
        let Some(device) = device.filter(|_| instance.unicast.is_none()) else {
            continue;
        };
        if judgement.need(&device.multicast) == Some(&false) {
            let VrrpInstance {
                name, interface, ..
            } = instance;
            judgement.found(format!("instance `{name}`: `{interface}` has no MULTICAST"));
        }
    }
    judgement
}

pub(in crate::doctor) fn filtered(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if config.vrrp_instances.is_empty() {
        return judgement;
    }
    for unseen in &facts.firewall.unseen {
        judgement.unknown(unseen);
    }
    for instance in &config.vrrp_instances {
        for direction in [Direction::In, Direction::Out] {
            let destinations = match &instance.unicast {
                None => vec![Some(socket::multicast(instance.family))],
                Some(unicast) if direction == Direction::Out => {
                    unicast.peers.iter().copied().map(Some).collect()
                }
                Some(_) => vec![instance.unicast_source],
            };
            for destination in destinations {
                let packet = Packet {
                    direction,
                    interface: instance.interface.as_str(),
                    family: instance.family,
                    destination,
                };
                if let Some(rule) = facts.firewall.rules.dropped_by(&packet) {
                    let (name, way) = (&instance.name, direction.word());
                    judgement.found(format!("instance `{name}`, {way}: {rule}"));
                    break;
                }
            }
        }
    }
    judgement
}

pub(in crate::doctor) fn vrid_conflict(config: &Config, facts: &Facts) -> Judgement {
    each(config, facts, |instance, advert| {
        let ours = addresses(instance);
        let theirs: BTreeSet<IpAddr> = advert.addresses.iter().copied().collect();
        // Some share a part while a change is rolled out; then the two belong together.
        (!ours.is_empty() && !theirs.is_empty() && ours.is_disjoint(&theirs)).then(|| {
            let theirs: Vec<_> = theirs.iter().map(ToString::to_string).collect();
            format!("for {}", theirs.join(", "))
        })
    })
}

pub(in crate::doctor) fn version_mismatch(config: &Config, facts: &Facts) -> Judgement {
    each(config, facts, |instance, advert| {
        (related(instance, advert) && advert.version != instance.version).then(|| {
            let (theirs, ours) = (number(advert.version), number(instance.version));
            format!("in version {theirs}, ours is {ours}")
        })
    })
}

pub(in crate::doctor) fn password_mismatch(config: &Config, facts: &Facts) -> Judgement {
    each(config, facts, |instance, advert| {
        let ours = instance
            .authentication
            .as_ref()
            .map_or(Authentication::None, Authentication::simple);
        let concerned = related(instance, advert) && both_version_2(instance, advert);
        (concerned && ours != advert.authentication).then(|| {
            let with = |has: &Authentication| match has {
                Authentication::None => "no password",
                Authentication::Simple(_) => "a password",
            };
            match (&advert.authentication, &ours) {
                (Authentication::Simple(_), Authentication::Simple(_)) => {
                    "with another password".to_owned()
                }
                (theirs, ours) => format!("with {}, we have {}", with(theirs), with(ours)),
            }
        })
    })
}

pub(in crate::doctor) fn interval_mismatch(config: &Config, facts: &Facts) -> Judgement {
    each(config, facts, |instance, advert| {
        let concerned = related(instance, advert) && both_version_2(instance, advert);
        let (theirs, ours) = (advert.interval, instance.advertisement_interval);
        (concerned && theirs != ours).then(|| format!("every {theirs:?}, ours is {ours:?}"))
    })
}

pub(in crate::doctor) fn two_masters(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    for instance in &config.vrrp_instances {
        let Some(heard) = heard(&mut judgement, facts, instance) else {
            continue;
        };
        let senders: BTreeSet<IpAddr> = heard
            .filter(|(_, advert)| related(instance, advert) && advert.priority != Priority::RELEASE)
            .map(|(heard, _)| heard.source)
            .collect();
        let tables = facts.network.as_ref().ok();
        let held = addresses(instance);
        // Every one of them here: we are master, or somebody put them there by hand.
        let here = !held.is_empty()
            && tables.is_some_and(|tables| held.iter().all(|address| tables.is_own(*address)));
        if senders.len() + usize::from(here && !senders.is_empty()) < 2 {
            continue;
        }
        let senders: Vec<_> = senders.iter().map(ToString::to_string).collect();
        let us = if here {
            "this host has the addresses, and adverts come from "
        } else {
            ""
        };
        let name = &instance.name;
        judgement.found(format!("instance `{name}`: {us}{}", senders.join(", ")));
    }
    judgement
}

/// What `wrong` says about the adverts of each instance's number, once for each sender.
fn each(
    config: &Config,
    facts: &Facts,
    wrong: impl Fn(&VrrpInstance, &Advert) -> Option<String>,
) -> Judgement {
    let mut judgement = Judgement::default();
    for instance in &config.vrrp_instances {
        let Some(heard) = heard(&mut judgement, facts, instance) else {
            continue;
        };
        let mut told = BTreeSet::new();
        for (from, advert) in heard {
            if let Some(what) = wrong(instance, advert)
                && told.insert(from.source)
            {
                let VrrpInstance {
                    name,
                    interface,
                    virtual_router_id,
                    ..
                } = instance;
                judgement.found(format!(
                    "instance `{name}`: {} sends adverts of number {virtual_router_id} on `{interface}` {what}",
                    from.source
                ));
            }
        }
    }
    judgement
}

/// The adverts with the instance's number on its interface that no router brought here.
fn heard<'f>(
    judgement: &mut Judgement,
    facts: &'f Facts,
    instance: &'f VrrpInstance,
) -> Option<impl Iterator<Item = (&'f Heard, &'f Advert)> + use<'f>> {
    let tables = judgement.need(&facts.network)?;
    link(tables, &instance.interface)?;
    let key = (instance.interface.clone(), instance.family);
    let heard = judgement.need(facts.heard.get(&key)?)?;
    Some(heard.iter().filter_map(|heard| {
        let advert = heard.advert.as_ref().ok()?;
        let ours = advert.virtual_router_id == instance.virtual_router_id;
        let near = heard.ttl == 255 || instance.unicast.is_some();
        (ours && near && !tables.is_own(heard.source)).then_some((heard, advert))
    }))
}

/// An advert of our own virtual router: it has our number and some of our addresses.
fn related(instance: &VrrpInstance, advert: &Advert) -> bool {
    let ours = addresses(instance);
    let mut theirs = advert.addresses.iter();
    ours.is_empty() || advert.addresses.is_empty() || theirs.any(|a| ours.contains(a))
}

fn addresses(instance: &VrrpInstance) -> BTreeSet<IpAddr> {
    let addresses = instance.virtual_addresses.iter();
    addresses.map(|address| address.vip.addr()).collect()
}

fn both_version_2(instance: &VrrpInstance, advert: &Advert) -> bool {
    instance.version == VrrpVersion::V2
        && advert.version == VrrpVersion::V2
        && instance.family == Family::V4
}

fn number(version: VrrpVersion) -> u8 {
    match version {
        VrrpVersion::V2 => 2,
        VrrpVersion::V3 => 3,
    }
}
