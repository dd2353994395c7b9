//! Pure: what leads from the kernel's table to the one that is wanted, in an order that never takes
//! away more than it must: real servers and services are added and changed before others are removed.
//!
//! Only services that are [owned](super::owned) are changed or removed. A wanted one that is there and not
//! ours is a [`Conflict`], and the others go on.

use std::collections::BTreeSet;

use super::{
    table::{ServiceKey, Table},
    wire::Request,
};

/// A wanted service that somebody else has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "IPVS has a service {0} that ballast did not make, and leaves it alone; remove it with `ipvsadm -D`"
)]
pub struct Conflict(pub ServiceKey);

/// What to do, and what cannot be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub requests: Vec<Request>,
    /// By key.
    pub conflicts: Vec<Conflict>,
}

/// What leads from `present` to `wanted`, if the services in `owned` are ours.
#[must_use]
pub fn diff(present: &Table, wanted: &Table, owned: &BTreeSet<ServiceKey>) -> Plan {
    let mut plan = Plan::default();
    let mut removals = Vec::new();
    for (key, service) in wanted {
        let Some(there) = present.get(key) else {
            plan.requests
                .push(Request::AddService(*key, service.settings.clone()));
            for (destination_key, destination) in &service.destinations {
                plan.requests.push(Request::AddDestination(
                    *key,
                    *destination_key,
                    *destination,
                ));
            }
            continue;
        };
        if !owned.contains(key) {
            plan.conflicts.push(Conflict(*key));
            continue;
        }
        if there.settings != service.settings {
            plan.requests
                .push(Request::SetService(*key, service.settings.clone()));
        }
        for (destination_key, destination) in &service.destinations {
            let (service, server, wanted) = (*key, *destination_key, *destination);
            match there.destinations.get(destination_key) {
                None => plan
                    .requests
                    .push(Request::AddDestination(service, server, wanted)),
                Some(there) if *there != wanted => plan
                    .requests
                    .push(Request::SetDestination(service, server, wanted)),
                Some(_) => {}
            }
        }
        let gone = there.destinations.keys();
        let gone = gone.filter(|server| !service.destinations.contains_key(server));
        removals.extend(gone.map(|server| Request::RemoveDestination(*key, *server)));
    }
    plan.requests.append(&mut removals);
    let gone = present
        .keys()
        .filter(|key| owned.contains(key) && !wanted.contains_key(key));
    plan.requests
        .extend(gone.map(|key| Request::RemoveService(*key)));
    plan
}

#[cfg(test)]
mod tests;
