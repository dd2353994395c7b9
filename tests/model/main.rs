//! Balancers on a virtual clock: thousands of histories, each from a seed, in which a living flow on a
//! living backend never changes it.

mod agree;
mod balancer;
mod flows;
mod histories;
mod table;
mod world;

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use histories::play;

const HISTORIES: u64 = 4_000;

#[test]
fn living_flows_stay_on_living_backends_in_every_history() {
    if let Some(seed) = seed() {
        let (outcome, world) = play(seed);
        eprintln!("{}", world.log.join("\n"));
        assert_eq!(outcome, Ok(()), "seed {seed}");
        return;
    }
    let next = AtomicU64::new(0);
    let seen = thread::scope(|scope| {
        let some = || {
            let mut seen = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= HISTORIES {
                    return seen;
                }
                let played = panic::catch_unwind(|| play(seed));
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
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(some)).collect();
        let seen = threads
            .into_iter()
            .map(|thread| thread.join().expect("a promise is broken"));
        seen.flatten().collect::<Vec<_>>()
    });
    let stayed: u64 = seen.iter().map(|seen| seen.stayed).sum();
    let opened: u64 = seen.iter().map(|seen| seen.opened).sum();
    let mut excused = std::collections::BTreeMap::<_, u64>::new();
    for (excuse, count) in seen.iter().flat_map(|seen| &seen.excused) {
        *excused.entry(*excuse).or_default() += count;
    }
    eprintln!(
        "{HISTORIES} histories: {opened} flows, {stayed} packets stayed; excused: {excused:?}"
    );
}

fn seed() -> Option<u64> {
    let text = std::env::var("SEED").ok()?;
    Some(text.parse().expect("SEED is a number"))
}
