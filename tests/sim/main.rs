//! Virtual routers on a virtual clock: thousands of histories of a bad network, each from a seed.
//!
//! A history alternates between chaos (loss, delay, duplicates, reordering, cut links in one or both
//! directions, pauses, crashes, restarts, faults, other priorities and configurations) and calm, in
//! which the promises of `check.rs` have to hold. `SEED=n cargo test -p lb-tests --test sim` plays one
//! history and prints it; `FIRST=n HISTORIES=m` plays others than those of every day.

mod check;
mod histories;
mod world;

use histories::{History, play};

/// Enough to meet every pair of events that a network has; a quarter of a minute.
const HISTORIES: u64 = 12_000;

#[test]
fn promises_hold_in_every_history() {
    if let Some(seed) = number("SEED") {
        let (outcome, log) = play(seed, History::Real);
        eprintln!("{}", log.join("\n"));
        assert_eq!(outcome, Ok(()), "seed {seed}");
        return;
    }
    let first = number("FIRST").unwrap_or(0);
    for seed in first..first + number("HISTORIES").unwrap_or(HISTORIES) {
        let (outcome, log) = play(seed, History::Real);
        if let Err(broken) = outcome {
            let last = log.len().saturating_sub(60);
            eprintln!("{}", log[last..].join("\n"));
            panic!("{broken}; replay with SEED={seed}");
        }
    }
    eprintln!("{HISTORIES} histories");
}

#[test]
fn a_router_that_hears_nobody_breaks_a_promise() {
    let broken = (0..100).filter(|seed| play(*seed, History::Deaf).0.is_err());
    assert!(broken.count() > 20, "two masters are found");
}

#[test]
fn a_router_that_announces_only_once_breaks_a_promise() {
    let broken = (0..500).filter(|seed| play(*seed, History::Mute).0.is_err());
    assert!(broken.count() > 5, "a missing announcement is found");
}

#[test]
fn a_router_that_does_not_notice_a_pause_breaks_a_promise() {
    let broken = (0..500).filter(|seed| play(*seed, History::Hasty).0.is_err());
    assert!(broken.count() > 20, "speaking too early is found");
}

#[test]
fn a_restart_within_three_intervals_is_no_change_for_any_peer() {
    for seed in 0..1000 {
        histories::restart(seed);
    }
}

#[test]
fn a_seed_gives_the_same_history_twice() {
    assert_eq!(play(7, History::Real), play(7, History::Real));
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a seed, or a count, is a number"))
}
