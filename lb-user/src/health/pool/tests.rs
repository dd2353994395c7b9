use std::{collections::BTreeSet, num::NonZeroU16, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    config::model::{BackendKey, Protocol, ServiceKey},
    health::{fsm::Timing, target::What},
};

const TIMING: Timing = Timing {
    interval: Duration::from_secs(6),
    timeout: Duration::from_secs(1),
    retries: 0,
    retry_delay: Duration::from_secs(1),
    rise: 1,
};

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not 0")
}

fn subject(service: u16, backend: u8) -> Subject {
    Subject {
        service: ServiceKey {
            address: [192, 0, 2, 1].into(),
            port: port(service),
            protocol: Protocol::Tcp,
        },
        backend: BackendKey {
            address: [10, 0, 0, backend].into(),
            port: port(80),
        },
    }
}

fn target(number: u32) -> Arc<Target> {
    let [_, _, high, low] = number.to_be_bytes();
    Arc::new(Target {
        at: ([10, 1, high, low], 80).into(),
        source: None,
        timing: TIMING,
        what: What::Tcp,
    })
}

fn good() -> Outcome {
    Outcome::Good(Text::new("connected"))
}

fn bad() -> Outcome {
    Outcome::Bad(Text::new("refused"))
}

/// What came out, sorted by kind.
#[derive(Default)]
struct Out {
    started: Vec<(CheckId, Arc<Target>)>,
    cancelled: Vec<CheckId>,
    published: Vec<(Subject, Option<Health>)>,
}

fn drain(pool: &mut Pool) -> Out {
    let mut out = Out::default();
    while let Some(action) = pool.poll_action() {
        match action {
            Action::Start { id, target, .. } => out.started.push((id, target)),
            Action::Cancel(id) => out.cancelled.push(id),
            Action::Publish(subject, verdict) => {
                out.published.push((subject, verdict.map(|v| v.health)));
            }
        }
    }
    out
}

/// Goes to the next deadline and starts what is due then.
fn next(pool: &mut Pool, now: &mut Instant) -> Out {
    *now = pool.next_deadline().expect("something is due");
    pool.handle_timeout(*now);
    drain(pool)
}

#[test]
fn equal_checks_run_once_and_serve_all() {
    let mut now = Instant::now();
    let mut pool = Pool::new(10);
    let shared = target(1);
    let wanted = BTreeMap::from([
        (subject(80, 1), Arc::clone(&shared)),
        (subject(81, 1), target(1)),
    ]);
    pool.set_targets(now, &wanted);
    drain(&mut pool);
    assert_eq!(pool.load().checks, 1);
    let out = next(&mut pool, &mut now);
    assert_eq!(out.started.len(), 1);
    pool.handle_outcome(now, out.started[0].0, bad());
    assert_eq!(
        drain(&mut pool).published,
        [
            (subject(80, 1), Some(Health::Down)),
            (subject(81, 1), Some(Health::Down))
        ]
    );
}

#[test]
fn an_unchanged_check_does_not_notice_a_reload() {
    let mut now = Instant::now();
    let mut pool = Pool::new(10);
    let wanted = BTreeMap::from([(subject(80, 1), target(1))]);
    pool.set_targets(now, &wanted);
    drain(&mut pool);
    let id = next(&mut pool, &mut now).started[0].0;
    let more = BTreeMap::from([(subject(80, 1), target(1)), (subject(80, 2), target(2))]);
    pool.set_targets(now, &more);
    let out = drain(&mut pool);
    assert!(out.cancelled.is_empty(), "the attempt goes on");
    assert_eq!(out.published, [(subject(80, 2), Some(Health::Up))]);
    pool.handle_outcome(now, id, bad());
    assert_eq!(
        drain(&mut pool).published,
        [(subject(80, 1), Some(Health::Down))]
    );
    let due = pool.report()[&subject(80, 1)].next;
    pool.set_targets(now, &wanted);
    assert_eq!(pool.report()[&subject(80, 1)].next, due);
}

#[test]
fn a_changed_check_takes_over_what_is_thought_of_its_backend() {
    let mut now = Instant::now();
    let mut pool = Pool::new(10);
    pool.set_targets(now, &BTreeMap::from([(subject(80, 1), target(1))]));
    drain(&mut pool);
    let id = next(&mut pool, &mut now).started[0].0;
    pool.handle_outcome(now, id, bad());
    drain(&mut pool);
    pool.set_targets(now, &BTreeMap::from([(subject(80, 1), target(2))]));
    let out = drain(&mut pool);
    assert!(out.published.is_empty(), "nothing is known to be different");
    let report = &pool.report()[&subject(80, 1)];
    assert_eq!(report.verdict.health, Health::Down);
    assert_eq!(report.verdict.reason.as_str(), "refused");
}

#[test]
fn a_check_that_is_not_wanted_any_more_is_broken_off_and_forgotten() {
    let mut now = Instant::now();
    let mut pool = Pool::new(1);
    pool.set_targets(now, &BTreeMap::from([(subject(80, 1), target(1))]));
    drain(&mut pool);
    let id = next(&mut pool, &mut now).started[0].0;
    pool.set_targets(now, &BTreeMap::new());
    let out = drain(&mut pool);
    assert_eq!(out.cancelled, [id]);
    assert_eq!(out.published, [(subject(80, 1), None)]);
    // It ended all the same, at that moment.
    pool.handle_outcome(now, id, bad());
    assert!(drain(&mut pool).published.is_empty());
    assert_eq!(pool.load().running, 0);
    assert_eq!(pool.next_deadline(), None);
    // Its place is free.
    pool.set_targets(now, &BTreeMap::from([(subject(80, 2), target(2))]));
    drain(&mut pool);
    assert_eq!(next(&mut pool, &mut now).started.len(), 1);
}

