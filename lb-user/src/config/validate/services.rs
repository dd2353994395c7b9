//! The `services` section: each service by itself, and its backends as a set.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use super::{WEEK, address, at_most, backends, health, secs};
use crate::config::{
    limits,
    model::{
        Backend, Fallback, Forwarding, NatOptions, OnFailure, Persistence, Protocol, Quorum,
        Scheduler, Service, ServiceKey, Timeouts,
    },
    walk::{Cx, Fields, Item},
};

/// What a service's parts have to agree with.
#[derive(Clone, Copy)]
pub(super) struct Front {
    /// `None`: wrong or missing, and reported.
    pub(super) address: Option<IpAddr>,
    /// `None`: wrong or missing, and reported.
    pub(super) port: Option<NonZeroU16>,
    pub(super) protocol: Protocol,
    pub(super) forwarding: Forwarding,
}

/// Reads the section.
pub(super) fn read(cx: &mut Cx, root: &mut Fields<'_>) -> Vec<Service> {
    at_most(cx, root, "services", limits::SERVICES);
    let mut keys: HashMap<ServiceKey, u32> = HashMap::new();
    let mut backends = 0;
    root.each(cx, "services", "services", |item, cx| {
        let before = backends;
        let service = service(item, cx, &mut keys, &mut backends);
        if before <= limits::BACKENDS && backends > limits::BACKENDS {
            let message = format!(
                "more than {} backends in all services together",
                limits::BACKENDS
            );
            cx.error(item.node.at, &format!("{}.backends", item.path), message);
        }
        service
    })
}

fn service(
    item: &Item<'_>,
    cx: &mut Cx,
    keys: &mut HashMap<ServiceKey, u32>,
    backend_count: &mut usize,
) -> Option<Service> {
    let mut fields = item.fields(cx)?;
    let name = fields.need(cx, "name").and_then(|item| item.parsed(cx));
    let front = front(cx, &mut fields, keys);
    let nat = nat(cx, &mut fields, front);
    let scheduler = fields.or(cx, "scheduler", Scheduler::Maglev, Item::word);
    let ring_size = fields.or(cx, "ring_size", 0, |item, cx| {
        item.number(cx, 0..=i64::from(limits::RING_SLOTS))
    });
    let ring_size = NonZeroU32::new(ring_size);
    let long = Duration::ZERO..=WEEK;
    let grace = fields.or(cx, "grace", secs(15 * 60), |item, cx| {
        item.duration(cx, long.clone())
    });
    let udp_grace = fields.or(cx, "udp_grace", secs(30), |item, cx| {
        item.duration(cx, long.clone())
    });
    let new_flow_budget = fields.or(cx, "new_flow_budget", 100_000, |item, cx| {
        item.number(cx, 0..=i64::from(u32::MAX))
    });
    let timeouts = timeouts(cx, &mut fields);
    let persistence = fields.maybe(cx, "persistence", |item, cx| persistence(item, cx, front));
    let fallback = fields.maybe(cx, "fallback", |item, cx| fallback(item, cx, front));
    let check = health::of_service(cx, &mut fields, front);
    let on_failure = fields.or(cx, "on_failure", OnFailure::Remove, Item::word);
    let backends = backends::read(cx, &mut fields, front, &check, backend_count);
    health::check_source(cx, &mut fields, &check, &backends);
    let quorum = quorum(cx, &mut fields, &backends);
    check_ring_size(cx, &mut fields, ring_size, &backends);
    warn_unanswered(cx, &mut fields, &backends, fallback.is_some());
    fields.close(cx);
    Some(Service {
        name: name?,
        address: front.address?,
        port: front.port?,
        protocol: front.protocol,
        forwarding: front.forwarding,
        nat,
        scheduler,
        ring_size,
        grace,
        udp_grace,
        new_flow_budget,
        timeouts,
        persistence,
        quorum,
        fallback,
        on_failure,
        backends,
    })
}

/// Address, port and protocol, which no other service may have.
fn front(cx: &mut Cx, fields: &mut Fields<'_>, keys: &mut HashMap<ServiceKey, u32>) -> Front {
    let address_item = fields.need(cx, "address");
    let address = address_item
        .as_ref()
        .and_then(|item| address::unicast(item, cx));
    let port = fields.need(cx, "port").and_then(|item| item.port(cx));
    let protocol = fields.or(cx, "protocol", Protocol::Tcp, Item::word);
    let forwarding = fields.or(cx, "forwarding", Forwarding::DirectRouting, Item::word);
    if let (Some(item), Some(address), Some(port)) = (address_item, address, port) {
        let key = ServiceKey {
            address,
            port,
            protocol,
        };
        match keys.get(&key) {
            Some(line) => item.error(
                cx,
                format!("{key} is the service of line {line}, each may be given once"),
            ),
            None => {
                keys.insert(key, item.node.at.line);
            }
        }
    }
    Front {
        address,
        port,
        protocol,
        forwarding,
    }
}

