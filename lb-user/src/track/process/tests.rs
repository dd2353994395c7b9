use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use nix::{
    sys::{signal::Signal, signal::kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, sync::DropGuard};

use super::{process, scan};
use crate::track::{Report, TrackerState};

/// A copy of `sleep` under a name that nobody else has.
struct Program {
    dir: TempDir,
    name: String,
}

/// A process that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Process {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }
}

impl Program {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("{name}{}", std::process::id());
        // By another process: a child of another test could keep a file busy that we have open for writing.
        let copied = Command::new("cp")
            .arg("/usr/bin/sleep")
            .arg(dir.path().join(&name))
            .status();
        assert!(copied.unwrap().success());
        Self { dir, name }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    fn start(&self) -> Process {
        Process(Command::new(self.path()).arg("1000").spawn().unwrap())
    }

    fn track(&self) -> Tracked {
        let (out, report) = watch::channel(Report::unknown(Instant::now()));
        let cancel = CancellationToken::new();
        let tracker = process(self.name.clone(), out, cancel.clone());
        tokio::runtime::Handle::current().spawn(tracker);
        Tracked {
            report,
            _cancel: cancel.drop_guard(),
        }
    }
}

struct Tracked {
    report: watch::Receiver<Report>,
    _cancel: DropGuard,
}

impl Tracked {
    async fn state(&mut self, state: TrackerState) -> String {
        let reached = self.report.wait_for(|report| report.state == state);
        let reached = timeout(PATIENCE, reached).await;
        reached
            .unwrap_or_else(|_| panic!("never: {state:?}"))
            .unwrap()
            .text
            .clone()
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_start_and_a_death_are_seen() {
    let program = Program::new("bt1-");
    let mut tracked = program.track();
    let text = tracked.state(TrackerState::Bad).await;
    assert_eq!(text, format!("no process is called {}", program.name));
    let process = program.start();
    let text = tracked.state(TrackerState::Good).await;
    assert_eq!(text, format!("runs as {}", process.pid()));
    let killed = Instant::now();
    // Not reaped: a zombie is dead.
    kill(process.pid(), Signal::SIGKILL).unwrap();
    tracked.state(TrackerState::Bad).await;
    println!("death seen after {:?}", killed.elapsed());
}

#[tokio::test]
async fn the_last_death_counts() {
    let program = Program::new("bt2-");
    let mut tracked = program.track();
    tracked.state(TrackerState::Bad).await;
    let mut processes: Vec<Process> = (0..super::HELD + 4).map(|_| program.start()).collect();
    tracked.state(TrackerState::Good).await;
    let last = processes.pop().unwrap();
    drop(processes);
    // It was not among those that are held, so it is found anew.
    let alone = format!("runs as {}", last.pid());
    let found = tracked.report.wait_for(|report| report.text == alone);
    timeout(PATIENCE, found).await.expect("in time").unwrap();
    assert_eq!(tracked.report.borrow().state, TrackerState::Good);
    drop(last);
    tracked.state(TrackerState::Bad).await;
}

#[tokio::test]
async fn a_process_that_becomes_another_program_is_gone() {
    let program = Program::new("bt3-");
    // The shell under the program's name, until it is told to go on.
    let link = program.dir.path().join("sh");
    Command::new("cp")
        .arg("/bin/sh")
        .arg(&link)
        .status()
        .unwrap();
    std::fs::rename(&link, program.path()).unwrap();
    let mut child = Process(
        Command::new(program.path())
            .args(["-c", "read go; exec sleep 1000"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut tracked = program.track();
    tracked.state(TrackerState::Good).await;
    drop(child.0.stdin.take());
    tracked.state(TrackerState::Bad).await;
}

#[tokio::test]
async fn scripts_long_names_and_replaced_executables_have_names() {
    let program = Program::new("ballast-test-with-a-long-name-");
    let process = program.start();
    let is = |name: &str| scan::matches(process.pid(), name).unwrap();
    let named = || is(&program.name) && is("ballast-test-wi");
    crate::exec::tests::eventually("the program has its name", named).await;
    assert!(is(&program.name), "by the executable");
    assert!(is("ballast-test-wi"), "by what the kernel keeps");
    assert!(!is("ballast-test-with-a-long-name"), "but not by a part");
    std::fs::remove_file(program.path()).unwrap();
    assert!(is(&program.name), "deleted meanwhile");

    let dir = crate::exec::tests::guarded_dir();
    let name = format!("ballast-test-long-script-{}", std::process::id());
    let script = crate::exec::tests::script_file(dir.path(), &name, "#!/bin/sh\nread x\n", 0o755);
    let script = Process(
        Command::new(&script)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    // The kernel gives names a moment after it lets us go on.
    let by_path = || scan::matches(script.pid(), &name).unwrap();
    crate::exec::tests::eventually("known by the script's path", by_path).await;
    assert!(!scan::matches(script.pid(), "ballast-test-long-scriptures").unwrap());
    assert!(!scan::matches(script.pid(), "").unwrap());
}

#[test]
fn what_is_gone_does_not_match() {
    let mut child = Command::new("/bin/true").spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    child.wait().unwrap();
    assert!(!scan::matches(pid, "true").unwrap());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_search_is_cheap() {
    let processes = std::fs::read_dir("/proc").unwrap().count();
    let started = Instant::now();
    assert!(scan::find("no-such-process", 8).unwrap().is_empty());
    println!("{:?} for {processes} entries", started.elapsed());
}
