use std::{cell::RefCell, collections::HashMap};

use super::*;
use crate::hash::mix64;

/// A table of 2^n sets in memory of its own.
struct Table {
    words: RefCell<Vec<u64>>,
    now: u32,
}

impl Table {
    fn new(sets: u32) -> Self {
        Self {
            words: RefCell::new(vec![0; sets as usize * 8]),
            now: 0,
        }
    }
}

impl Memory for Table {
    fn secret(&self) -> u64 {
        7
    }
    fn home(&self, index: u32) -> u32 {
        let length = u32::try_from(self.words.borrow().len() * 8).unwrap();
        index & (length - SET)
    }
    fn load(&self, at: u32) -> u64 {
        self.words.borrow()[at as usize / 8]
    }
    fn store(&self, at: u32, word: u64) {
        self.words.borrow_mut()[at as usize / 8] = word;
    }
    fn exchange(&self, at: u32, old: u64, new: u64) -> bool {
        let word = &mut self.words.borrow_mut()[at as usize / 8];
        let same = *word == old;
        if same {
            *word = new;
        }
        same
    }
    fn now(&self) -> u32 {
        self.now
    }
    fn grant(&self, _: u32, _: u32, _: u32) -> bool {
        true
    }
    fn turn(&self, _: u32) -> u32 {
        0
    }
    fn count(&self, _: u32, _: FlowEvent) {}
}

const ACK: Packet = Packet {
    opens: false,
    closes: false,
    resets: false,
};
const SYN: Packet = Packet { opens: true, ..ACK };
const FIN: Packet = Packet {
    closes: true,
    ..ACK
};

fn put(table: &Table, tag: u64, id: u16, state: State) -> Remembered {
    let value = Value::new(id, 0, table.now, state);
    let own = find(table, tag);
    remember(table, tag, value, own, table.now)
}

#[test]
fn what_is_remembered_is_found_until_it_is_forgotten() {
    let table = Table::new(64);
    for tag in 1..=64u64 {
        assert_eq!(put(&table, mix64(tag), 1, State::Opening), Remembered::Kept);
    }
    let hit = find(&table, mix64(5)).unwrap();
    assert_eq!((hit.value.id(), hit.value.generation()), (1, 0));
    assert!(find(&table, mix64(65)).is_none());
    forget(&table, &hit);
    assert!(find(&table, mix64(5)).is_none());
}

#[test]
fn a_flow_has_one_place_however_often_it_is_remembered() {
    let table = Table::new(2);
    for id in 0..100 {
        assert_eq!(put(&table, 42, id, State::Established), Remembered::Kept);
    }
    let taken = table.words.borrow().iter().filter(|w| **w == 42).count();
    assert_eq!(taken, 1);
    assert_eq!(find(&table, 42).unwrap().value.id(), 99);
}

#[test]
fn the_weakest_and_longest_idle_makes_room_and_an_established_flow_never() {
    let mut table = Table::new(2);
    for tag in 1..=8 {
        table.now = u32::try_from(tag).unwrap();
        put(&table, tag, 0, State::Opening);
    }
    assert_eq!(put(&table, 9, 0, State::Opening), Remembered::Evicted);
    assert!(find(&table, 1).is_none(), "the oldest goes first");
    let hit = find(&table, 8).unwrap();
    refresh(&table, &hit, FIN, table.now);
    assert_eq!(put(&table, 10, 0, State::Established), Remembered::Evicted);
    assert!(find(&table, 8).is_none(), "what closes goes before that");
    for tag in 2..=7 {
        put(&table, tag, 0, State::Established);
    }
    put(&table, 9, 0, State::Established);
    assert_eq!(put(&table, 11, 0, State::Opening), Remembered::Full);
    assert!(find(&table, 2).is_some());
}

#[test]
fn the_state_follows_the_clients_packets() {
    use State::{Closing, Established, Glimpsed, Opening};
    for (from, packet, later, to) in [
        (Opening, SYN, 1, Opening),
        (Opening, ACK, 0, Established),
        (Glimpsed, ACK, 0, Glimpsed),
        (Glimpsed, ACK, 1, Established),
        (Established, ACK, 1, Established),
        (Established, SYN, 1, Established),
        (Established, FIN, 0, Closing),
        (Opening, FIN, 0, Closing),
        (Closing, ACK, 1, Closing),
    ] {
        let before = Value::new(3, 4, 100, from);
        let after = before.after(packet, 100 + later);
        assert_eq!(
            after,
            Value::new(3, 4, 100 + later, to),
            "{from:?} {packet:?} {later}"
        );
    }
}

#[test]
fn idleness_survives_the_clocks_turn_and_small_differences() {
    let value = Value::new(0, 0, TICK_MASK, State::Established);
    assert_eq!(value.idle(TICK_MASK), 0);
    assert_eq!(value.idle(TICK_MASK + 3), 3);
    assert_eq!(
        value.idle(TICK_MASK - 1),
        0,
        "stamped by a CPU that is ahead"
    );
}

#[test]
fn at_a_quarter_full_hardly_a_flow_finds_no_place() {
    let table = Table::new(1 << 12);
    let flows = (1u64 << 14) / 4;
    let refused = (0..flows)
        .filter(|n| put(&table, mix64(*n), 0, State::Established) == Remembered::Full)
        .count();
    assert!(
        refused * 1000 < usize::try_from(flows).unwrap(),
        "{refused}"
    );
}

#[test]
fn the_table_agrees_with_a_map_while_it_has_room() {
    let table = Table::new(1 << 10);
    let mut map: HashMap<u64, u16> = HashMap::new();
    let mut random = 1u64;
    for step in 0..20_000u64 {
        random = mix64(random ^ step);
        let tag = mix64(random % 200);
        if random >> 60 == 0 {
            if let Some(hit) = find(&table, tag) {
                forget(&table, &hit);
            }
            map.remove(&tag);
        } else if random >> 60 < 8 {
            let id = (random >> 32 & 0xffff) as u16;
            put(&table, tag, id, State::Established);
            map.insert(tag, id);
        }
        assert_eq!(
            find(&table, tag).map(|hit| hit.value.id()),
            map.get(&tag).copied()
        );
    }
}

#[test]
fn a_client_is_weak_until_one_of_its_flows_goes_on() {
    let table = Table::new(2);
    put(&table, 1, 7, State::Newcomer);
    let known = find(&table, 1).unwrap();
    visit(&table, &known, false, 5);
    let known = find(&table, 1).unwrap();
    assert_eq!(known.value, Value::new(7, 0, 5, State::Newcomer));
    visit(&table, &known, true, 5);
    let known = find(&table, 1).unwrap();
    assert_eq!(known.value, Value::new(7, 0, 5, State::Client));
    visit(&table, &known, false, 6);
    let known = find(&table, 1).unwrap();
    assert_eq!(known.value, Value::new(7, 0, 6, State::Client));
    for tag in 2..=8 {
        put(&table, tag, 0, State::Client);
    }
    assert_eq!(put(&table, 9, 0, State::Opening), Remembered::Full);
}
