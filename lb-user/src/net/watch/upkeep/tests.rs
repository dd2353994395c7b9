use super::*;
use crate::{
    net::{
        link::Link,
        neighbour::{Neighbour, NeighbourState},
    },
    types::{IfIndex, Mac},
};

#[test]
fn a_wanted_entry_is_managed_once_and_again_after_a_while_if_it_did_not_take() {
    let (mut upkeep, tables, now) = (Upkeep::default(), tables(), Instant::now());
    let wanted = [key(1)];
    let missing = |upkeep: &mut Upkeep, at| upkeep.missing(at, &tables, wanted.into_iter());
    assert_eq!(missing(&mut upkeep, now), [Job::Manage(key(1))]);
    assert_eq!(missing(&mut upkeep, now + RETRY / 2), []);
    assert_eq!(upkeep.next_retry(), Some(now + RETRY));
    assert_eq!(missing(&mut upkeep, now + RETRY), [Job::Manage(key(1))]);
    upkeep.vanished(key(1));
    assert_eq!(missing(&mut upkeep, now + RETRY), [Job::Manage(key(1))]);
}

#[test]
fn an_entry_to_be_tried_again_is_found_without_being_named() {
    let (mut upkeep, tables, now) = (Upkeep::default(), tables(), Instant::now());
    upkeep.missing(now, &tables, [key(1)].into_iter());
    let jobs = upkeep.missing(now + RETRY, &tables, std::iter::empty());
    assert_eq!(jobs, [Job::Manage(key(1))]);
}

#[test]
fn what_is_managed_fixed_or_out_of_reach_is_left_alone() {
    let (mut upkeep, mut tables, now) = (Upkeep::default(), tables(), Instant::now());
    enter(&mut tables, 1, NeighbourState::Reachable, true, false);
    enter(&mut tables, 2, NeighbourState::Permanent, false, false);
    let elsewhere = NeighbourKey {
        interface: IfIndex::new(9).unwrap(),
        ..key(3)
    };
    let wanted = [key(1), key(2), elsewhere];
    assert_eq!(upkeep.missing(now, &tables, wanted.into_iter()), []);
    assert_eq!(upkeep.next_retry(), None);
    // None of them became ours.
    upkeep.adopt(&tables);
    assert_eq!(upkeep.surplus(|_| false), []);
}

#[test]
fn only_our_own_entries_are_forgotten_when_nobody_wants_them() {
    let (mut upkeep, mut tables) = (Upkeep::default(), tables());
    enter(&mut tables, 1, NeighbourState::Reachable, true, true);
    enter(&mut tables, 2, NeighbourState::Reachable, true, false);
    enter(&mut tables, 3, NeighbourState::Stale, false, false);
    upkeep.adopt(&tables);
    upkeep.own(key(4));
    assert_eq!(
        upkeep.surplus(|wanted| *wanted == key(4)),
        [Job::Forget(key(1))]
    );
    assert_eq!(
        upkeep.surplus(|_| false),
        [Job::Forget(key(1)), Job::Forget(key(4))]
    );
}

#[test]
fn what_nobody_wants_any_more_is_not_tried_again() {
    let (mut upkeep, tables, now) = (Upkeep::default(), tables(), Instant::now());
    upkeep.missing(now, &tables, [key(1)].into_iter());
    upkeep.surplus(|_| false);
    assert_eq!(upkeep.next_retry(), None);
}

fn tables() -> Tables {
    let index = IfIndex::new(2).unwrap();
    let link = Link {
        index,
        name: "eth0".parse().unwrap(),
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        up: true,
        resolves: true,
        kind: None,
        vlan: None,
        master: None,
    };
    let mut tables = Tables::default();
    tables.links.insert(index, link);
    tables
}

fn enter(tables: &mut Tables, host: u8, state: NeighbourState, managed: bool, ours: bool) {
    let entry = Neighbour {
        key: key(host),
        mac: Some(Mac([2, 0, 0, 0, 0, host])),
        state,
        managed,
        ours,
    };
    tables.neighbours.insert(entry.key, entry);
}

fn key(host: u8) -> NeighbourKey {
    NeighbourKey {
        interface: IfIndex::new(2).unwrap(),
        address: [10, 0, 0, host].into(),
    }
}
