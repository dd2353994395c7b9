//! The engine as others see it.

use std::time::Instant;

use super::{
    super::{
        machine::{Heard, Role},
        view::{GroupView, MasterView, RouterView, View},
    },
    Engine, Place,
};

impl Engine {
    pub(super) fn view(&self, now: Instant) -> View {
        let groups = self.setup.groups.iter().filter_map(|group| {
            let mut units = self.units.values();
            let unit = units.find(|unit| unit.name.as_ref() == Some(&group.name))?;
            Some(GroupView {
                name: group.name.clone(),
                role: unit.group.role(),
                members: group.members.clone(),
            })
        });
        View {
            routers: self
                .places
                .iter()
                .filter_map(|place| self.router_view(*place, now))
                .collect(),
            groups: groups.collect(),
            unclaimed: self.unclaimed.clone(),
            ordinary_scheduling: self.ordinary_scheduling.clone(),
        }
    }

    fn router_view(&self, place: Place, now: Instant) -> Option<RouterView> {
        let unit = self.units.get(&place.unit)?;
        let router = unit.routers.get(place.member)?;
        let machine = unit.group.machine(place.member);
        let instance = &router.instance;
        let heard = |heard: Heard| MasterView {
            address: heard.source,
            ours: false,
            priority: heard.priority,
            advert_age: now.saturating_duration_since(heard.at),
        };
        let ours = || {
            Some(MasterView {
                address: router.source?,
                ours: true,
                priority: router.priority(),
                advert_age: machine
                    .last_advert()
                    .map_or_else(Default::default, |at| now.saturating_duration_since(at)),
            })
        };
        let master = match machine.role() {
            Role::Master => ours(),
            Role::Backup => machine.heard().map(heard),
            Role::Initialize | Role::Fault => None,
        };
        let mut faults: Vec<String> = router
            .effective
            .fault
            .iter()
            .map(ToString::to_string)
            .collect();
        if router.source.is_none() {
            faults.push(match instance.unicast_source {
                Some(source) => format!("this host has no address {source} (`unicast_source`)"),
                None => format!(
                    "{} has no {} address to speak from",
                    instance.interface, instance.family
                ),
            });
        }
        if machine.role() == Role::Fault && faults.is_empty() {
            faults.push("another member of its group is at fault".to_owned());
        }
        Some(RouterView {
            name: instance.name.clone(),
            interface: instance.interface.clone(),
            virtual_router_id: instance.virtual_router_id,
            role: machine.role(),
            reason: machine.reason(),
            priority: instance.priority,
            effective_priority: router.priority(),
            contributions: router.effective.contributions.clone(),
            faults,
            waiting: if unit.started {
                Vec::new()
            } else {
                router.effective.waiting.clone()
            },
            master,
            source: router.source,
            interval: instance.advertisement_interval,
            addresses: instance
                .virtual_addresses
                .iter()
                .map(|address| address.vip.addr())
                .collect(),
            differing_addresses: router.differing.clone(),
            transitions: router.transitions,
            last_transition: router.last_transition.clone(),
            trouble: router.trouble.clone(),
            counters: router.counters.clone(),
        })
    }
}
