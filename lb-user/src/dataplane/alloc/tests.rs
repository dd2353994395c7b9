use std::time::{Duration, Instant};

use lb_common::arena::UNIT;
use proptest::prelude::*;

use super::*;

#[test]
fn a_freed_region_rests_before_it_is_used_again() {
    let now = Instant::now();
    let mut arena = Allocator::new(4 * UNIT);
    let first = arena.take(3 * UNIT, now).unwrap();
    arena.give_back(first, 3 * UNIT, now);
    assert!(arena.take(UNIT, now + REST / 2).is_err());
    assert_eq!(arena.take(UNIT, now + REST).unwrap(), first);
}

#[test]
fn an_adopted_region_cannot_be_claimed_twice() {
    let mut arena = Allocator::new(8 * UNIT);
    assert!(arena.claim(2 * UNIT, 100));
    assert!(!arena.claim(3 * UNIT, 1));
    assert!(!arena.claim(0, 1));
    assert!(!arena.claim(7 * UNIT, 2 * UNIT));
    assert!(arena.claim(7 * UNIT, UNIT));
}

proptest! {
    #[test]
    fn regions_never_overlap_and_all_space_returns(sizes in proptest::collection::vec(1u32..2000, 1..60)) {
        let start = Instant::now();
        let mut arena = Allocator::new(64 * 1024);
        let mut held: Vec<(u32, u32)> = Vec::new();
        for (step, size) in sizes.iter().enumerate() {
            let now = start + REST * u32::try_from(step).unwrap();
            if let Ok(at) = arena.take(*size, now) {
                for (other, length) in &held {
                    prop_assert!(at + size <= *other || other + length <= at);
                }
                held.push((at, *size));
            }
            if step % 3 == 2 {
                let (at, size) = held.remove(held.len() / 2);
                arena.give_back(at, size, now);
            }
        }
        let end = start + REST * 1000;
        for (at, size) in held {
            arena.give_back(at, size, end);
        }
        let later = end + REST + Duration::from_secs(1);
        prop_assert_eq!(arena.take(63 * 1024, later).unwrap(), UNIT);
    }
}
