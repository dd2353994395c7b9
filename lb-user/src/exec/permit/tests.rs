use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use super::{Refused, permit};
use crate::exec::tests::{command, guarded_dir, is_root, script_file};

fn refusal(words: &[&Path]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
    match permit(&command(&words)) {
        Ok(_) => panic!("{words:?} was permitted"),
        Err(refused) => refused.to_string(),
    }
}

fn is_permitted(words: &[&Path]) {
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
    if let Err(refused) = permit(&command(&words)) {
        panic!("{words:?}: {refused}");
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_script_of_root_in_directories_of_root_is_permitted() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    is_permitted(&[&script_file(dir.path(), "x.sh", "#!/bin/sh\n", 0o755)]);
    is_permitted(&[&script_file(
        dir.path(),
        "y.sh",
        "#! /usr/bin/env sh\n",
        0o700,
    )]);
    is_permitted(&[Path::new("/usr/bin/../bin/./env")]);
}

#[test]
fn whoever_else_can_write_is_named_with_the_remedy() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let path = script_file(dir.path(), "x.sh", "#!/bin/sh\n", 0o757);
    let name = path.display();
    let others = |mode| {
        format!(
            "refused: others than root can write to {name} (mode {mode}), use `chmod go-w {name}` or another place, like /etc/ballast"
        )
    };
    assert_eq!(refusal(&[&path]), others("0757"));
    mode(&path, 0o775);
    assert_eq!(refusal(&[&path]), others("0775"));
    mode(&path, 0o755);
    chown(&path, Some(1234), None).unwrap();
    assert_eq!(
        refusal(&[&path]),
        format!(
            "refused: {name} belongs to uid 1234, who could run anything with it, use `chown root {name}` or another place"
        )
    );
}

#[test]
fn a_directory_on_the_way_counts_also_if_it_is_sticky() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = script_file(&inner, "x.sh", "#!/bin/sh\n", 0o755);
    for bits in [0o777, 0o1777, 0o775] {
        mode(dir.path(), bits);
        let message = refusal(&[&path]);
        assert!(
            message.contains(&format!(
                "write to {} (mode {bits:04o})",
                dir.path().display()
            )),
            "{message}"
        );
    }
    mode(dir.path(), 0o755);
    is_permitted(&[&path]);
    chown(&inner, Some(1234), None).unwrap();
    assert!(refusal(&[&path]).contains("belongs to uid 1234"));
}

#[test]
fn a_link_leads_to_where_it_leads() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let open = tempfile::tempdir_in("/tmp").unwrap();
    let outside = script_file(open.path(), "x.sh", "#!/bin/sh\n", 0o755);
    let inside = script_file(dir.path(), "x.sh", "#!/bin/sh\n", 0o755);
    let link = |name: &str, target: &Path| -> PathBuf {
        let path = dir.path().join(name);
        symlink(target, &path).unwrap();
        path
    };
    is_permitted(&[&link("good", &inside)]);
    is_permitted(&[&link("relative", Path::new("x.sh"))]);
    assert!(refusal(&[&link("bad", &outside)]).contains("write to /tmp (mode 1777)"));
    let directory = link("directory", open.path());
    assert!(refusal(&[&directory.join("x.sh")]).contains("write to /tmp (mode 1777)"));
    // Up is seen from where the link leads, not from where it lies.
    let up = link("up", Path::new("/usr/share"));
    is_permitted(&[&up.join("../bin/env")]);
    let circle = link("circle", Path::new("circle"));
    let expected = Refused::Links {
        path: circle.clone(),
    }
    .to_string();
    assert_eq!(refusal(&[&circle]), expected);
}

#[test]
fn what_is_no_program_is_refused() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let plain = script_file(dir.path(), "plain", "#!/bin/sh\n", 0o644);
    let name = plain.display();
    let message = format!("cannot run {name}: it is not executable, use `chmod +x {name}`");
    assert_eq!(refusal(&[&plain]), message);
    let message = format!(
        "cannot run {}: it is not a regular file",
        dir.path().display()
    );
    assert_eq!(refusal(&[dir.path()]), message);
    let missing = dir.path().join("missing");
    let message = format!(
        "cannot run {}: No such file or directory",
        missing.display()
    );
    assert_eq!(refusal(&[&missing]), message);
    assert!(refusal(&[&plain.join("x")]).ends_with("Not a directory"));
}

#[test]
fn the_script_given_to_an_interpreter_counts_and_data_does_not() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let inside = script_file(dir.path(), "x.sh", "exit 0\n", 0o644);
    let open = tempfile::tempdir_in("/tmp").unwrap();
    let outside = script_file(open.path(), "x.sh", "exit 0\n", 0o644);
    let [sh, env, grep] = ["/bin/sh", "/usr/bin/env", "/bin/grep"].map(Path::new);
    is_permitted(&[sh, &inside, &outside]);
    is_permitted(&[sh, Path::new("-e"), &inside]);
    is_permitted(&[sh, Path::new("-c"), Path::new("exit 0")]);
    is_permitted(&[grep, Path::new("x"), &outside]);
    assert!(refusal(&[sh, &outside]).contains("write to /tmp"));
    assert!(refusal(&[sh, Path::new("-e"), &outside]).contains("write to /tmp"));
    assert!(refusal(&[env, Path::new("A=b"), &outside]).contains("write to /tmp"));
}

#[test]
fn the_interpreter_in_the_first_line_counts() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let open = tempfile::tempdir_in("/tmp").unwrap();
    let interpreter = script_file(open.path(), "interpreter", "#!/bin/sh\n", 0o755);
    let text = format!("#! {} -x\n", interpreter.display());
    let script = script_file(dir.path(), "x.sh", &text, 0o755);
    assert!(refusal(&[&script]).contains("write to /tmp"));
}
