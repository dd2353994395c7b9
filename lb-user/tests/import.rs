//! `ballast import` from outside: what goes where, and the exit codes.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const SETUP: &str = include_str!("../../tests/fixtures/keepalived/s2-ka1.conf");
const ONE_LINE: &str = "../tests/fixtures/keepalived/s2-oneline.conf";

fn import(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ballast"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("import")
        .args(args)
        .output()
        .expect("the program was built")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

/// Writes a file into a directory and gives its path.
fn file(dir: &Path, text: &str) -> String {
    let path = dir.join("keepalived.conf");
    fs::write(&path, text).expect("a scratch directory is writable");
    path.to_string_lossy().into_owned()
}

#[test]
fn the_document_goes_to_stdout_and_findings_to_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), SETUP);
    let done = import(&[&path]);
    assert_eq!(done.status.code(), Some(0));
    assert!(text(&done.stdout).contains("virtual_router_id: 52"));
    let told = text(&done.stderr);
    assert!(told.starts_with(&format!("{path}:19: ")), "{told}");
    assert_eq!(import(&[&path]).stdout, done.stdout);

    let yaml = dir.path().join("ballast.yaml");
    fs::write(&yaml, &done.stdout).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_ballast"))
        .args(["check", "-c"])
        .arg(&yaml)
        .status()
        .unwrap();
    assert!(checked.success());
}

#[test]
fn strict_makes_a_warning_a_failure_without_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), SETUP);
    let refused = import(&["--strict", &path]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    let path = file(
        dir.path(),
        &SETUP.replace("default via", "192.168.0.0/16 via"),
    );
    let done = import(&["--strict", &path]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(done.stderr.is_empty());
}

#[test]
fn exit_codes_tell_nothing_usable_from_wrong_usage_and_unreadable() {
    let nothing = import(&[ONE_LINE]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(nothing.stdout.is_empty());
    assert!(text(&nothing.stderr).starts_with(&format!("{ONE_LINE}:1: error: ")));
    assert_eq!(import(&[]).status.code(), Some(2));
    assert_eq!(
        import(&["--from", "haproxy", ONE_LINE]).status.code(),
        Some(2)
    );
    let unreadable = import(&["/nonexistent.conf"]);
    assert_eq!(unreadable.status.code(), Some(3));
    assert!(text(&unreadable.stderr).contains("cannot read /nonexistent.conf: No such file"));
    assert_eq!(import(&["/"]).status.code(), Some(3));
}

#[test]
fn json_has_document_and_findings_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let done = import(&["--json", &file(dir.path(), SETUP)]);
    let document: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(document["translated"], true);
    assert!(
        document["yaml"]
            .as_str()
            .unwrap()
            .contains("virtual_router_id: 52")
    );
    assert_eq!(document["diagnostics"][0]["line"], 19);
    assert_eq!(document["diagnostics"][0]["severity"], "warning");
    let nothing = import(&["--json", ONE_LINE]);
    assert_eq!(nothing.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_slice(&nothing.stdout).unwrap();
    assert_eq!(document["translated"], false);
}

#[test]
fn the_id_of_conditions_is_the_host_s_name_unless_given() {
    let dir = tempfile::tempdir().unwrap();
    let conf = SETUP.replace("    priority 100", "@one priority 7\n@two priority 8");
    let path = file(dir.path(), &conf);
    let priority = |args: &[&str]| {
        let done = import(&[args, &[&path]].concat());
        let yaml = text(&done.stdout);
        let line = yaml.lines().find(|l| l.contains("priority:"));
        line.map(|l| l.trim().to_owned())
    };
    assert_eq!(
        priority(&["--config-id", "one"]).as_deref(),
        Some("priority: 7")
    );
    assert_eq!(priority(&["-i", "two"]).as_deref(), Some("priority: 8"));
    // MASTER without a priority is 255.
    assert_eq!(priority(&["-i", "three"]).as_deref(), Some("priority: 255"));
}

#[test]
fn every_example_is_accepted() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let mut count = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let checked = Command::new(env!("CARGO_BIN_EXE_ballast"))
            .args(["check", "-c"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{}: {}",
            path.display(),
            text(&checked.stderr)
        );
        count += 1;
    }
    assert!(count >= 10);
}
