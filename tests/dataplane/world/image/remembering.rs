//! Services whose ring alone does not say who gets a flow.

use std::sync::Arc;

use lb_common::{
    backend::BackendEntry,
    hash::mix64,
    ring::{NOBODY, Previous, Slot},
};
use lb_user::dataplane::image::{BackendId, OlderRing, RingImage, Steering};

use super::{GROUP, MIXED_BASE, TUNNEL4, Target, WEB, Way, entry};

/// Three backends, of three kinds.
pub(super) fn backends(target: Target, way: Way) -> Vec<(u32, BackendEntry)> {
    let number = Way::REMEMBERING.iter().position(|known| *known == way);
    let number = u32::try_from(number.expect("a way of these")).expect("there are few");
    let base = BASE + PER_GROUP * (target.service / GROUP) + 3 * number;
    (base..)
        .zip([WEB, TUNNEL4, Way::Redirect])
        .map(|(backend, kind)| (backend, entry(Target { backend, ..target }, kind)))
        .collect()
}

/// How flows are told apart and remembered.
pub(super) fn steering(way: Way) -> Steering {
    let default = Steering::default();
    match way {
        Way::Turns => Steering {
            stateful: true,
            ..default
        },
        Way::Thrifty => Steering {
            stateful: true,
            budget: SMALL_BUDGET,
            ..default
        },
        Way::Clients => Steering {
            stateful: true,
            client_bits: CLIENT_BITS,
            ..default
        },
        Way::FewClients => Steering {
            stateful: true,
            client_bits: CLIENT_BITS,
            budget: SMALL_BUDGET,
            ..default
        },
        Way::MovedBySource => Steering {
            by_source: true,
            ..default
        },
        _ => default,
    }
}

/// Slots of all kinds that `way` can have.
pub(super) fn ring(way: Way, locals: Arc<[BackendId]>) -> RingImage {
    let slots: Arc<[Slot]> = (0..SLOTS).map(|number| slot(way, number)).collect();
    let older = (way == Way::Resized).then(|| {
        let slots = (0..OLDER_SLOTS).map(|slot| owner(mix64(!slot)));
        Arc::new(OlderRing {
            slots: slots.collect(),
            since: 1,
        })
    });
    let sequence: &[u16] = match way {
        Way::Turns | Way::Clients => &[0, 1, 0, 2, 0],
        Way::Thrifty => &[2, 1],
        _ => &[],
    };
    RingImage {
        locals,
        since: vec![1; slots.len()].into(),
        slots,
        older,
        sequence: sequence.into(),
        sequence_start: 3,
    }
}

fn slot(way: Way, number: u64) -> Slot {
    let random = mix64(number);
    let previous = match (way, random >> 32 & 3) {
        (Way::Resized, _) => Previous::Older,
        (Way::Turns | Way::Thrifty | Way::Clients, 0..3) | (_, 3) => Previous::Table,
        // No slot of a service that remembers every flow is plain.
        (Way::FewClients, 0) => Previous::Table,
        (_, 0) => Previous::Plain,
        _ => Previous::Local(u16::try_from(random >> 40 & 1).expect("0 or 1")),
    };
    Slot::new(owner(random), previous)
}

/// One of three, or now and then nobody.
fn owner(random: u64) -> u16 {
    match u16::try_from(random & 15).expect("four bits") {
        15 => NOBODY,
        other => other % 3,
    }
}

/// Slots of each ring.
const SLOTS: u64 = 101;
/// Slots of the ring before.
const OLDER_SLOTS: u64 = 53;
/// Addresses that are one client: eight.
const CLIENT_BITS: u32 = 125;
/// What [`Way::Thrifty`] and [`Way::FewClients`] may remember in a tick.
const SMALL_BUDGET: u32 = 3;
/// Backends of one family and protocol.
const PER_GROUP: u32 = 21;
const _: () = assert!(PER_GROUP as usize == 3 * Way::REMEMBERING.len());
/// These come after those of [`Way::Mixed`].
const BASE: u32 = MIXED_BASE + 4 * 8;
