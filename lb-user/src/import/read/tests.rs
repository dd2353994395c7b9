use std::fs;

use super::*;

/// Files of one directory, and what is read from the first.
fn read(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let source = Source::read(&dir.path().join(files[0].0)).unwrap();
    let base = format!("{}/", dir.path().display());
    let lines = source
        .lines
        .iter()
        .map(|l| format!("{} {}", l.at, l.text).replace(&base, ""));
    let findings = source
        .findings
        .iter()
        .map(|f| f.to_string().replace(&base, ""));
    (lines.collect(), findings.collect())
}

#[test]
fn bytes_that_are_no_text_are_named_but_in_comments() {
    let text = b"! R\xe9partiteur\nauth_pass p\xe4ss # \xe4\n\"a\0b\"\nauth_pass \xc3\xa4\nas is \xef\xbf\xbd\n";
    let mut source = Source::default();
    source.lines("a.conf", text, |_, _| {});
    let findings: Vec<_> = source.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].starts_with("a.conf:2: error: `auth_pass p\u{fffd}ss` has bytes"));
    assert!(findings[1].starts_with("a.conf:3: error: "), "{findings:?}");
}

#[test]
fn included_files_stand_where_their_line_stood() {
    let (lines, findings) = read(&[
        ("a.conf", "one\ninclude conf.d/*.conf # all\nfour\n"),
        ("conf.d/2.conf", "three\n"),
        ("conf.d/1.conf", "two\ninclude \"../deep/{x,y}.inc\"\n"),
        ("conf.d/.hidden.conf", "hidden\n"),
        ("deep/x.inc", "x\r\n"),
        ("deep/y.inc", "y\n"),
    ]);
    assert_eq!(findings, [] as [&str; 0]);
    assert_eq!(
        lines,
        [
            "a.conf:1 one",
            "conf.d/1.conf:1 two",
            "conf.d/../deep/x.inc:1 x",
            "conf.d/../deep/y.inc:1 y",
            "conf.d/2.conf:1 three",
            "a.conf:3 four"
        ]
    );
}

#[test]
fn missing_and_circular_files_are_named_with_the_line_that_wants_them() {
    let (lines, findings) = read(&[
        (
            "a.conf",
            "one\ninclude b.conf\nincludea none.conf\ninclude none*\n",
        ),
        ("b.conf", "include a.conf\ntwo\n"),
    ]);
    assert_eq!(lines, ["a.conf:1 one", "b.conf:2 two"]);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(
        findings
            .iter()
            .any(|f| f.starts_with("b.conf:1: `a.conf` includes itself"))
    );
    assert!(
        findings
            .iter()
            .any(|f| f.starts_with("a.conf:3: cannot read `none.conf`"))
    );
    assert!(
        findings
            .iter()
            .any(|f| f.starts_with("a.conf:4: there is no file `none*`"))
    );
}

#[test]
fn includes_are_not_followed_for_ever() {
    let names: Vec<String> = (0..40).map(|n| format!("{n}.conf")).collect();
    let texts: Vec<String> = (1..41).map(|n| format!("include {n}.conf\n")).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .zip(&texts)
        .map(|(n, t)| (n.as_str(), t.as_str()))
        .collect();
    let (lines, findings) = read(&files);
    assert!(lines.is_empty());
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("nested deeper than 32"));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let error = Source::read(Path::new("/nonexistent.conf")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nonexistent.conf");
    assert!(Source::read(Path::new("/")).is_err());
}

#[test]
fn a_file_that_ends_within_a_line_is_suspected() {
    assert_eq!(Source::text("a", "x\ny").findings.len(), 1);
    assert_eq!(Source::text("a", "x\ny").findings[0].at.line, 2);
    assert!(Source::text("a", "\u{feff}x\n").lines[0].text == "x");
}
