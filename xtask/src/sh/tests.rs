use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

#[test]
fn a_failure_names_the_command_line_and_what_it_said() {
    let error = output(command("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("`sh -c "), "{text}");
    assert!(text.contains("exit status: 3: no such thing"), "{text}");
}

#[test]
fn a_missing_program_is_named() {
    let error = output(&mut command("no-such-program")).unwrap_err();
    assert!(format!("{error:#}").contains("cannot run `no-such-program`"));
}

#[test]
fn the_newest_of_ubuntus_bpftools_is_taken() {
    let tools = tempfile::tempdir().unwrap();
    for (version, mode) in [
        ("6.8.0-41-generic", 0o755),
        ("6.8.0-100-generic", 0o755),
        ("6.9.0-1-generic", 0o644),
    ] {
        let dir = tools.path().join(version);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("bpftool"), "").unwrap();
        fs::set_permissions(dir.join("bpftool"), fs::Permissions::from_mode(mode)).unwrap();
    }
    let found = ubuntu_bpftool_dir(tools.path());
    assert_eq!(found, Some(tools.path().join("6.8.0-100-generic")));
}

#[test]
fn the_root_of_the_workspace_has_its_manifest() {
    assert!(workspace_root().join("Cargo.toml").exists());
}
