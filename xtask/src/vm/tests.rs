use super::*;

#[test]
fn a_word_reaches_the_guests_shell_as_it_is() {
    assert_eq!(quoted(b"plain"), b"'plain'");
    assert_eq!(quoted(b"it's $HOME"), b"'it'\\''s $HOME'");
}

#[test]
fn the_script_changes_directory_and_becomes_the_command() {
    let kernel = kernel::Kernel {
        release: "6.1.0".to_owned(),
        root: "/cache".into(),
    };
    let script = script(&kernel, &["echo".into(), "a b".into()]).unwrap();
    let script = String::from_utf8(script).unwrap();
    assert!(script.starts_with("cd '/"), "{script}");
    assert!(script.contains("export BALLAST_VM='6.1.0'\n"), "{script}");
    assert!(script.ends_with("\nexec 'echo' 'a b'\n"), "{script}");
}