#[test]
fn a_backend_that_joins_a_shared_check_hears_its_verdict() {
    let mut now = Instant::now();
    let mut pool = Pool::new(10);
    let mut wanted = BTreeMap::from([(subject(80, 1), target(1)), (subject(81, 1), target(2))]);
    pool.set_targets(now, &wanted);
    drain(&mut pool);
    for _ in 0..2 {
        let out = next(&mut pool, &mut now);
        for (id, at) in out.started {
            let outcome = if at == target(1) { bad() } else { good() };
            pool.handle_outcome(now, id, outcome);
        }
    }
    drain(&mut pool);
    wanted.insert(subject(81, 1), target(1));
    pool.set_targets(now, &wanted);
    assert_eq!(
        drain(&mut pool).published,
        [(subject(81, 1), Some(Health::Down))]
    );
}

#[test]
fn what_is_due_beyond_the_limit_waits_its_turn() {
    let now = Instant::now();
    let mut pool = Pool::new(3);
    let wanted = (1..=5)
        .map(|n| (subject(80, n), target(n.into())))
        .collect();
    pool.set_targets(now, &wanted);
    drain(&mut pool);
    let later = now + TIMING.interval;
    pool.handle_timeout(later);
    let out = drain(&mut pool);
    assert_eq!(out.started.len(), 3);
    assert_eq!(pool.next_deadline(), None, "there is no room");
    pool.handle_outcome(later, out.started[0].0, good());
    assert!(pool.next_deadline().is_some_and(|due| due <= later));
    pool.handle_timeout(later);
    assert_eq!(drain(&mut pool).started.len(), 1);
    assert_eq!(pool.load().running, 3);
    assert_eq!(pool.load().lateness.total(), 4);
}

#[test]
fn descriptors_are_left_for_others() {
    assert_eq!(attempts_for(1024), 512);
    assert_eq!(attempts_for(4096), 3584);
    assert_eq!(attempts_for(1 << 20), 16_384);
    assert_eq!(attempts_for(0), 0);
}

#[test]
fn ten_thousand_checks_run_once_an_interval_each() {
    let start = Instant::now();
    let mut now = start;
    let mut pool = Pool::new(100_000);
    let wanted = (1..=10_000u16)
        .map(|n| (subject(n, 1), target(n.into())))
        .collect();
    pool.set_targets(now, &wanted);
    drain(&mut pool);
    let mut per_second = [0u32; 12];
    while now < start + 2 * TIMING.interval {
        for (id, _) in next(&mut pool, &mut now).started {
            let second = usize::try_from((now - start).as_secs()).expect("small");
            if let Some(count) = per_second.get_mut(second) {
                *count += 1;
            }
            pool.handle_outcome(now, id, good());
        }
    }
    assert_eq!(per_second.iter().sum::<u32>(), 20_000);
    assert!(
        per_second.iter().all(|count| (1500..1850).contains(count)),
        "{per_second:?}"
    );
}

proptest! {
    /// Whatever comes in: never more than the limit under way, never two attempts of one check, and nothing due is forgotten.
    #[test]
    fn attempts_are_bounded_and_none_is_lost(
        limit in 1usize..5,
        steps in prop::collection::vec((0u8..4, 0u32..8, 0u64..4000), 1..200),
    ) {
        let mut now = Instant::now();
        let mut pool = Pool::new(limit);
        let mut running: BTreeMap<CheckId, Arc<Target>> = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        for (step, number, millis) in steps {
            now += Duration::from_millis(millis);
            match step {
                0 => {
                    let who = subject(80, u8::try_from(number).expect("small") + 1);
                    if millis % 3 == 0 {
                        wanted.remove(&who);
                    } else {
                        wanted.insert(who, target(number % 4));
                    }
                    pool.set_targets(now, &wanted);
                }
                1 => {
                    if let Some((id, _)) = running.pop_first() {
                        let outcome = if millis % 2 == 0 { good() } else { bad() };
                        pool.handle_outcome(now, id, outcome);
                    }
                }
                _ => pool.handle_timeout(now),
            }
            let out = drain(&mut pool);
            for id in out.cancelled {
                prop_assert!(running.remove(&id).is_some(), "only what runs is broken off");
            }
            for (id, target) in out.started {
                prop_assert!(running.insert(id, target).is_none());
            }
            prop_assert!(running.len() <= limit);
            prop_assert_eq!(pool.load().running, running.len());
            let addresses: BTreeSet<_> = running.values().map(|target| target.at).collect();
            prop_assert_eq!(addresses.len(), running.len(), "one attempt a check");
            // Every check either runs or is due some time.
            for report in pool.report().values() {
                let runs = running.values().any(|target| *target == report.target);
                prop_assert_eq!(report.next.is_none(), runs);
            }
            if running.len() < limit && !pool.report().is_empty() && running.len() < pool.load().checks {
                prop_assert!(pool.next_deadline().is_some());
            }
        }
    }
}
