//! With a prober that does what it is told and a clock that jumps.

use std::{
    num::NonZeroU16,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use super::*;
use crate::{
    config::model::{BackendKey, Protocol, ServiceKey},
    health::{
        fsm::{Health, Timing},
        target::What,
    },
};

const TIMING: Timing = Timing {
    interval: Duration::from_secs(6),
    timeout: Duration::from_secs(2),
    retries: 1,
    retry_delay: Duration::from_secs(1),
    rise: 1,
};

fn subject(number: u16) -> Subject {
    let port = NonZeroU16::new(number).unwrap();
    Subject {
        service: ServiceKey {
            address: [192, 0, 2, 1].into(),
            port,
            protocol: Protocol::Tcp,
        },
        backend: BackendKey {
            address: [10, 0, 0, 1].into(),
            port,
        },
    }
}

fn target(number: u16) -> Arc<Target> {
    Arc::new(Target {
        at: ([10, 0, 0, 1], number).into(),
        source: None,
        timing: TIMING,
        what: What::Tcp,
    })
}

fn targets(numbers: impl IntoIterator<Item = u16>) -> BTreeMap<Subject, Arc<Target>> {
    numbers
        .into_iter()
        .map(|number| (subject(number), target(number)))
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Good,
    Bad,
    Hang,
    Panic,
}

/// Does what it is told, and counts.
#[derive(Clone)]
struct Fake(Arc<Shared>);

struct Shared {
    behaviour: Mutex<Behaviour>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    attempts: AtomicUsize,
}

impl Fake {
    fn new(behaviour: Behaviour) -> Self {
        Self(Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
        }))
    }

    fn set(&self, behaviour: Behaviour) {
        *self.0.behaviour.lock().unwrap() = behaviour;
    }
}

/// An attempt under way, counted until it is dropped.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Prober for Fake {
    fn attempt(
        &self,
        _target: Arc<Target>,
        deadline: Instant,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let shared = Arc::clone(&self.0);
        let now = shared.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most.fetch_max(now, Ordering::Relaxed);
        shared.attempts.fetch_add(1, Ordering::Relaxed);
        let guard = UnderWay(Arc::clone(&shared));
        async move {
            let _guard = guard;
            let behaviour = *shared.behaviour.lock().unwrap();
            match behaviour {
                Behaviour::Good => Outcome::Good(Text::new("good")),
                Behaviour::Bad => Outcome::Bad(Text::new("bad")),
                Behaviour::Hang => {
                    tokio::time::sleep_until(deadline).await;
                    Outcome::Bad(Text::new("timed out"))
                }
                Behaviour::Panic => panic!("told to"),
            }
        }
    }
}

/// A driver that runs beside the test.
struct Run {
    checks: Checks,
    changes: Changes,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

fn start(fake: &Fake, limit: usize) -> Run {
    let (driver, checks, changes) = driver(fake.clone(), limit);
    let cancel = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver.run(cancel.clone()));
    Run {
        checks,
        changes,
        cancel,
        tasks,
    }
}

async fn health(run: &mut Run, number: u16) -> Health {
    loop {
        if let Some(Some(verdict)) = run.changes.next().await.remove(&subject(number)) {
            return verdict.health;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_dies_and_returns_is_told_in_time() {
    let fake = Fake::new(Behaviour::Good);
    let mut run = start(&fake, 100);
    run.checks.set_targets(targets([1])).await.unwrap();
    assert_eq!(health(&mut run, 1).await, Health::Up);
    sleep(Duration::from_secs(20)).await;
    fake.set(Behaviour::Bad);
    let died = Instant::now();
    assert_eq!(health(&mut run, 1).await, Health::Down);
    assert!(died.elapsed() <= TIMING.interval + TIMING.retry_delay);
    fake.set(Behaviour::Good);
    let back = Instant::now();
    assert_eq!(health(&mut run, 1).await, Health::Up);
    assert!(back.elapsed() <= TIMING.interval);
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_verdict_waits_for_whoever_is_slow() {
    let fake = Fake::new(Behaviour::Bad);
    let mut run = start(&fake, 100);
    run.checks.set_targets(targets(1..=50)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let verdicts = run.changes.next().await;
    assert_eq!(verdicts.len(), 50);
    let down = |v: &Option<crate::health::pool::Verdict>| {
        v.as_ref().is_some_and(|v| v.health == Health::Down)
    };
    assert!(verdicts.values().all(down));
}

#[tokio::test(start_paused = true)]
async fn hanging_backends_do_not_hold_up_the_others() {
    let fake = Fake::new(Behaviour::Hang);
    let run = start(&fake, 10_000);
    run.checks.set_targets(targets(1..=1000)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let (reports, load) = run.checks.report().await.unwrap();
    assert_eq!(reports.len(), 1000);
    assert!(
        load.lateness.quantile(1000) <= Some(Duration::from_millis(4)),
        "{load:?}"
    );
    assert!(reports.values().all(|r| r.verdict.health == Health::Down));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_run_at_once_and_all_get_their_turn() {
    let fake = Fake::new(Behaviour::Hang);
    let run = start(&fake, 7);
    run.checks.set_targets(targets(1..=50)).await.unwrap();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(fake.0.most.load(Ordering::Relaxed), 7);
    let (reports, _) = run.checks.report().await.unwrap();
    assert!(reports.values().all(|report| report.last.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_is_inconclusive_and_the_others_go_on() {
    let fake = Fake::new(Behaviour::Panic);
    let run = start(&fake, 100);
    run.checks.set_targets(targets([1])).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let (reports, load) = run.checks.report().await.unwrap();
    let report = &reports[&subject(1)];
    assert_eq!(report.verdict.health, Health::Up);
    assert!(report.streak.inconclusive >= 4);
    assert_eq!(load.running, usize::from(report.next.is_none()));
}

#[tokio::test(start_paused = true)]
async fn removed_checks_and_a_cancelled_driver_leave_nothing_under_way() {
    let fake = Fake::new(Behaviour::Hang);
    let mut run = start(&fake, 100);
    run.checks.set_targets(targets(1..=50)).await.unwrap();
    sleep(TIMING.interval).await;
    assert!(fake.0.under_way.load(Ordering::Relaxed) > 0);
    run.checks.set_targets(targets([])).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.0.under_way.load(Ordering::Relaxed), 0);
    let gone = run.changes.next().await;
    assert!(gone.values().all(Option::is_none));

    run.checks.set_targets(targets(1..=50)).await.unwrap();
    sleep(TIMING.interval).await;
    assert!(fake.0.under_way.load(Ordering::Relaxed) > 0);
    run.cancel.cancel();
    run.tasks.join_next().await.unwrap().unwrap();
    assert_eq!(fake.0.under_way.load(Ordering::Relaxed), 0);
    assert_eq!(run.checks.report().await, Err(Stopped));
}
