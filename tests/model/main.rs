//! Balancers on a virtual clock: thousands of histories, each from a seed, in which a living flow on a
//! living backend never changes it.
//!
//! The balancer is the real one: what the agent makes of configuration and health, in an arena of this
//! process, read by the code that the program in the kernel is made of. The reference beside it
//! (`flows.rs`, `clients.rs`) knows nothing of rings: only which packets a flow or a client has sent, when,
//! and what was promised.
//!
//! `SEED=n cargo test -p lb-tests --test model` plays one history and prints it; `BALLAST_HISTORIES=n`
//! plays so many.

mod agree;
mod balancer;
mod clients;
mod flaw;
mod flows;
mod histories;
mod table;
mod world;

use std::{
    collections::BTreeMap,
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use flaw::Flaw;
use histories::play;
use world::Seen;

/// Enough to meet every pair of events in every state of a slot; a quarter of a minute.
const HISTORIES: u64 = 1_000;

#[test]
fn living_flows_stay_on_living_backends_in_every_history() {
    if let Some(seed) = number("SEED") {
        let (outcome, world) = play(seed, Flaw::None);
        eprintln!("{}", world.log.join("\n"));
        assert_eq!(outcome, Ok(()), "seed {seed}");
        return;
    }
    let histories = number("BALLAST_HISTORIES").unwrap_or(HISTORIES);
    let next = AtomicU64::new(0);
    let seen = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| play_some(&next, histories)))
            .collect();
        let seen = threads
            .into_iter()
            .map(|thread| thread.join().expect("a promise is broken"));
        seen.flatten().collect::<Vec<_>>()
    });
    summarise(&seen);
}

#[test]
fn a_balancer_that_forgets_previous_owners_breaks_a_promise() {
    assert_noticed(Flaw::NoPreviousOwner);
}

#[test]
fn a_balancer_that_looks_away_from_the_table_breaks_a_promise() {
    assert_noticed(Flaw::NoTable);
}

#[test]
fn a_balancer_whose_grace_time_is_too_short_breaks_a_promise() {
    assert_noticed(Flaw::ShortGrace);
}

#[test]
fn a_balancer_that_forgets_flows_too_early_breaks_a_promise() {
    assert_noticed(Flaw::ShortMemory);
}

#[test]
fn a_balancer_that_forgets_clients_too_early_breaks_a_promise() {
    assert_noticed(Flaw::NoClients);
}

#[test]
fn an_agent_that_takes_moved_slots_for_settled_after_a_crash_breaks_a_promise() {
    assert_noticed(Flaw::ForgottenMoves);
}

/// The model notices a flaw, and soon.
fn assert_noticed(flaw: Flaw) {
    let broken = (0..FLAWED).filter(|seed| play(*seed, flaw).0.is_err());
    let broken = broken.count();
    eprintln!("{flaw:?}: {broken} of {FLAWED} histories are broken");
    assert!(broken > 0, "{flaw:?} is not noticed");
}

/// Plays histories until there are no more.
fn play_some(next: &AtomicU64, end: u64) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return seen;
        }
        let played = panic::catch_unwind(|| play(seed, Flaw::None));
        let (outcome, world) = played.unwrap_or_else(|cause| {
            eprintln!("a panic; replay with SEED={seed}");
            panic::resume_unwind(cause)
        });
        if let Err(broken) = outcome {
            let last = world.log.len().saturating_sub(40);
            eprintln!("{}", world.log[last..].join("\n"));
            panic!("{broken}; replay with SEED={seed}");
        }
        seen.push(world.seen);
    }
}

/// Says what the histories have shown, and that it was something.
fn summarise(seen: &[Seen]) {
    let stayed: u64 = seen.iter().map(|seen| seen.stayed).sum();
    let moved: u64 = seen.iter().map(|seen| seen.stayed_though_moved).sum();
    let opened: u64 = seen.iter().map(|seen| seen.opened).sum();
    let returned: u64 = seen.iter().map(|seen| seen.returned).sum();
    let mut excused = BTreeMap::<_, u64>::new();
    for (excuse, count) in seen.iter().flat_map(|seen| &seen.excused) {
        *excused.entry(*excuse).or_default() += count;
    }
    eprintln!(
        "{} histories: {opened} flows, {returned} of them of clients that had to come back and did; {stayed} packets had to stay and did, {moved} of them though their slot has another owner; excused (and gone elsewhere): {excused:?}",
        seen.len()
    );
    assert!(moved > 0, "no slot has ever moved under a flow");
    assert!(returned > 0, "no client has ever come back");
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Histories in which a flaw has to show.
const FLAWED: u64 = 60;
const THREADS: usize = 2;
