use std::process::Command;

use super::*;

fn answer(path: &Path) -> Option<i32> {
    Command::new(path)
        .args(["nginx", "start"])
        .status()
        .unwrap()
        .code()
}

fn policy(dir: &Path, exit: i32) -> PathBuf {
    let path = dir.join("policy-rc.d");
    fs::write(&path, format!("#!/bin/sh\nexit {exit}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn daemons_are_forbidden_until_the_guard_drops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy-rc.d");
    let guard = NoDaemons::install(&path).unwrap();
    assert_eq!(answer(&path), Some(101));
    drop(guard);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_policy_that_was_there_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = policy(dir.path(), 104);
    let guard = NoDaemons::install(&path).unwrap();
    assert_eq!(answer(&path), Some(101));
    drop(guard);
    assert_eq!(answer(&path), Some(104));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_a_killed_setup_leaves_answers_as_before_and_is_cleared_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = policy(dir.path(), 104);
    let killed = NoDaemons::install(&path).unwrap();
    // Its process is gone: no such pid.
    fs::write(&path, script(u32::MAX, &killed.saved)).unwrap();
    std::mem::forget(killed);
    assert_eq!(answer(&path), Some(104));

    let next = NoDaemons::install(&path).unwrap();
    assert_eq!(answer(&path), Some(101));
    drop(next);
    assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 104\n");
}
