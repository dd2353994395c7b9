//! The backends of a service.

use std::{collections::HashMap, net::IpAddr, num::NonZeroU16};

use super::{
    address::{self as addresses, family},
    health::{self, OfService},
    services::Front,
};
use crate::{
    config::{
        model::{Backend, BackendKey, Forwarding},
        walk::{Cx, Fields, Item},
    },
    types::{BackendName, Weight},
};

/// Reads the list; `count` grows by its length.
pub(super) fn read(
    cx: &mut Cx,
    service: &mut Fields<'_>,
    front: Front,
    check: &OfService,
    count: &mut usize,
) -> Vec<Backend> {
    let mut names: HashMap<BackendName, u32> = HashMap::new();
    let mut places: HashMap<BackendKey, u32> = HashMap::new();
    service.each(cx, "backends", "backends", |item, cx| {
        *count += 1;
        let backend = backend(item, cx, front, check)?;
        let line = item.node.at.line;
        // One mistake, one message: who has the same place often has the same name, too.
        if let Some(first) = places.get(&backend.key()) {
            let message = format!(
                "{} is the backend of line {first}, each may be given once",
                backend.key()
            );
            item.child_or_self("address").error(cx, message);
        } else if let Some(first) = names.get(&backend.name) {
            let message = format!(
                "`{}` is taken, by the backend of line {first}: give this one a `name`",
                backend.name
            );
            item.child_or_self("name").error(cx, message);
        }
        places.entry(backend.key()).or_insert(line);
        names.entry(backend.name.clone()).or_insert(line);
        Some(backend)
    })
}

fn backend(item: &Item<'_>, cx: &mut Cx, front: Front, check: &OfService) -> Option<Backend> {
    let mut fields = item.fields(cx)?;
    let name: Option<Option<BackendName>> = match fields.get("name") {
        Some(item) => item.parsed(cx).map(Some),
        None => Some(None),
    };
    let forwarding = forwarding(cx, &mut fields, front);
    let address = address(cx, &mut fields, front, forwarding);
    let port = port(cx, &mut fields, front, forwarding);
    let weight = fields.or(cx, "weight", Weight::ONE, |item, cx| {
        item.number(cx, 0..=65_535).map(Weight::new)
    });
    let health_check = health::of_backend(cx, &mut fields, check, front, address);
    fields.close(cx);
    let (name, address, port) = (name?, address?, port?);
    let name = name.unwrap_or_else(|| BackendName::from(address));
    Some(Backend {
        name,
        address,
        port,
        weight,
        forwarding,
        health_check,
    })
}

fn forwarding(cx: &mut Cx, fields: &mut Fields<'_>, front: Front) -> Forwarding {
    let Some(item) = fields.get("forwarding") else {
        return front.forwarding;
    };
    let Some(own) = item.word(cx) else {
        return front.forwarding;
    };
    if (own == Forwarding::Nat) != (front.forwarding == Forwarding::Nat) {
        let message = format!(
            "{own} in a service with {}: a service is either all nat or none",
            front.forwarding
        );
        item.error(cx, message);
        return front.forwarding;
    }
    own
}

/// The address of a backend or fallback, which `forwarding` must be able to reach.
pub(super) fn address(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    front: Front,
    forwarding: Forwarding,
) -> Option<IpAddr> {
    let item = fields.need(cx, "address")?;
    let address = addresses::unicast(&item, cx)?;
    if let IpAddr::V6(v6) = address
        && v6.is_unicast_link_local()
    {
        item.error(
            cx,
            format!("{address} is link-local, expected an address that routes know"),
        );
    }
    let Some(service) = front.address else {
        return Some(address);
    };
    if address == service {
        item.error(
            cx,
            format!("{address} is the service's own address, expected the backend's"),
        );
    } else if family(address) != family(service) && forwarding != Forwarding::Tunnel {
        let message = format!(
            "{address} is {}, the service is {}: {forwarding} cannot change that, only `forwarding: tunnel` can",
            family(address),
            family(service)
        );
        item.error(cx, message);
    }
    Some(address)
}

/// The port of a backend or fallback: the service's, if `forwarding` cannot change it.
pub(super) fn port(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    front: Front,
    forwarding: Forwarding,
) -> Option<NonZeroU16> {
    let Some(item) = fields.get("port") else {
        return front.port;
    };
    let port = item.port(cx)?;
    if let Some(service) = front.port
        && port != service
        && forwarding != Forwarding::Nat
    {
        let message = format!(
            "{port} differs from the service's port {service}: {forwarding} cannot change it, only `forwarding: nat` can"
        );
        item.error(cx, message);
    }
    Some(port)
}
