use super::*;

fn seats(of: &[(u16, u32)]) -> Vec<Seat> {
    (0u16..)
        .zip(of)
        .map(|(local, (weight, flows))| Seat {
            local,
            weight: *weight,
            flows: *flows,
        })
        .collect()
}

fn count(turns: &[u16], local: u16) -> usize {
    turns.iter().filter(|turn| **turn == local).count()
}

#[test]
fn round_robin_takes_turns_whatever_the_weights() {
    let turns = sequence(Scheduler::Rr, &seats(&[(1, 9), (5, 0), (2, 0)]));
    assert_eq!(turns, [0, 1, 2]);
}

#[test]
fn weighted_round_robin_gives_exact_shares_evenly_spread() {
    let turns = sequence(Scheduler::Wrr, &seats(&[(30, 0), (10, 0), (20, 0)]));
    assert_eq!(turns.len(), 6);
    assert_eq!([0, 1, 2].map(|local| count(&turns, local)), [3, 1, 2]);
    assert!(
        turns.windows(3).all(|w| w[0] != w[1] || w[1] != w[2]),
        "{turns:?}"
    );
}

#[test]
fn least_connections_first_evens_out_and_then_takes_turns() {
    let turns = sequence(Scheduler::Lc, &seats(&[(1, 10), (1, 7), (1, 10)]));
    assert_eq!(turns[..3], [1, 1, 1]);
    assert_eq!(turns[3..6], [0, 1, 2]);
    let turns = sequence(Scheduler::Wlc, &seats(&[(1, 10), (2, 10)]));
    assert!(turns[..10].iter().all(|turn| *turn == 1), "{turns:?}");
    assert!(count(&turns[..40], 0) >= 9 && count(&turns[..40], 0) <= 11);
}

#[test]
fn shortest_delay_prefers_the_fast_and_never_queue_the_idle() {
    let of = seats(&[(1, 0), (10, 3)]);
    assert_eq!(sequence(Scheduler::Sed, &of)[0], 1, "4/10 before 1/1");
    assert_eq!(sequence(Scheduler::Nq, &of)[0], 0, "it is idle");
}

#[test]
fn nobody_gets_turns_where_nobody_can() {
    assert!(sequence(Scheduler::Rr, &[]).is_empty());
    assert!(sequence(Scheduler::Maglev, &seats(&[(1, 0)])).is_empty());
}
