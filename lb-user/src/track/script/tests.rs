use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::script;
use crate::{
    config::model::{Script, TrackWeight},
    exec::tests::{eventually, is_root, lives, shell},
    track::{Report, TrackerState},
};

/// A script that does what its test writes to a file, and notes each start.
struct Rig {
    dir: TempDir,
    report: watch::Receiver<Report>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

const INTERVAL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

impl Rig {
    fn new(first: &str, change: impl FnOnce(&mut Script)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (runs, does) = (dir.path().join("runs"), dir.path().join("does"));
        fs::write(&does, first).unwrap();
        let text = format!("echo $$ >> {}; . {}", runs.display(), does.display());
        let mut config = Script {
            name: "test".parse().unwrap(),
            command: shell(&text),
            interval: INTERVAL,
            timeout: Duration::from_secs(10),
            rise: 1,
            fall: 1,
            weight: TrackWeight::FAULT,
            user: nix::unistd::User::from_uid(nix::unistd::geteuid())
                .unwrap()
                .unwrap()
                .name,
        };
        change(&mut config);
        let (out, report) = watch::channel(Report::unknown(std::time::Instant::now()));
        let cancel = CancellationToken::new();
        let task = tokio::runtime::Handle::current().spawn(script(config, out, cancel.clone()));
        Self {
            dir,
            report,
            cancel,
            task,
        }
    }

    /// Replaces what the script does in one step.
    fn now_does(&self, what: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, what).unwrap();
        fs::rename(new, self.dir.path().join("does")).unwrap();
    }

    fn runs(&self) -> Vec<i32> {
        pids(&self.dir.path().join("runs"))
    }

    async fn state(&mut self, state: TrackerState) -> Report {
        let reached = self.report.wait_for(|report| report.state == state);
        timeout(PATIENCE, reached)
            .await
            .expect("in time")
            .unwrap()
            .clone()
    }

    async fn text(&mut self, part: &str) {
        let reached = self.report.wait_for(|report| report.text.contains(part));
        timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("never: {part}"))
            .unwrap();
    }

    async fn more_runs(&self, more: usize) {
        let before = self.runs().len();
        eventually("more runs", || self.runs().len() >= before + more).await;
    }
}

fn pids(path: &Path) -> Vec<i32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last may be half written.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn the_state_follows_the_exit_code() {
    let mut rig = Rig::new("exit 0", |_| {});
    assert_eq!(rig.state(TrackerState::Good).await.text, "exit code 0");
    rig.now_does("echo no backend; exit 3");
    let report = rig.state(TrackerState::Bad).await;
    assert_eq!(report.text, "exit code 3: no backend");
    rig.more_runs(3).await;
    assert_eq!(*rig.report.borrow(), report, "since when it is bad stays");
    rig.now_does("exit 0");
    rig.state(TrackerState::Good).await;
}

#[tokio::test]
async fn rise_and_fall_are_counted_and_told() {
    let mut rig = Rig::new("exit 0", |script| {
        script.fall = 100_000;
        script.rise = 3;
    });
    rig.state(TrackerState::Good).await;
    rig.now_does("exit 1");
    rig.text("exit code 1 (2 of 100000)").await;
    assert_eq!(rig.report.borrow().state, TrackerState::Good);

    let mut rig = Rig::new("exit 1", |script| script.rise = 2);
    rig.state(TrackerState::Bad).await;
    rig.now_does("exit 0");
    rig.text("exit code 0 (1 of 2)").await;
    rig.state(TrackerState::Good).await;
}

#[tokio::test]
async fn a_timeout_counts_as_a_failure_and_never_two_run_at_once() {
    let mut rig = Rig::new("sleep 1000", |script| {
        script.timeout = Duration::from_millis(60);
    });
    assert_eq!(rig.state(TrackerState::Bad).await.text, "timed out");
    // Each notes its number first: whenever there is a new one, all before it must be dead.
    for _ in 0..5 {
        rig.more_runs(1).await;
        let runs = rig.runs();
        let living = runs[..runs.len() - 1]
            .iter()
            .filter(|pid| lives(**pid))
            .count();
        assert_eq!(living, 0, "{runs:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_leaves_the_state_as_it_was() {
    if !is_root() {
        return;
    }
    let dir = crate::exec::tests::guarded_dir();
    let path = crate::exec::tests::script_file(dir.path(), "check", "#!/bin/sh\nexit 0\n", 0o755);
    let mut rig = Rig::new("", |script| {
        script.command = crate::exec::tests::command(&[path.to_str().unwrap()]);
    });
    rig.state(TrackerState::Good).await;
    fs::rename(&path, dir.path().join("away")).unwrap();
    rig.text("not started: cannot run").await;
    assert_eq!(rig.report.borrow().state, TrackerState::Good);
    fs::rename(dir.path().join("away"), &path).unwrap();
    rig.text("exit code 0").await;

    let mut nobody = Rig::new("exit 0", |script| script.user = "no-such-user".to_owned());
    nobody
        .text("not started: there is no user `no-such-user`")
        .await;
    assert_eq!(nobody.report.borrow().state, TrackerState::Unknown);
}

#[tokio::test]
async fn cancelling_kills_the_script() {
    let rig = Rig::new("sleep 1000 & wait", |_| {});
    rig.more_runs(1).await;
    rig.cancel.cancel();
    timeout(PATIENCE, rig.task).await.expect("in time").unwrap();
    let runs = pids(&rig.dir.path().join("runs"));
    eventually("the script is dead", || !lives(runs[0])).await;
}

#[tokio::test]
async fn the_interval_is_from_start_to_start() {
    let rig = Rig::new("sleep 0.1", |script| {
        script.interval = Duration::from_millis(200);
    });
    rig.more_runs(1).await;
    let started = tokio::time::Instant::now();
    rig.more_runs(5).await;
    // Not 5 × 300 ms; and a busy machine may be late, but not early.
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    rig.cancel.cancel();
}
