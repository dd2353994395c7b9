use proptest::prelude::*;

use super::*;

const TIMING: Timing = Timing {
    interval: Duration::from_secs(6),
    timeout: Duration::from_secs(2),
    retries: 2,
    retry_delay: Duration::from_secs(1),
    rise: 2,
};

fn good() -> Outcome {
    Outcome::Good(Text::new("200"))
}

fn bad() -> Outcome {
    Outcome::Bad(Text::new("connection refused"))
}

fn ours() -> Outcome {
    Outcome::Inconclusive(Text::new("too many open files"))
}

/// A check on a clock of its own: every attempt takes `took`.
struct Run {
    machine: Machine,
    start: Instant,
    now: Instant,
    took: Duration,
}

impl Run {
    fn new(timing: Timing) -> Self {
        let now = Instant::now();
        Self {
            machine: Machine::new(timing, 0, now),
            start: now,
            now,
            took: Duration::from_millis(10),
        }
    }

    /// Waits for the next attempt and ends it; how long the wait was, and what changed.
    fn step(&mut self, outcome: Outcome) -> (Duration, Option<Change>) {
        let due = self.machine.next_deadline().expect("nothing runs");
        let waited = due.saturating_duration_since(self.now);
        self.now = self.now.max(due);
        let deadline = self.machine.start(self.now);
        assert_eq!(deadline, self.now + self.machine.timing.timeout);
        assert_eq!(self.machine.next_deadline(), None, "one at a time");
        self.now += self.took;
        (waited, self.machine.handle_outcome(self.now, outcome))
    }

    fn steps(&mut self, outcomes: impl IntoIterator<Item = Outcome>) -> Vec<Health> {
        outcomes
            .into_iter()
            .map(|outcome| {
                self.step(outcome);
                self.machine.health()
            })
            .collect()
    }

    fn fall(&mut self) {
        while self.machine.health() == Health::Up {
            self.step(bad());
        }
    }
}

#[test]
fn a_backend_is_up_before_it_was_checked() {
    let run = Run::new(TIMING);
    assert_eq!(run.machine.health(), Health::Up);
    assert!(run.machine.last().is_none());
}

#[test]
fn it_falls_with_the_last_retry_and_returns_after_rise() {
    let mut run = Run::new(TIMING);
    use Health::{Down, Up};
    assert_eq!(
        run.steps([good(), bad(), bad(), bad(), good(), good()]),
        [Up, Up, Up, Down, Down, Up]
    );
}

#[test]
fn a_good_retry_forgives_the_failures_before_it() {
    let mut run = Run::new(TIMING);
    let outcomes = [bad(), bad(), good(), bad(), bad(), good()];
    assert!(run.steps(outcomes).iter().all(|h| *h == Health::Up));
}

#[test]
fn retries_follow_at_their_delay_and_everything_else_on_the_grid() {
    let mut run = Run::new(TIMING);
    assert_eq!(run.step(good()).0, Duration::ZERO);
    assert_eq!(run.step(bad()).0, TIMING.interval - run.took);
    assert_eq!(run.step(bad()).0, TIMING.retry_delay);
    assert_eq!(run.step(bad()).0, TIMING.retry_delay);
    assert_eq!(run.machine.health(), Health::Down);
    let due = run.machine.next_deadline().expect("nothing runs");
    assert_eq!(due, run.start + 2 * TIMING.interval, "back on the grid");
    run.step(bad());
    let due = run.machine.next_deadline().expect("nothing runs");
    assert_eq!(due, run.start + 3 * TIMING.interval, "no retries any more");
}

#[test]
fn an_attempt_longer_than_the_interval_skips_points_of_the_grid() {
    let mut run = Run::new(TIMING);
    run.took = Duration::from_secs(13);
    run.step(good());
    let due = run.machine.next_deadline().expect("nothing runs");
    assert_eq!(due, run.start + 3 * TIMING.interval);
}

#[test]
fn our_own_failures_change_nothing() {
    let mut run = Run::new(TIMING);
    run.step(bad());
    run.step(bad());
    for _ in 0..50 {
        let (_, change) = run.step(ours());
        assert_eq!(change, None);
    }
    assert_eq!(run.machine.streak().bad, 2, "and nothing is forgotten");
    assert_eq!(run.machine.streak().inconclusive, 50);
    run.step(bad());
    assert_eq!(run.machine.health(), Health::Down);
    run.step(good());
    run.step(ours());
    run.step(good());
    assert_eq!(run.machine.health(), Health::Up);
}

#[test]
fn our_own_failures_do_not_spin() {
    let mut run = Run::new(Timing {
        retry_delay: Duration::ZERO,
        ..TIMING
    });
    run.step(bad());
    run.step(ours());
    assert_eq!(run.step(ours()).0, BREATH);
}

#[test]
fn a_change_names_both_ends_and_dates_them() {
    let mut run = Run::new(Timing {
        retries: 0,
        rise: 1,
        ..TIMING
    });
    let (_, change) = run.step(bad());
    assert_eq!(
        change,
        Some(Change {
            from: Health::Up,
            to: Health::Down
        })
    );
    assert_eq!(run.machine.since(), run.now);
    assert_eq!(
        run.machine.reason().map(Text::as_str),
        Some("connection refused")
    );
    let fallen = run.now;
    run.step(bad());
    assert_eq!(run.machine.since(), fallen);
    run.step(good());
    assert_eq!(run.machine.since(), run.now);
}

