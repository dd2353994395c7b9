//! The world as an image of the maps.

mod remembering;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{
    backend::{BackendEntry, ForwardMode, TAGS_AS_RECEIVED},
    flow::ServiceKey,
    hash::mix64,
    ring::NOBODY,
    wire::ethernet::{MacWords, Macs},
};
use lb_user::{
    dataplane::image::{
        BackendId, BackendImage, BackendInfo, Front, Image, RingImage, ServiceId, ServiceImage,
    },
    types::{IfIndex, Mac},
};

use super::{
    Family, GROUP, HASH_KEY, INGRESS, MTU, Mode, OTHER_INTERFACE, OUR_MAC, OWN_VLANS, PEER_MAC,
    Protocol, SPREAD_BITS, TUNNEL4, TUNNEL6, Tags, Target, WEB, Way, addr, tunnel_source,
};

/// Everything.
pub(crate) fn image() -> Image {
    let mut image = Image {
        front: Front {
            interfaces: BTreeMap::from([(interface(INGRESS), Mac(OUR_MAC))]),
            own_addresses: Family::BOTH
                .iter()
                .map(|family| family.own().parse().expect("an address"))
                .collect(),
            peers: BTreeSet::from([Mac(PEER_MAC)]),
        },
        devices: BTreeSet::from([interface(OTHER_INTERFACE)]),
        ..Image::default()
    };
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            for way in Way::all() {
                add(&mut image, family, protocol, way);
            }
        }
    }
    image
}

fn add(image: &mut Image, family: Family, protocol: Protocol, way: Way) {
    let target = Target::of(family, protocol, way);
    let backends = match way {
        Way::NoLocals => vec![],
        Way::Mixed => mixed(target),
        _ if Way::REMEMBERING.contains(&way) => remembering::backends(target, way),
        _ => vec![(target.backend, entry(target, way))],
    };
    let locals: Vec<_> = backends.iter().map(|(id, _)| BackendId(*id)).collect();
    let remembers = Way::REMEMBERING.contains(&way);
    let ring = if remembers {
        remembering::ring(way, locals.into())
    } else {
        let owners = owners(way, locals.len());
        RingImage::plain(locals.into(), &owners)
    };
    let service = ServiceImage {
        key: ServiceKey::new(addr(family.vip()), way.port(), protocol.number()),
        // What is remembered of a flow is told apart by the key alone.
        hash_key: if remembers {
            mix64(target.service.into())
        } else {
            HASH_KEY
        },
        name: format!("service{}", target.service),
        steering: remembering::steering(way),
        ring,
    };
    let name = service.name.clone();
    image.services.insert(ServiceId(target.service), service);
    for (id, entry) in backends {
        let info = BackendInfo {
            name: format!("web{id}"),
            service: name.clone(),
            service_id: ServiceId(target.service),
            address: entry.address.to_ip(),
            port: way.port(),
            weight: 1,
            tunnel: entry.mode == ForwardMode::TunnelV4 as u8
                || entry.mode == ForwardMode::TunnelV6 as u8,
        };
        let backend = BackendImage { entry, info };
        image.backends.insert(BackendId(id), backend);
    }
}

fn owners(way: Way, locals: usize) -> Vec<u16> {
    let slots = match way {
        Way::Mixed => 1021u64,
        _ => 5,
    };
    let locals = locals as u64;
    (0..slots)
        .map(|slot| match way {
            Way::NoBackend | Way::NoLocals => NOBODY,
            Way::BadSlots => 1,
            Way::Mixed => match mix64(slot) % (locals + 1) {
                owner if owner == locals => NOBODY,
                owner => u16::try_from(owner).expect("a few owners"),
            },
            _ => 0,
        })
        .collect()
}

/// Backends of different kinds of one service.
fn mixed(target: Target) -> Vec<(u32, BackendEntry)> {
    let ways = [
        WEB,
        TUNNEL4,
        TUNNEL6,
        Way::Plain(Mode::Tunnel(Family::V4), Tags::Own(2)),
        Way::Redirect,
        Way::Local,
        Way::Spread(Family::V6),
        Way::Unresolved,
    ];
    let numbered = (MIXED_BASE + 8 * (target.service / GROUP)..).zip(ways);
    numbered
        .map(|(backend, way)| (backend, entry(Target { backend, ..target }, way)))
        .collect()
}

fn entry(target: Target, way: Way) -> BackendEntry {
    let (tags, vlans) = match way {
        Way::Plain(_, Tags::Own(0)) => (0, [0; 2]),
        Way::Plain(_, Tags::Own(1)) => (1, [OWN_VLANS[0], 0]),
        Way::Plain(_, Tags::Own(_)) => (2, OWN_VLANS),
        _ => (TAGS_AS_RECEIVED, [0; 2]),
    };
    let mode = way.mode();
    let outer = if mode == ForwardMode::TunnelV6 {
        Family::V6
    } else {
        Family::V4
    };
    BackendEntry {
        macs: Macs {
            destination: MacWords::new(target.mac()),
            source: MacWords::new(OUR_MAC),
        },
        ifindex: match way {
            Way::Redirect => OTHER_INTERFACE,
            Way::NotADevice => OTHER_INTERFACE + 100,
            _ => INGRESS,
        },
        id: target.backend,
        mtu: MTU,
        mode: mode as u8,
        tags,
        vlans,
        source_bits: match way {
            Way::Spread(_) => SPREAD_BITS,
            _ => 0,
        },
        flags: 0,
        generation: 1,
        tunnel_source: addr(tunnel_source(outer)),
        address: addr(&target.address(outer)),
    }
}

fn interface(index: u32) -> IfIndex {
    IfIndex::new(index).expect("no index here is 0")
}

/// Backends of [`Way::Mixed`] come after all others.
const MIXED_BASE: u32 = 4 * GROUP;
