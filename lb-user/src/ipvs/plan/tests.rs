use std::{collections::BTreeMap, net::Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::ipvs::table::{Destination, DestinationKey, Flags, Method, Service, Settings, TCP};

fn key(n: u8) -> ServiceKey {
    ServiceKey::Address {
        protocol: TCP,
        address: Ipv4Addr::new(10, 0, 0, n).into(),
        port: 80,
    }
}

fn any_service() -> impl Strategy<Value = Service> {
    let destinations = prop::collection::btree_map(
        (0..6u8).prop_map(|n| DestinationKey {
            address: Ipv4Addr::new(10, 1, 0, n).into(),
            port: 8080,
        }),
        (0..3u32).prop_map(|weight| Destination {
            method: Method::Masquerade,
            weight,
        }),
        0..5,
    );
    (prop_oneof![Just("rr"), Just("mh")], destinations).prop_map(|(scheduler, destinations)| {
        Service {
            settings: Settings {
                scheduler: scheduler.to_owned(),
                flags: Flags::NONE,
                timeout: 0,
                prefix_length: 32,
            },
            destinations,
        }
    })
}

fn any_table() -> impl Strategy<Value = Table> {
    prop::collection::btree_map((0..5u8).prop_map(key), any_service(), 0..5)
}

/// What the kernel would make of it; a request that makes no sense to it is a failure.
fn apply(table: &mut Table, request: &Request) {
    match request {
        Request::AddService(key, settings) => {
            let service = Service {
                settings: settings.clone(),
                destinations: BTreeMap::new(),
            };
            assert!(table.insert(*key, service).is_none());
        }
        Request::SetService(key, settings) => {
            table.get_mut(key).unwrap().settings = settings.clone();
        }
        Request::RemoveService(key) => assert!(table.remove(key).is_some()),
        Request::AddDestination(key, server, destination) => {
            let there = &mut table.get_mut(key).unwrap().destinations;
            assert!(there.insert(*server, *destination).is_none());
        }
        Request::SetDestination(key, server, destination) => {
            let there = &mut table.get_mut(key).unwrap().destinations;
            assert!(there.insert(*server, *destination).is_some());
        }
        Request::RemoveDestination(key, server) => {
            let there = &mut table.get_mut(key).unwrap().destinations;
            assert!(there.remove(server).is_some());
        }
        other => panic!("a plan holds no {other:?}"),
    }
}

proptest! {
    #[test]
    fn a_plan_leads_to_what_is_wanted_and_leaves_others_alone(
        present in any_table(), wanted in any_table(),
        ours in prop::collection::btree_set((0..5u8).prop_map(key), 0..6),
    ) {
        let plan = diff(&present, &wanted, &ours);
        let mut table = present.clone();
        for request in &plan.requests {
            apply(&mut table, request);
        }
        for key in (0..5).map(key) {
            let foreign = present.contains_key(&key) && !ours.contains(&key);
            let expected = if foreign { present.get(&key) } else { wanted.get(&key) };
            prop_assert_eq!(table.get(&key), expected);
            let conflict = plan.conflicts.contains(&Conflict(key));
            prop_assert_eq!(conflict, foreign && wanted.contains_key(&key));
        }
        if present == wanted {
            prop_assert!(plan.requests.is_empty());
        }
    }

    #[test]
    fn a_plan_that_stopped_half_way_can_be_taken_up(
        present in any_table(), wanted in any_table(), stop in any::<prop::sample::Index>(),
    ) {
        let ours: BTreeSet<_> = (0..5).map(key).collect();
        let plan = diff(&present, &wanted, &ours).requests;
        let mut table = present;
        for request in &plan[..stop.index(plan.len() + 1)] {
            apply(&mut table, request);
        }
        for request in &diff(&table, &wanted, &ours).requests {
            apply(&mut table, request);
        }
        prop_assert_eq!(table, wanted);
    }
}

#[test]
fn a_real_server_is_added_before_another_is_removed() {
    let server = |n| DestinationKey {
        address: Ipv4Addr::new(10, 1, 0, n).into(),
        port: 80,
    };
    let table = |n| {
        let settings = Settings {
            scheduler: "rr".to_owned(),
            flags: Flags::NONE,
            timeout: 0,
            prefix_length: 32,
        };
        let destination = Destination {
            method: Method::Tunnel,
            weight: 1,
        };
        let service = Service {
            settings,
            destinations: BTreeMap::from([(server(n), destination)]),
        };
        Table::from([(key(1), service)])
    };
    let plan = diff(&table(1), &table(2), &BTreeSet::from([key(1)]));
    assert!(matches!(
        plan.requests[..],
        [
            Request::AddDestination(_, added, _),
            Request::RemoveDestination(_, removed)
        ] if added == server(2) && removed == server(1)
    ));
}