fn nat(cx: &mut Cx, fields: &mut Fields<'_>, front: Front) -> NatOptions {
    let read = |item: &Item<'_>, cx: &mut Cx| {
        if front.forwarding != Forwarding::Nat {
            item.warn(cx, "has no effect without `forwarding: nat`");
        }
        let mut fields = item.fields(cx)?;
        let masquerade = fields.or(cx, "masquerade", false, Item::flag);
        fields.close(cx);
        Some(NatOptions { masquerade })
    };
    fields.or(cx, "nat", NatOptions::default(), read)
}

fn check_ring_size(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    size: Option<NonZeroU32>,
    backends: &[Backend],
) {
    let (Some(size), Some(item)) = (size, fields.get("ring_size")) else {
        return;
    };
    let sharing = backends.iter().filter(|b| b.weight.get() > 0).count();
    if usize::try_from(size.get()).is_ok_and(|size| size < sharing) {
        let message = format!("{size} slots for {sharing} backends, each needs at least one");
        item.error(cx, message);
    }
}

fn timeouts(cx: &mut Cx, fields: &mut Fields<'_>) -> Timeouts {
    let absent = Timeouts {
        syn: secs(30),
        established: secs(15 * 60),
        closing: secs(30),
        udp: secs(2 * 60),
    };
    fields.or(cx, "timeouts", absent, |item, cx| {
        let mut fields = item.fields(cx)?;
        let mut one = |key, default| {
            fields.or(cx, key, default, |item, cx| {
                item.duration(cx, secs(1)..=WEEK)
            })
        };
        let timeouts = Timeouts {
            syn: one("syn", absent.syn),
            established: one("established", absent.established),
            closing: one("closing", absent.closing),
            udp: one("udp", absent.udp),
        };
        fields.close(cx);
        Some(timeouts)
    })
}

fn persistence(item: &Item<'_>, cx: &mut Cx, front: Front) -> Option<Persistence> {
    let mut fields = item.fields(cx)?;
    let timeout = fields
        .need(cx, "timeout")
        .and_then(|item| item.duration(cx, secs(1)..=WEEK));
    let full: u8 = if front.address.is_some_and(|a| a.is_ipv6()) {
        128
    } else {
        32
    };
    let length = fields.get("prefix_length");
    let prefix_length = match (length, front.address) {
        (None, _) => Some(full),
        (Some(item), Some(_)) => item.number(cx, 1..=i64::from(full)),
        (Some(item), None) => item.number(cx, 1..=128),
    };
    fields.close(cx);
    Some(Persistence {
        timeout: timeout?,
        prefix_length: prefix_length?,
    })
}

fn quorum(cx: &mut Cx, fields: &mut Fields<'_>, backends: &[Backend]) -> Quorum {
    let absent = Quorum {
        up: 1,
        hysteresis: 0,
        on_up: None,
        on_down: None,
    };
    let total: u64 = backends.iter().map(|b| u64::from(b.weight.get())).sum();
    fields.or(cx, "quorum", absent, |item, cx| {
        let mut fields = item.fields(cx)?;
        let most = i64::from(u32::MAX);
        let quorum = Quorum {
            up: fields.or(cx, "up", 1, |item, cx| item.number(cx, 1..=most)),
            hysteresis: fields.or(cx, "hysteresis", 0, |item, cx| item.number(cx, 0..=most)),
            on_up: fields.maybe(cx, "on_up", Item::command),
            on_down: fields.maybe(cx, "on_down", Item::command),
        };
        if quorum.hysteresis >= quorum.up
            && let Some(item) = fields.get("hysteresis")
        {
            item.error(
                cx,
                format!(
                    "{} must be less than `up`, which is {}",
                    quorum.hysteresis, quorum.up
                ),
            );
        } else if u64::from(quorum.up) + u64::from(quorum.hysteresis) > total {
            item.warn(
                cx,
                format!("can never be reached: all weights together are {total}"),
            );
        }
        fields.close(cx);
        Some(quorum)
    })
}

fn fallback(item: &Item<'_>, cx: &mut Cx, front: Front) -> Option<Fallback> {
    let mut fields = item.fields(cx)?;
    let address = backends::address(cx, &mut fields, front, front.forwarding);
    let port = backends::port(cx, &mut fields, front, front.forwarding);
    fields.close(cx);
    Some(Fallback {
        address: address?,
        port: port?,
    })
}

fn warn_unanswered(cx: &mut Cx, fields: &mut Fields<'_>, backends: &[Backend], fallback: bool) {
    if fallback {
        return;
    }
    match fields.get("backends") {
        Some(item) if !backends.is_empty() && backends.iter().all(|b| b.weight.get() == 0) => {
            item.warn(cx, "all weights are 0: nobody takes new connections");
        }
        Some(item) if item.is_empty_list() => item.warn(cx, NOBODY),
        None => cx.warn(fields.at, &format!("{}.backends", fields.path), NOBODY),
        Some(_) => {}
    }
}

const NOBODY: &str = "no backends: nobody answers for this service";
