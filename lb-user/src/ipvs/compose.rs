//! Pure: from services and the standing of their backends to IPVS's table.
//!
//! | ours | IPVS's |
//! |---|---|
//! | `maglev` | `mh` with `mh-port` and `mh-fallback`: by address and port, and past servers without weight. Its table has another size and hash than our ring: a flow's backend is another one, and it is the same on both balancers of a pair |
//! | `sh` | `sh` with `sh-fallback` |
//! | others | the scheduler of that name |
//! | a backend that is open | its weight, the operator's first |
//! | drained or closed (`weight_zero`, below quorum with a fallback) | weight 0 |
//! | out | no entry |
//! | `fallback` | a real server of weight 1, while it serves alone |

use std::{collections::BTreeMap, time::Duration};

use super::table::{self, Destination, DestinationKey, Flags, Method, Settings, TCP, Table, UDP};
use crate::{
    config::model::{Forwarding, Protocol, Scheduler, Service, ServiceKey},
    dataplane::compose::{Admission, Changes},
};

/// The table for `services`, with the same `changes` that XDP's rings are made of.
#[must_use]
pub fn compose<'a>(services: impl IntoIterator<Item = &'a Service>, changes: &Changes) -> Table {
    let services = services.into_iter();
    services
        .map(|service| (key(service.key()), entry(service, changes)))
        .collect()
}

/// What IPVS knows a service by.
#[must_use]
pub fn key(service: ServiceKey) -> table::ServiceKey {
    table::ServiceKey::Address {
        protocol: match service.protocol {
            Protocol::Tcp => TCP,
            Protocol::Udp => UDP,
        },
        address: service.address,
        port: service.port.get(),
    }
}

fn entry(service: &Service, changes: &Changes) -> table::Service {
    let change = |backend| {
        changes
            .get(&(service.key(), backend))
            .copied()
            .unwrap_or_default()
    };
    let fallback = service.fallback.as_ref();
    let alone = fallback.filter(|f| change(f.key()).admission == Admission::Alone);
    let mut destinations = BTreeMap::new();
    for backend in &service.backends {
        let change = change(backend.key());
        let weight = match change.admission {
            Admission::Out => continue,
            _ if alone.is_some() => 0,
            Admission::Open | Admission::Alone => change.weight.unwrap_or(backend.weight.get()),
            Admission::Drained | Admission::Closed => 0,
        };
        let key = DestinationKey {
            address: backend.address,
            port: backend.port.get(),
        };
        let destination = Destination {
            method: method(backend.forwarding),
            weight: weight.into(),
        };
        destinations.insert(key, destination);
    }
    if let Some(fallback) = alone {
        let key = DestinationKey {
            address: fallback.address,
            port: fallback.port.get(),
        };
        let destination = Destination {
            method: method(service.forwarding),
            weight: 1,
        };
        destinations.insert(key, destination);
    }
    table::Service {
        settings: settings(service),
        destinations,
    }
}

fn settings(service: &Service) -> Settings {
    let (scheduler, mut flags) = scheduler(service.scheduler);
    let whole = if service.address.is_ipv4() { 32 } else { 128 };
    let (timeout, prefix_length) = match service.persistence {
        None => (NO_TIMEOUT, whole),
        Some(persistence) => {
            flags = flags.with(Flags::PERSISTENT);
            (seconds(persistence.timeout), persistence.prefix_length)
        }
    };
    Settings {
        scheduler: scheduler.to_owned(),
        flags,
        timeout,
        prefix_length,
    }
}

/// IPVS's name of a scheduler, and its switches.
#[must_use]
pub fn scheduler(scheduler: Scheduler) -> (&'static str, Flags) {
    match scheduler {
        Scheduler::Maglev => ("mh", Flags::HASH_FALLBACK.with(Flags::HASH_PORT)),
        Scheduler::Rr => ("rr", Flags::NONE),
        Scheduler::Wrr => ("wrr", Flags::NONE),
        Scheduler::Lc => ("lc", Flags::NONE),
        Scheduler::Wlc => ("wlc", Flags::NONE),
        Scheduler::Sed => ("sed", Flags::NONE),
        Scheduler::Nq => ("nq", Flags::NONE),
        Scheduler::Sh => ("sh", Flags::HASH_FALLBACK),
        Scheduler::Dh => ("dh", Flags::NONE),
    }
}

fn method(forwarding: Forwarding) -> Method {
    match forwarding {
        Forwarding::DirectRouting => Method::DirectRouting,
        Forwarding::Tunnel => Method::Tunnel,
        Forwarding::Nat => Method::Masquerade,
    }
}

/// Whole seconds, at least one: IPVS has no finer ones.
fn seconds(duration: Duration) -> u32 {
    let rounded = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(rounded.max(1)).unwrap_or(u32::MAX)
}

/// Of a service without persistence.
const NO_TIMEOUT: u32 = 0;

#[cfg(test)]
mod tests;
