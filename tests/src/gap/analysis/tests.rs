use std::time::Duration;

use super::{Gap, Trace};

const MS: u64 = 1_000_000;

/// Probe n is sent at n ms and answered 0.1 ms later, but for those in `silent`.
fn trace(count: u64, silent: std::ops::Range<u64>) -> Trace {
    Trace {
        sent: (0..count).map(|n| n * MS).collect(),
        answered: (0..count)
            .map(|n| (!silent.contains(&n)).then_some(n * MS + MS / 10))
            .collect(),
        overslept: vec![(50 * MS, Duration::from_millis(12))],
    }
}

#[test]
fn without_an_event_the_gap_is_the_pace() {
    let gap = trace(100, 0..0).gap(10 * MS, 90 * MS);
    assert_eq!((gap.silence, gap.lost), (Duration::from_millis(1), 0));
}

#[test]
fn the_gap_lies_between_the_answers_beside_the_silence() {
    let gap = trace(100, 30..50).gap(10 * MS, 90 * MS);
    let between = (29 * MS + MS / 10, 50 * MS + MS / 10);
    assert_eq!(
        gap,
        Gap {
            silence: Duration::from_millis(21),
            between,
            lost: 20
        }
    );
}

#[test]
fn a_silence_over_an_end_is_measured_to_the_answer_beyond() {
    let gap = trace(100, 30..50).gap(40 * MS, 90 * MS);
    assert_eq!(gap.silence, Duration::from_millis(21));
    assert_eq!(gap.lost, 10);
}

#[test]
fn a_silence_that_does_not_end_lasts_to_the_end() {
    let gap = trace(100, 60..100).gap(10 * MS, 99 * MS);
    assert_eq!(gap.silence, Duration::from_micros(39_900));
}

#[test]
fn a_stall_counts_where_it_touches_the_window() {
    let trace = trace(100, 0..0);
    let late = Duration::from_millis(12);
    assert_eq!(trace.worst_oversleep(45 * MS, 60 * MS), late);
    assert_eq!(trace.worst_oversleep(10 * MS, 38 * MS), late);
    assert_eq!(trace.worst_oversleep(10 * MS, 37 * MS), Duration::ZERO);
    assert_eq!(trace.worst_oversleep(51 * MS, 60 * MS), Duration::ZERO);
}
