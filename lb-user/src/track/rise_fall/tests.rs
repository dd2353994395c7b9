use proptest::prelude::*;

use super::RiseFall;

#[test]
fn the_first_result_decides_alone() {
    for good in [true, false] {
        let mut counter = RiseFall::new(3, 3);
        assert_eq!((counter.verdict(), counter.streak()), (None, None));
        assert_eq!(counter.record(good), Some(good));
        assert_eq!(counter.verdict(), Some(good));
    }
}

#[test]
fn it_takes_fall_bad_results_in_a_row_and_rise_good_ones() {
    let mut counter = RiseFall::new(2, 3);
    counter.record(true);
    let changes: Vec<_> = [
        false, false, true, false, false, false, false, true, false, true, true,
    ]
    .into_iter()
    .map(|good| counter.record(good))
    .collect();
    let n = None;
    assert_eq!(
        changes,
        [n, n, n, n, n, Some(false), n, n, n, n, Some(true)]
    );
}

#[test]
fn a_verdict_from_elsewhere_holds_until_results_say_otherwise() {
    let mut counter = RiseFall::with_verdict(1, 2, true);
    assert_eq!(counter.record(false), None);
    assert_eq!(counter.doubt(), Some((1, 2)));
    assert_eq!(counter.record(false), Some(false));
    assert_eq!(counter.doubt(), None);
    assert_eq!(counter.streak(), Some((false, 2)));
}

#[test]
fn other_limits_count_what_was_seen() {
    let mut counter = RiseFall::with_verdict(1, 5, true);
    counter.record(false);
    counter.set_limits(1, 2);
    assert_eq!(counter.verdict(), Some(true));
    assert_eq!(counter.record(false), Some(false));
}

#[test]
fn zero_is_one() {
    let mut counter = RiseFall::new(0, 0);
    counter.record(true);
    assert_eq!(counter.record(false), Some(false));
    assert_eq!(counter.record(true), Some(true));
}

proptest! {
    #[test]
    fn the_verdict_is_the_last_long_enough_run(
        rise in 1_u32..5,
        fall in 1_u32..5,
        results in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let mut counter = RiseFall::new(rise, fall);
        let mut expected = results[0];
        for end in 1..=results.len() {
            counter.record(results[end - 1]);
            let last = results[end - 1];
            let run = results[..end].iter().rev().take_while(|good| **good == last).count();
            if run >= if last { rise } else { fall } as usize {
                expected = last;
            }
            prop_assert_eq!(counter.verdict(), Some(expected));
        }
    }
}