#[test]
fn the_first_attempt_is_spread_over_the_interval_but_not_beyond_the_warm_up() {
    let now = Instant::now();
    let first = |interval, share| {
        let timing = Timing { interval, ..TIMING };
        let machine = Machine::new(timing, share, now);
        machine.next_deadline().expect("nothing runs") - now
    };
    let half = 1 << 63;
    assert_eq!(first(Duration::from_secs(6), half), Duration::from_secs(3));
    assert_eq!(first(Duration::from_secs(60), half), WARM_UP / 2);
    assert!(first(Duration::from_secs(60), u64::MAX) < WARM_UP);
}

#[test]
fn after_the_warm_up_a_long_interval_uses_all_of_itself() {
    let timing = Timing {
        interval: Duration::from_secs(60),
        ..TIMING
    };
    let now = Instant::now();
    let mut machine = Machine::new(timing, 1 << 63, now);
    machine.start(now + WARM_UP / 2);
    machine.handle_outcome(now + WARM_UP / 2, good());
    assert_eq!(machine.next_deadline(), Some(now + Duration::from_secs(30)));
}

#[test]
fn a_changed_check_takes_over_health_and_history() {
    let mut run = Run::new(TIMING);
    run.fall();
    let timing = Timing { rise: 1, ..TIMING };
    let next = Machine::succeed(timing, 0, run.now, &run.machine);
    assert_eq!(next.health(), Health::Down);
    assert_eq!(next.since(), run.machine.since());
    assert_eq!(next.last(), run.machine.last());
    assert_eq!(next.streak(), Streak::default(), "of this check");
}

#[test]
fn a_backend_that_flaps_is_held_back_longer_and_longer() {
    let mut run = Run::new(Timing {
        interval: Duration::from_secs(1),
        retries: 0,
        rise: 1,
        ..TIMING
    });
    let mut away = Vec::new();
    for _ in 0..10 {
        run.fall();
        let fallen = run.now;
        while run.machine.health() != Health::Up {
            run.step(good());
        }
        away.push((run.now - fallen).as_secs());
    }
    assert_eq!(away, [1, 1, 1, 1, 10, 20, 40, 80, 120, 120]);
}

#[test]
fn a_held_backend_that_fails_is_down_at_once() {
    let mut run = Run::new(Timing {
        interval: Duration::from_secs(1),
        retries: 5,
        rise: 1,
        ..TIMING
    });
    while run.machine.health() != Health::Held {
        run.fall();
        run.step(good());
    }
    assert!(
        run.machine
            .held_until()
            .is_some_and(|until| until > run.now)
    );
    let (_, change) = run.step(bad());
    assert_eq!(change.map(|c| c.to), Some(Health::Down));
}

#[test]
fn a_calm_time_wipes_the_slate() {
    let mut run = Run::new(Timing {
        interval: Duration::from_secs(1),
        retries: 0,
        rise: 1,
        ..TIMING
    });
    for _ in 0..4 {
        run.fall();
        run.step(good());
    }
    for _ in 0..300 {
        run.step(good());
    }
    run.fall();
    run.step(good());
    assert_eq!(run.machine.health(), Health::Up);
}

fn timings() -> impl Strategy<Value = Timing> {
    (50u64..20_000, 10u64..5_000, 0u32..5, 0u64..5_000, 1u32..5).prop_map(
        |(interval, timeout, retries, retry_delay, rise)| Timing {
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
            retries,
            retry_delay: Duration::from_millis(retry_delay),
            rise,
        },
    )
}

fn outcomes() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0u8..3, 0u64..10_000), 1..200)
}

proptest! {
    /// Against the rules, said in another way: what the outcomes before a change must have been.
    #[test]
    fn health_follows_the_rules(timing in timings(), share: u64, outcomes in outcomes()) {
        let mut now = Instant::now();
        let mut machine = Machine::new(timing, share, now);
        let mut conclusive: Vec<bool> = Vec::new();
        for (kind, took) in outcomes {
            let due = machine.next_deadline().expect("nothing runs");
            let longest = timing.interval.max(timing.retry_delay).max(BREATH);
            prop_assert!(due <= now + longest, "an attempt is never far away");
            now = now.max(due);
            machine.start(now);
            now += Duration::from_millis(took).min(timing.timeout);
            let outcome = [good(), bad(), ours()][usize::from(kind)].clone();
            let before = machine.health();
            if kind < 2 {
                conclusive.push(kind == 0);
            }
            let change = machine.handle_outcome(now, outcome);
            let run = |wanted: bool| {
                conclusive.iter().rev().take_while(|good| **good == wanted).count()
            };
            prop_assert_eq!(change.map(|c| (c.from, c.to)), (before != machine.health()).then_some((before, machine.health())));
            match (before, machine.health()) {
                _ if kind == 2 => prop_assert_eq!(change, None),
                (Health::Up, Health::Down) => prop_assert_eq!(run(false), timing.retries as usize + 1),
                (Health::Up, Health::Up) => prop_assert!(run(false) <= timing.retries as usize),
                (Health::Down, Health::Up | Health::Held) => prop_assert!(run(true) >= timing.rise as usize),
                (Health::Held, Health::Down) => prop_assert_eq!(kind, 1),
                (Health::Up, Health::Held) => prop_assert!(false, "only what was down is held"),
                _ => {}
            }
        }
    }

    /// The promise of the documentation: death to verdict.
    #[test]
    fn a_death_is_noticed_in_time(timing in timings(), share: u64, alive in 0u32..5) {
        let mut now = Instant::now();
        let mut machine = Machine::new(timing, share, now);
        for _ in 0..alive {
            now = machine.next_deadline().expect("nothing runs");
            machine.start(now);
            machine.handle_outcome(now, good());
        }
        let died = now;
        while machine.health() == Health::Up {
            now = now.max(machine.next_deadline().expect("nothing runs"));
            now = machine.start(now);
            machine.handle_outcome(now, bad());
        }
        prop_assert!(now - died <= timing.detection(), "{:?}", now - died);
    }
}
