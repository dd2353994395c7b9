use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio::{runtime::Handle, time::Instant};

use super::{Counts, Kind, Notifier, State, WAITING};
use crate::{
    config::model::{Command, Notify, Quorum},
    exec::tests::{command, eventually, is_root, lives, script_file, shell},
};

/// Scripts that note what they were told.
struct Diary(TempDir);

impl Diary {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Notes its name and arguments, after `first`.
    fn script(&self, name: &str, first: &str) -> Command {
        let text = format!(
            "{first}; echo {name} \"$@\" >> {}",
            self.path("told").display()
        );
        command(&["/bin/sh", "-c", &text, "sh"])
    }

    fn notify(&self) -> Notify {
        Notify {
            master: Some(self.script("master", ":")),
            backup: Some(self.script("backup", ":")),
            fault: Some(self.script("fault", ":")),
            stop: Some(self.script("stop", ":")),
            any: Some(self.script("any", ":")),
        }
    }

    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("told")).unwrap_or_default();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

fn notifier(notify: &Notify) -> Notifier {
    Notifier::new(Kind::Instance, "FloatIP01", notify, &Handle::current())
}

#[tokio::test]
async fn a_quorum_has_a_script_for_each_way_and_each_runs_once() {
    let diary = Diary::new();
    let quorum = Quorum {
        up: 1,
        hysteresis: 0,
        on_up: Some(diary.script("up", ":")),
        on_down: Some(diary.script("down", ":")),
    };
    let notifier = Notifier::new(Kind::Service, "web", &quorum, &Handle::current());
    for state in [State::Up, State::Up, State::Down, State::Down, State::Up] {
        notifier.transition(state, 0);
    }
    let counts = notifier.finish(PATIENCE).await;
    assert_eq!(counts.succeeded, 3);
    assert_eq!(diary.told(), ["up", "down", "up"]);
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_state_has_its_script_and_any_gets_the_arguments() {
    let diary = Diary::new();
    let notifier = notifier(&diary.notify());
    notifier.transition(State::Backup, 100);
    notifier.transition(State::Master, 100);
    notifier.transition(State::Fault, 90);
    notifier.transition(State::Stop, 90);
    let counts = notifier.finish(PATIENCE).await;
    let expected = [
        "backup",
        "any INSTANCE FloatIP01 BACKUP 100",
        "master",
        "any INSTANCE FloatIP01 MASTER 100",
        "fault",
        "any INSTANCE FloatIP01 FAULT 90",
        "stop",
        "any INSTANCE FloatIP01 STOP 90",
    ];
    assert_eq!(diary.told(), expected);
    assert_eq!(
        counts,
        Counts {
            succeeded: 8,
            ..Counts::default()
        }
    );
}

#[tokio::test]
async fn a_group_says_that_it_is_one() {
    let diary = Diary::new();
    let notify = Notify {
        any: Some(diary.script("any", ":")),
        ..Notify::default()
    };
    let notifier = Notifier::new(Kind::Group, "VG1", &notify, &Handle::current());
    notifier.transition(State::Master, 254);
    notifier.finish(PATIENCE).await;
    assert_eq!(diary.told(), ["any GROUP VG1 MASTER 254"]);
}

#[tokio::test]
async fn a_state_is_told_once() {
    let diary = Diary::new();
    let notifier = notifier(&diary.notify());
    for priority in [100, 100, 80] {
        notifier.transition(State::Master, priority);
    }
    notifier.finish(PATIENCE).await;
    assert_eq!(
        diary.told(),
        ["master", "any INSTANCE FloatIP01 MASTER 100"]
    );
}

#[tokio::test]
async fn scripts_run_one_after_the_other_and_nobody_waits_for_them() {
    let diary = Diary::new();
    let mut notify = diary.notify();
    // Takes its time, and would be overtaken if it could.
    notify.master = Some(diary.script("slow", "sleep 0.3"));
    let notifier = notifier(&notify);
    let started = Instant::now();
    notifier.transition(State::Master, 1);
    notifier.transition(State::Backup, 2);
    assert!(started.elapsed() < Duration::from_millis(100));
    notifier.finish(PATIENCE).await;
    let told = diary.told();
    assert_eq!(told[0], "slow");
    assert_eq!(told[2], "backup");
}

#[tokio::test]
async fn a_failing_or_refused_script_stops_nothing() {
    if !is_root() {
        return;
    }
    let diary = Diary::new();
    let open = tempfile::tempdir_in("/tmp").unwrap();
    let refused = script_file(open.path(), "x.sh", "#!/bin/sh\n", 0o755);
    let notify = Notify {
        master: Some(diary.script("failing", "trap 'exit 5' EXIT")),
        backup: Some(command(&[refused.to_str().unwrap()])),
        ..diary.notify()
    };
    let notifier = notifier(&notify);
    notifier.transition(State::Master, 1);
    notifier.transition(State::Backup, 1);
    let counts = notifier.finish(PATIENCE).await;
    let expected = [
        "failing",
        "any INSTANCE FloatIP01 MASTER 1",
        "any INSTANCE FloatIP01 BACKUP 1",
    ];
    assert_eq!(diary.told(), expected);
    assert_eq!((counts.succeeded, counts.failed), (2, 2));
}

#[tokio::test]
async fn a_script_over_its_limit_is_killed_and_the_next_runs() {
    let diary = Diary::new();
    let mut notify = diary.notify();
    notify.master = Some(diary.script("never", "sleep 1000"));
    let limit = Duration::from_millis(200);
    let notifier = Notifier::with_limit(
        Kind::Instance,
        "i",
        (&notify).into(),
        &Handle::current(),
        limit,
    );
    notifier.transition(State::Master, 1);
    eventually("any was told", || !diary.told().is_empty()).await;
    assert_eq!(diary.told(), ["any INSTANCE i MASTER 1"]);
    assert_eq!(notifier.counts().failed, 1);
    notifier.finish(PATIENCE).await;
}

#[tokio::test]
async fn when_too_many_wait_the_newest_are_told() {
    let diary = Diary::new();
    let mut notify = diary.notify();
    let go = diary.path("go");
    let wait = format!("until test -e {}; do sleep 0.01; done", go.display());
    notify.fault = Some(diary.script("held", &wait));
    let notifier = notifier(&notify);
    notifier.transition(State::Fault, 0);
    let extra = 11;
    for n in 0..WAITING + extra {
        let state = if n % 2 == 0 {
            State::Backup
        } else {
            State::Master
        };
        notifier.transition(state, u8::try_from(n).unwrap());
    }
    let left_out = u64::try_from(extra).unwrap();
    eventually("the first are left out", || {
        notifier.counts().left_out == left_out
    })
    .await;
    fs::write(go, "").unwrap();
    let counts = notifier.finish(PATIENCE).await;
    let told = diary.told();
    assert_eq!(counts.left_out, left_out);
    assert_eq!(told.len(), 2 + 2 * WAITING);
    assert_eq!(told[3], "any INSTANCE FloatIP01 MASTER 11");
    assert_eq!(told.last().unwrap(), "any INSTANCE FloatIP01 BACKUP 42");
}

#[tokio::test]
async fn the_stop_is_told_even_behind_one_that_hangs() {
    let diary = Diary::new();
    let mut notify = diary.notify();
    let pid = diary.path("pid");
    let hang = format!("echo $$ > {}; trap '' TERM; sleep 1000", pid.display());
    notify.master = Some(shell(&hang));
    let notifier = notifier(&notify);
    notifier.transition(State::Master, 1);
    notifier.transition(State::Backup, 1);
    notifier.transition(State::Stop, 1);
    eventually("it hangs", || pid.exists()).await;
    let started = Instant::now();
    let counts = notifier.finish(Duration::from_secs(4)).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let told = diary.told();
    assert_eq!(
        told[told.len() - 2..],
        ["stop", "any INSTANCE FloatIP01 STOP 1"]
    );
    assert_eq!(
        counts.left_out, 1,
        "there was no time for the backup: {told:?}"
    );
    let hanging = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    eventually("it is dead", || !lives(hanging)).await;
}

#[tokio::test]
async fn a_stop_that_hangs_is_cut_off() {
    let notify = Notify {
        stop: Some(shell("sleep 1000")),
        ..Notify::default()
    };
    let notifier = notifier(&notify);
    notifier.transition(State::Stop, 1);
    let started = Instant::now();
    let counts = notifier.finish(Duration::from_millis(300)).await;
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(counts.failed, 1);
}

#[tokio::test]
async fn other_scripts_are_for_later_transitions() {
    let diary = Diary::new();
    let notifier = notifier(&Notify {
        master: Some(diary.script("old", "sleep 0.1")),
        backup: Some(diary.script("old", "sleep 0.1")),
        ..Notify::default()
    });
    notifier.transition(State::Master, 1);
    notifier.transition(State::Backup, 1);
    notifier.replace(&Notify {
        master: Some(diary.script("new", ":")),
        ..Notify::default()
    });
    notifier.transition(State::Master, 1);
    notifier.finish(PATIENCE).await;
    assert_eq!(diary.told(), ["old", "old", "new"]);
}

#[test]
fn transitions_may_be_told_from_a_thread_without_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let diary = Diary::new();
    let notifier = Notifier::new(Kind::Instance, "i", &diary.notify(), runtime.handle());
    let notifier = std::thread::spawn(move || {
        notifier.transition(State::Master, 1);
        notifier
    })
    .join()
    .unwrap();
    runtime.block_on(notifier.finish(PATIENCE));
    assert_eq!(diary.told(), ["master", "any INSTANCE i MASTER 1"]);
}
