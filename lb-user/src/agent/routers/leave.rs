//! What a new configuration does not have any more. Pure.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    config::{Config, model::VrrpInstance},
    types::InstanceName,
    vrrp::engine::Setup,
};

/// The routers between two configurations: those of the new one, with what the old one had already; and
/// the addresses that go. `None` if none goes, nor any router.
pub(super) fn split(
    old: &Config,
    new: &Config,
) -> Option<(Setup, BTreeSet<(InstanceName, IpAddr)>)> {
    let goes: BTreeSet<_> = held(old).difference(&held(new)).cloned().collect();
    let names = |config: &Config| -> BTreeSet<InstanceName> {
        let all = config.vrrp_instances.iter();
        all.map(|instance| instance.name.clone()).collect()
    };
    if goes.is_empty() && names(old).is_subset(&names(new)) {
        return None;
    }
    let (held, names) = (held(old), names(old));
    let stays = new.vrrp_instances.iter();
    let stays = stays.filter(|instance| names.contains(&instance.name));
    let instances: Vec<VrrpInstance> = stays
        .cloned()
        .map(|mut instance| {
            let name = instance.name.clone();
            instance
                .virtual_addresses
                .retain(|address| held.contains(&(name.clone(), address.vip.addr())));
            instance
        })
        .collect();
    let mut groups = new.vrrp_sync_groups.clone();
    for group in &mut groups {
        group.members.retain(|name| names.contains(name));
    }
    groups.retain(|group| !group.members.is_empty());
    Some((Setup { instances, groups }, goes))
}

/// Each with its router: an address that moves from one to another is given up in between.
fn held(config: &Config) -> BTreeSet<(InstanceName, IpAddr)> {
    let all = config.vrrp_instances.iter();
    all.flat_map(|instance| {
        let addresses = instance.virtual_addresses.iter();
        addresses.map(|address| (instance.name.clone(), address.vip.addr()))
    })
    .collect()
}
