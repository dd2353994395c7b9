use std::time::Duration;

use super::{Event, Row, Stack, Table, median};

#[test]
fn a_median_of_an_even_number_is_the_upper_one() {
    assert_eq!(median(&[4, 1, 3, 2]), 3);
    assert_eq!(median::<usize>(&[]), 0);
}

#[test]
fn both_stacks_stand_one_above_the_other() {
    let row = |stack, gap| Row {
        gaps: vec![Duration::from_millis(gap)],
        lost: vec![3],
        ..Row::new(Event::PowerOff, Duration::from_millis(10), stack)
    };
    let table = Table {
        rows: vec![row(Stack::Keepalived, 33), row(Stack::Ballast, 31)],
    };
    let text = table.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[1].contains("ballast") && lines[1].contains("31.0 ms"),
        "{text}"
    );
    assert!(
        lines[2].contains("keepalived") && lines[2].contains("33.0 ms"),
        "{text}"
    );
}
