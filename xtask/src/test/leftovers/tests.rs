use std::os::unix::fs::symlink;

use super::*;

#[test]
fn everything_of_ours_is_found_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for path in [
        "netns/ballast-lb1",
        "netns/blue",
        "bpf/ballast-test-7",
        "bpf/ballast",
        "proc/42",
        "proc/43",
        "proc/44",
        "proc/sys",
    ] {
        fs::create_dir_all(at(path)).unwrap();
    }
    let agent = Path::new("/src/target/debug/ballast");
    symlink(agent, at("proc/42/exe")).unwrap();
    symlink("/usr/bin/ballast", at("proc/43/exe")).unwrap();
    symlink("/src/target/debug/ballast (deleted)", at("proc/44/exe")).unwrap();

    let found = Leftovers::find_in(&at("netns"), &at("bpf"), &at("proc"), agent).unwrap();
    let remedies: Vec<_> = found.0.iter().map(|(_, remedy)| remedy.clone()).collect();
    let pins = format!("rm -r {}", at("bpf/ballast-test-7").display());
    assert_eq!(
        remedies,
        ["ip netns del ballast-lb1", &pins, "kill 42", "kill 44"]
    );
    let text = found.explain("after the tests");
    assert!(
        text.starts_with("after the tests: network namespace ballast-lb1, pins in "),
        "{text}"
    );
}

#[test]
fn a_host_without_namespaces_or_bpffs_is_clean() {
    let none = Path::new("/nonexistent");
    assert!(
        Leftovers::find_in(none, none, none, none)
            .unwrap()
            .is_empty()
    );
}
