use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use lb_common::{
    addr::Addr,
    backend::BackendEntry,
    flow::ServiceKey,
    wire::ethernet::{MacWords, Macs},
};
use proptest::prelude::*;

use super::*;
use crate::{
    dataplane::image::{BackendInfo, Front},
    types::Mac,
};

fn backend(service: u32, number: u8, mac: u8) -> BackendImage {
    let address = IpAddr::from([10, 0, 0, number]);
    BackendImage {
        entry: BackendEntry {
            macs: Macs {
                destination: MacWords::new([2, 0, 0, 0, 0, mac]),
                source: MacWords::new([2, 0, 0, 0, 0, 1]),
            },
            ifindex: 1,
            id: u32::from(number),
            mtu: 1500,
            mode: 1,
            tags: 0,
            vlans: [0; 2],
            source_bits: 0,
            flags: 0,
            generation: 0,
            tunnel_source: Addr::UNSPECIFIED,
            address: Addr::from(address),
        },
        info: BackendInfo {
            name: format!("web{number}"),
            service: format!("s{service}"),
            service_id: ServiceId(service),
            address,
            port: 80,
            weight: 1,
            tunnel: false,
        },
    }
}

/// Images with up to 4 services of up to 4 backends, whose ids overlap from one to the next.
fn image() -> impl Strategy<Value = Image> {
    let service = (
        any::<u16>(),
        any::<u64>(),
        proptest::collection::btree_map(0u8..4, 0u8..3, 0..4),
        any::<bool>(),
    );
    let services = proptest::collection::btree_map(0u32..4, service, 0..4);
    let macs = proptest::collection::btree_map(1u32..4, 0u8..4, 0..3);
    (services, macs).prop_map(|(services, macs)| {
        let mut image = Image {
            front: Front {
                interfaces: macs
                    .iter()
                    .map(|(i, m)| (IfIndex::new(*i).unwrap(), Mac([2, 0, 0, 0, 0, *m])))
                    .collect(),
                ..Front::default()
            },
            devices: macs.keys().map(|i| IfIndex::new(*i).unwrap()).collect(),
            ..Image::default()
        };
        for (id, (port, hash_key, members, reverse)) in services {
            let backends: BTreeMap<_, _> = members
                .iter()
                .map(|(n, mac)| {
                    let number = u8::try_from(id).unwrap() * 4 + n;
                    (BackendId(u32::from(number)), backend(id, number, *mac))
                })
                .collect();
            let locals: Arc<[BackendId]> = backends.keys().copied().collect();
            let count = u16::try_from(locals.len()).unwrap();
            let owners: Vec<u16> = (0..7u16)
                .map(|slot| match count {
                    0 => lb_common::ring::NOBODY,
                    _ if reverse => count - 1 - slot % count,
                    _ => slot % count,
                })
                .collect();
            image.backends.extend(backends);
            image.services.insert(
                ServiceId(id),
                ServiceImage {
                    key: ServiceKey::new(Addr::UNSPECIFIED, port, 6),
                    hash_key,
                    name: format!("s{id}"),
                    steering: crate::dataplane::image::Steering::default(),
                    ring: RingImage::plain(locals, &owners),
                },
            );
        }
        image
    })
}

proptest! {
    #[test]
    fn a_plan_leads_from_any_image_to_any_other(from in image(), to in image()) {
        let mut state = from.clone();
        for op in diff(&from, &to) {
            state.apply(&op);
            prop_assert!(state.is_consistent(), "after {op:?}");
        }
        prop_assert_eq!(state, to);
    }

    #[test]
    fn a_plan_between_equal_images_is_empty(image in image()) {
        prop_assert!(diff(&image, &image).is_empty());
    }

    #[test]
    fn a_plan_that_stopped_half_way_can_be_taken_up(from in image(), to in image(), done in 0usize..20) {
        let mut state = from.clone();
        for op in diff(&from, &to).iter().take(done) {
            state.apply(op);
        }
        for op in diff(&state, &to) {
            state.apply(&op);
        }
        prop_assert_eq!(state, to);
    }
}

#[test]
fn a_new_mac_touches_no_ring() {
    let ring = RingImage::plain([BackendId(0)].into(), &[0; 7]);
    let service = ServiceImage {
        key: ServiceKey::new(Addr::UNSPECIFIED, 80, 6),
        hash_key: 1,
        name: "web".into(),
        steering: crate::dataplane::image::Steering::default(),
        ring,
    };
    let before = Image {
        services: [(ServiceId(0), service)].into(),
        backends: [(BackendId(0), backend(0, 0, 1))].into(),
        ..Image::default()
    };
    let mut after = before.clone();
    after.backends.insert(BackendId(0), backend(0, 0, 2));
    assert_eq!(
        diff(&before, &after),
        [MapOp::ChangeBackend(BackendId(0), backend(0, 0, 2))]
    );
}
