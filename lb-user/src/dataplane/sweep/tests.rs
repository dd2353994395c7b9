use lb_common::hash::mix64;

use super::*;
use crate::dataplane::image::{BackendImage, BackendInfo, RingImage, ServiceImage, Steering};

const LIFETIMES: Lifetimes = Lifetimes {
    closing: 10,
    opening: 20,
    established: 30,
    client: 40,
};

fn image() -> Image {
    let backend = |id: u32| BackendImage {
        entry: lb_common::backend::BackendEntry {
            id,
            generation: 3,
            ..zerocopy::FromZeros::new_zeroed()
        },
        info: BackendInfo {
            name: String::new(),
            service: String::new(),
            service_id: ServiceId(0),
            address: [10, 0, 0, 1].into(),
            port: 80,
            weight: 1,
            tunnel: false,
        },
    };
    let ring = RingImage::plain([BackendId(1), BackendId(2)].into(), &[0, 1]);
    let service = ServiceImage {
        key: lb_common::flow::ServiceKey::new(lb_common::addr::Addr::UNSPECIFIED, 80, 6),
        hash_key: 0,
        name: String::new(),
        steering: Steering::default(),
        ring,
    };
    Image {
        services: [(ServiceId(0), service)].into(),
        backends: [1, 2].map(|id| (BackendId(id), backend(id))).into(),
        ..Image::default()
    }
}

fn sweep(table: &Arena, now: u32) -> Usage {
    let lifetimes = [(ServiceId(0), LIFETIMES)].into();
    let mut sweeper = Sweeper::default();
    for _ in 0..3 {
        let step = sweeper.step(table, &image(), &lifetimes, 1024, now, 50);
        assert!(step.is_none(), "a quarter at a time");
    }
    let usage = sweeper.step(table, &image(), &lifetimes, 1024, now, 50);
    usage.expect("that was the end")
}

fn put(table: &Arena, way: u32, tag: u64, id: u16, generation: u16, state: State) {
    table.put(way * WAY, tag);
    let value = Value::new(id, generation, 100, state);
    table.put(way * WAY + 8, value.word());
}

#[test]
fn flows_are_counted_until_their_time_is_over() {
    let table = Arena::anonymous(4096).unwrap();
    put(&table, 0, 0, 1, 3, State::Closing);
    put(&table, 100, 0, 1, 3, State::Opening);
    put(&table, 255, 0, 1, 3, State::Established);
    for (now, left) in [(100, 3), (110, 3), (111, 2), (121, 1), (130, 1), (131, 0)] {
        let usage = sweep(&table, now);
        assert_eq!(usage.flows, left, "at {now}");
        assert_eq!(usage.began, 50);
    }
    assert_eq!(table.load(8), 0, "cleared");
}

#[test]
fn what_names_a_dead_or_unknown_backend_is_forgotten() {
    let table = Arena::anonymous(4096).unwrap();
    put(&table, 0, 0, 1, 2, State::Established);
    put(&table, 1, 0, 9, 3, State::Established);
    put(&table, 2, 0, 60_000, 3, State::Established);
    table.put(3 * WAY + 8, Value::BUSY.word());
    let usage = sweep(&table, 100);
    assert_eq!((usage.flows, usage.cleared), (0, 3));
    assert_eq!(
        table.load(3 * WAY + 8),
        Value::BUSY.word(),
        "that is being written"
    );
}

#[test]
fn slots_with_flows_of_others_than_their_owner_are_found() {
    let table = Arena::anonymous(4096).unwrap();
    let low = mix64(1) >> 1;
    let high = low | 1 << 63;
    put(&table, 0, low, 1, 3, State::Established);
    put(&table, 1, high, 1, 3, State::Opening);
    let usage = sweep(&table, 100);
    let foreign = usage.foreign(ServiceId(0));
    assert!(foreign.is_clean(0, 40));
    assert!(!foreign.is_clean(1, 40));
    assert!(
        !foreign.is_clean(0, 49),
        "it may have moved while the sweep began"
    );
    let flows = usage.backends[&BackendId(1)];
    assert_eq!((flows.new, flows.active, flows.open()), (1, 1, 2));
}

#[test]
fn clients_are_no_flows_and_hold_neither_a_backend_nor_a_slot() {
    let table = Arena::anonymous(4096).unwrap();
    // With a tag that a flow of the other backend's slot would have.
    put(&table, 0, 1 << 63, 1, 3, State::Newcomer);
    put(&table, 1, 1 << 63, 1, 3, State::Client);
    let usage = sweep(&table, 140);
    assert_eq!((usage.flows, usage.clients), (2, 2));
    assert_eq!(usage.backends[&BackendId(1)].clients, 2);
    assert_eq!(usage.backends[&BackendId(1)].open(), 0);
    assert!(!usage.has_flows(BackendId(1)));
    assert!(usage.foreign(ServiceId(0)).is_clean(1, 40));
    assert_eq!(sweep(&table, 141).cleared, 2, "their time is over");
}
