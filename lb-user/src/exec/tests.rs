//! Real programs, as root: nobody else may run what `permit` lets pass as another user.

use std::{
    fs,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command as StdCommand,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::{
        resource::{Resource, setrlimit},
        signal::{SigHandler, Signal, kill, signal},
    },
    unistd::Pid,
};
use tempfile::TempDir;

use super::{Leftovers, Limits, Outcome, StartError, User, launch::Step, permit, run, start};
use crate::config::model::Command;

/// Whether this is root. If not, says so, and fails where nothing may be skipped.
pub(crate) fn is_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "needs root: nothing may be skipped under CI"
    );
    eprintln!("SKIPPED: needs root, who alone may own scripts");
    false
}

/// A directory that only root can write to, all the way up; gone after the test.
pub(crate) fn guarded_dir() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("ballast-test-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in("/run");
    dir.expect("root can write to /run")
}

/// A file with these permissions. It is written by another process: with a descriptor of ours open for writing, a child of another
/// test could keep the file busy.
pub(crate) fn script_file(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.join(name);
    let written = StdCommand::new("/bin/sh")
        .args(["-c", r#"printf %s "$2" > "$1""#, "sh"])
        .args([path.as_os_str(), text.as_ref()])
        .status();
    assert!(written.expect("there is a shell").success());
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// A program with its arguments.
pub(crate) fn command(words: &[&str]) -> Command {
    let args = words[1..].iter().map(|word| (*word).to_owned()).collect();
    Command::new(words[0].into(), args).expect("absolute")
}

/// What the shell makes of it.
pub(crate) fn shell(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

/// Waits until `happened`.
pub(crate) async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while !happened() {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether it runs; a zombie does not.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn limits(timeout: Duration) -> Limits {
    Limits::check(timeout, None)
}

async fn run_shell(script: &str) -> Outcome {
    run(&shell(script), &[], &limits(PATIENCE)).await
}

/// The output of a program that must succeed.
async fn output(script: &str) -> String {
    match run_shell(script).await {
        Outcome::Exited { code: 0, output } => output,
        other => panic!("{script}: {other}"),
    }
}

/// Runs the rest of a test in a process of its own, where nobody else opens descriptors or has children. `true` in that process.
fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = StdCommand::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("exec::tests::{test}"), "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "no such test: {test}");
    false
}

#[tokio::test]
async fn the_exit_code_and_both_outputs_come_back() {
    let outcome = run_shell("echo one; echo two >&2; exit 7").await;
    let output = "one two".to_owned();
    assert_eq!(outcome, Outcome::Exited { code: 7, output });
    assert_eq!(outcome.to_string(), "exit code 7: one two");
    assert_eq!(outcome.verdict(), Some(false));
    assert_eq!(run_shell("exit 0").await.verdict(), Some(true));
}

#[tokio::test]
async fn extra_arguments_come_after_the_configured_ones() {
    let program = command(&["/bin/sh", "-c", r#"echo "$@""#, "sh", "a b"]);
    let extra = ["c".to_owned(), "d e".to_owned()];
    let outcome = run(&program, &extra, &limits(PATIENCE)).await;
    assert_eq!(outcome.to_string(), "exit code 0: a b c d e");
}

#[tokio::test]
async fn a_program_that_is_killed_says_by_what() {
    assert_eq!(
        run_shell("kill -SEGV $$").await.to_string(),
        "killed by SIGSEGV"
    );
    let real_time = run_shell("echo last words; kill -40 $$").await;
    assert_eq!(real_time.to_string(), "killed by signal 40: last words");
}

#[tokio::test]
async fn a_timeout_kills_grandchildren_that_ignore_sigterm_and_hold_the_pipe() {
    let script = "trap '' TERM; (trap '' TERM; while :; do sleep 1000; done) & echo $!; wait";
    let started = std::time::Instant::now();
    let outcome = run(&shell(script), &[], &limits(Duration::from_millis(300))).await;
    let Outcome::TimedOut { output } = outcome else {
        panic!("{outcome}");
    };
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    let grandchild = output.parse().expect("its number");
    eventually("the grandchild is dead", || !lives(grandchild)).await;
}

#[tokio::test]
async fn with_grace_a_program_may_clean_up_and_has_timed_out_all_the_same() {
    let limits = Limits {
        grace: PATIENCE,
        ..limits(Duration::from_millis(200))
    };
    let script = "trap 'echo cleaned; exit 0' TERM; sleep 1000 & wait";
    let outcome = run(&shell(script), &[], &limits).await;
    assert_eq!(outcome.to_string(), "timed out: cleaned");
}

#[tokio::test]
async fn without_an_answer_to_sigterm_the_kill_comes_after_the_grace() {
    let limits = Limits {
        grace: Duration::from_millis(200),
        ..limits(Duration::from_millis(200))
    };
    let outcome = run(&shell("trap '' TERM; sleep 1000; sleep 1000"), &[], &limits).await;
    assert_eq!(outcome.to_string(), "timed out");
}

#[tokio::test]
async fn what_a_check_leaves_in_the_background_is_killed_and_not_waited_for() {
    let started = std::time::Instant::now();
    let background = output("sleep 1000 & echo $!").await.parse().unwrap();
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
    eventually("the background process is dead", || !lives(background)).await;
}

#[tokio::test]
async fn what_a_notification_leaves_in_the_background_lives_on() {
    let limits = Limits {
        leftovers: Leftovers::Leave,
        ..limits(PATIENCE)
    };
    let outcome = run(&shell("sleep 1000 & echo $!"), &[], &limits).await;
    let Outcome::Exited { code: 0, output } = outcome else {
        panic!("{outcome}");
    };
    let background = output.parse().unwrap();
    assert!(lives(background));
    kill(Pid::from_raw(background), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn endless_output_ends_at_the_timeout_and_costs_little() {
    let program = command(&["/usr/bin/yes", "all work and no play"]);
    let outcome = run(&program, &[], &limits(Duration::from_millis(500))).await;
    let Outcome::TimedOut { output } = outcome else {
        panic!("{outcome}");
    };
    assert!(output.starts_with("all work and no play all work"));
    assert!(output.len() <= super::OUTPUT);
}

#[tokio::test]
async fn a_lot_of_output_is_read_to_the_end() {
    let line = output("head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2").await;
    assert_eq!(line, "x".repeat(super::OUTPUT));
}

#[tokio::test]
async fn output_that_is_closed_early_is_no_end() {
    assert_eq!(output("exec >&- 2>&-; sleep 0.05").await, "");
}

#[tokio::test]
async fn the_program_inherits_nothing_of_ours() {
    // A descriptor that is not close-on-exec, as a careless library would have it.
    let careless = fs::File::open("/dev/zero").unwrap();
    let open = fcntl(&careless, FcntlArg::F_DUPFD(100)).unwrap();
    assert!(Path::new(&format!("/proc/self/fd/{open}")).exists());
    // The last is that of `ls` itself.
    assert_eq!(output("exec ls /proc/self/fd").await, "0 1 2 3");
    assert_eq!(output("readlink /proc/self/fd/0").await, "/dev/null");
    nix::unistd::close(open).unwrap();
    drop(careless);

    assert_eq!(output("pwd; umask; ulimit -Sn").await, "/ 0022 1024");
    let signals = output("grep -E '^Sig(Blk|Ign)' /proc/self/status").await;
    assert_eq!(signals, "SigBlk: 0000000000000000 SigIgn: 0000000000000000");
    let program = command(&["/usr/bin/env"]);
    let environment = run(&program, &[], &limits(PATIENCE)).await.to_string();
    let expected = "exit code 0: PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert!(environment.starts_with(expected), "{environment}");
    assert!(!environment.contains("CARGO"), "{environment}");
}

#[tokio::test]
async fn the_program_has_a_session_and_group_of_its_own() {
    let ids = output("cut -d' ' -f1,5,6 /proc/$$/stat").await;
    let ids: Vec<&str> = ids.split(' ').collect();
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]), "{ids:?}");
}

#[tokio::test]
async fn another_user_has_own_groups_and_no_capabilities_and_we_stay_root() {
    if !is_root() {
        return;
    }
    let user = User::named("nobody");
    let limits = Limits {
        user: Some(user.clone()),
        ..limits(PATIENCE)
    };
    let script = "id -u; id -G; grep CapPrm /proc/self/status; echo $USER";
    let outcome = run(&shell(script), &[], &limits).await.to_string();
    let account = user.account().unwrap();
    let groups: Vec<String> = account.groups.iter().map(ToString::to_string).collect();
    let expected = format!(
        "exit code 0: {} {} CapPrm: 0000000000000000 nobody",
        account.uid,
        groups.join(" ")
    );
    assert_eq!(outcome, expected);
    // Every thread, for the C library's way of changing users changes all of them.
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status"));
        // A thread may have ended meanwhile.
        let status = status.unwrap_or_else(|_| "Uid:\t0\t0\t0\t0\n".to_owned());
        assert!(status.contains("Uid:\t0\t0\t0\t0\n"), "{status}");
    }
}

#[test]
fn users_are_found_by_name_and_number() {
    let (by_name, by_number) = (User::named("root"), User::named("0"));
    assert!(by_name.account().unwrap().uid.is_root());
    assert_eq!(by_name.account(), by_number.account());
    let error = User::named("no-such-user").check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no user `no-such-user`, create it with `useradd --system no-such-user` or name another"
    );
}

#[tokio::test]
async fn what_cannot_be_executed_is_not_started_and_says_nothing_of_the_target() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let path = script_file(dir.path(), "nonsense", "\u{1}not a program", 0o755);
    let program = command(&[path.to_str().unwrap()]);
    permit(&program).unwrap();
    let outcome = run(&program, &[], &limits(PATIENCE)).await;
    let Outcome::NotStarted(StartError::Child { step, .. }) = &outcome else {
        panic!("{outcome}");
    };
    assert_eq!(*step, Step::Exec);
    assert_eq!(outcome.verdict(), None);
    assert!(
        outcome
            .to_string()
            .ends_with("nonsense: cannot execute: Exec format error")
    );
}

#[tokio::test]
async fn a_program_that_became_writable_for_others_is_not_run_any_more() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let path = script_file(dir.path(), "check", "#!/bin/sh\nexit 0\n", 0o755);
    let program = command(&[path.to_str().unwrap()]);
    permit(&program).unwrap();
    assert_eq!(
        run(&program, &[], &limits(PATIENCE)).await.verdict(),
        Some(true)
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = run(&program, &[], &limits(PATIENCE)).await;
    assert!(
        matches!(outcome, Outcome::NotStarted(StartError::Refused(_))),
        "{outcome}"
    );
}

#[tokio::test]
async fn a_dropped_run_is_killed_with_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let noted = dir.path().join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", noted.display());
    let read = || -> Vec<i32> {
        let text = fs::read_to_string(&noted).unwrap_or_default();
        text.split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect()
    };
    tokio::select! {
        outcome = run_shell(&script) => panic!("{outcome}"),
        () = eventually("both run", || read().len() == 2) => {}
    }
    let pids = read();
    eventually("both are dead", || !pids.iter().any(|pid| lives(*pid))).await;
    // The next run reaps.
    run_shell("exit 0").await;
    assert!(!Path::new(&format!("/proc/{}", pids[0])).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_leave_no_zombie_and_no_descriptor() {
    if !alone("two_hundred_runs_leave_no_zombie_and_no_descriptor") {
        return;
    }
    run_shell("exit 0").await;
    let before = fs::read_dir("/proc/self/fd").unwrap().count();
    for round in 0..40 {
        let mut runs = tokio::task::JoinSet::new();
        for n in 0..5 {
            let (script, timeout) = [
                ("exit 1", PATIENCE),
                ("sleep 1000", Duration::from_millis(20)),
                ("sleep 1000 & exit 0", PATIENCE),
                ("yes | head -c 100000", PATIENCE),
                ("kill -9 $$", PATIENCE),
            ][n];
            let program = shell(script);
            runs.spawn(async move { run(&program, &[], &limits(timeout)).await });
        }
        for outcome in runs.join_all().await {
            assert!(outcome.verdict().is_some(), "round {round}: {outcome}");
        }
    }
    assert_eq!(fs::read_dir("/proc/self/fd").unwrap().count(), before);
    let own = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    assert_eq!(fs::read_to_string(own).unwrap_or_default(), "");
    assert_eq!(
        nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)),
        Err(nix::errno::Errno::ECHILD),
        "no child is left"
    );
}

#[tokio::test]
async fn without_descriptors_nothing_is_said_of_the_target() {
    if !alone("without_descriptors_nothing_is_said_of_the_target") {
        return;
    }
    let program = shell("exit 0");
    // From nothing free to enough: each amount fails at another place, or works.
    let free = fs::File::open("/dev/null").unwrap().as_raw_fd();
    let mut worked = false;
    for more in 0..10 {
        let limit = u64::try_from(free + more).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, limit, 4096).unwrap();
        let outcome = run(&program, &[], &limits(PATIENCE)).await;
        setrlimit(Resource::RLIMIT_NOFILE, 1024, 4096).unwrap();
        match outcome {
            Outcome::NotStarted(StartError::Resources { .. } | StartError::Refused(_)) => {
                assert!(!worked, "more descriptors do no harm");
            }
            Outcome::Exited { code: 0, .. } => worked = true,
            other => panic!("with {more} descriptors: {other}"),
        }
    }
    assert!(worked);
}

#[test]
fn a_late_start_is_waited_for_and_killed() {
    // The only thread that may block is taken.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, taken) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let blocker = tokio::task::spawn_blocking(move || taken.recv());
        let running = start(&shell("sleep 1000"), &[], &limits(PATIENCE));
        drop(release);
        assert!(blocker.await.unwrap().is_err());
        running.gone().await;
    });
}

#[tokio::test]
async fn a_lost_exit_code_is_not_taken_for_one() {
    if !alone("a_lost_exit_code_is_not_taken_for_one") {
        return;
    }
    #[expect(
        unsafe_code,
        reason = "the test's process is started with SIGCHLD ignored"
    )]
    // SAFETY: no handler is involved, and the process is the test's own.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
    let outcome = run_shell("exit 0").await;
    assert_eq!(outcome, Outcome::NotStarted(StartError::Lost));
}

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Set in the process of a test that wants one of its own.
const ALONE: &str = "BALLAST_TEST_ALONE";
