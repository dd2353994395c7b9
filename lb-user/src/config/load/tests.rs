use super::*;
use crate::config::tree::{Kind, Value};

fn tree(text: &str) -> Node {
    let mut cx = Cx::new("t.yaml");
    let tree = parse(&mut cx, text);
    let found = Diagnostics::new(cx.into_diagnostics());
    assert!(found.is_empty(), "{found}");
    tree.unwrap()
}

/// What is wrong, without the file's name.
fn wrong(text: &str) -> Vec<String> {
    let mut cx = Cx::new("t.yaml");
    parse(&mut cx, text);
    Diagnostics::new(cx.into_diagnostics())
        .iter()
        .map(|d| d.to_string().trim_start_matches("t.yaml:").to_owned())
        .collect()
}

/// The node at `path`.
fn node<'a>(tree: &'a Node, path: &str) -> &'a Node {
    path.split('.').fold(tree, |node, step| match &node.value {
        Value::Map(entries) => &entries.iter().find(|e| e.key == step).unwrap().node,
        Value::List(items) => &items[step.parse::<usize>().unwrap()],
        other => panic!("no {step} in {other:?}"),
    })
}

fn at(tree: &Node, path: &str) -> (u32, u32) {
    let Pos { line, column } = node(tree, path).at;
    (line, column)
}

fn text<'a>(tree: &'a Node, path: &str) -> (&'a str, Kind) {
    match &node(tree, path).value {
        Value::Scalar { text, kind } => (text, *kind),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn a_number_too_large_for_any_is_as_it_is_spelled() {
    let tree = tree("{ a: 12e3456, b: -9e9999, c: .inf, d: '12e3456' }");
    assert_eq!(text(&tree, "a"), ("12e3456", Kind::Number));
    assert_eq!(text(&tree, "b"), ("-9e9999", Kind::Number));
    assert_eq!(text(&tree, "c"), (".inf", Kind::Number));
    assert_eq!(text(&tree, "d"), ("12e3456", Kind::Text));
}

#[test]
fn every_value_knows_where_it_begins() {
    let tree = tree(
        "# comment\n\na: 1\nb:\n  - { c: x, d: [y, 2] }\n  - c: \"é\"\n    d:   z # comment\n",
    );
    assert_eq!(at(&tree, "a"), (3, 4));
    assert_eq!(at(&tree, "b"), (5, 3));
    assert_eq!(at(&tree, "b.0"), (5, 5));
    assert_eq!(at(&tree, "b.0.c"), (5, 10));
    assert_eq!(at(&tree, "b.0.d.1"), (5, 20));
    assert_eq!(at(&tree, "b.1"), (6, 5));
    assert_eq!(at(&tree, "b.1.c"), (6, 8));
    assert_eq!(at(&tree, "b.1.d"), (7, 10));
}

#[test]
fn columns_count_characters_not_bytes() {
    assert_eq!(at(&tree("{ é: ü, b: 1 }"), "b"), (1, 12));
    assert_eq!(
        text(&tree("{ é: ü, b: 0x10 }"), "b"),
        ("0x10", Kind::Number)
    );
}

#[test]
fn a_number_keeps_its_spelling() {
    let tree = tree(
        "a: 0123\nb: 1e3\nc: -5   # c\nd: 1.50\ne: 99999999999999999999\nf: .nan\ng: 0xff\nh: !!str 12\ni: \"12\"\n",
    );
    assert_eq!(text(&tree, "a").0, "0123");
    assert_eq!(text(&tree, "b"), ("1e3", Kind::Number));
    assert_eq!(text(&tree, "c"), ("-5", Kind::Number));
    assert_eq!(text(&tree, "d"), ("1.50", Kind::Number));
    assert_eq!(text(&tree, "e").0, "99999999999999999999");
    assert_eq!(text(&tree, "f").0, ".nan");
    assert_eq!(text(&tree, "g"), ("0xff", Kind::Number));
    assert_eq!(text(&tree, "h"), ("12", Kind::Text));
    assert_eq!(text(&tree, "i"), ("12", Kind::Text));
}

#[test]
fn only_true_and_false_are_booleans() {
    let tree = tree("a: true\nb: no\nc: on\nd: False\n");
    assert_eq!(text(&tree, "a"), ("true", Kind::Bool));
    assert_eq!(text(&tree, "b"), ("no", Kind::Text));
    assert_eq!(text(&tree, "c"), ("on", Kind::Text));
    assert_eq!(text(&tree, "d"), ("False", Kind::Bool));
}

#[test]
fn an_alias_is_where_it_stands_and_means_what_it_names() {
    let tree = tree("a: &x 80\nb: *x\nc: &m { d: 1, e: 2 }\nf: *m\n");
    assert_eq!(text(&tree, "a"), ("80", Kind::Number));
    assert_eq!(text(&tree, "b"), ("80", Kind::Number));
    assert_eq!(at(&tree, "b"), (2, 4));
    assert_eq!(text(&tree, "f.e"), ("2", Kind::Number));
    assert_eq!(at(&tree, "f"), (4, 4));
}

#[test]
fn a_merged_mapping_gives_what_is_not_given() {
    let tree = tree("a: &m { d: 1, e: 2 }\nb:\n  <<: *m\n  e: 3\n");
    assert_eq!(text(&tree, "b.d").0, "1");
    assert_eq!(text(&tree, "b.e").0, "3");
}

#[test]
fn every_doubled_key_is_reported() {
    assert_eq!(
        wrong("a: 1\nb: 2\na: 3\nc:\n  - d: 1\n    d: 2\nb: 4\n"),
        [
            "3:1: a: given twice, first in line 1",
            "6:5: c[0].d: given twice, first in line 5",
            "7:1: b: given twice, first in line 2",
        ]
    );
}

#[test]
fn keys_are_words() {
    assert_eq!(
        wrong("? [a, b]\n: 1\n"),
        ["1:3: a list as a key, keys are words"]
    );
}

#[test]
fn what_is_no_yaml_is_reported_where_it_ends_to_be() {
    insta::assert_snapshot!(
        [
            "a: [1, 2\nb: 3\n",
            "a: 1\n\tb: 2\n",
            "a:\n\t- b\n",
            "a: \"b\n",
            "a: b: c\n",
            "a: 1\n---\nb: 2\n",
            "a: *nowhere\n",
            "a: &x [*x]\n",
            "a: !secret x\n",
            "a: !!int x\n",
            "a: 1\n b: 2\n",
            "a: {b: 1\n",
            "- a\nb: 1\n",
            "%YAML 9\n---\na: 1\n",
            "a: \u{1}\n",
            "a: !!binary x\n",
        ]
        .map(|text| format!("{text:?}\n    {}", wrong(text).join("\n    ")))
        .join("\n")
    );
}

#[test]
fn an_alias_bomb_is_refused_before_it_grows() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        let tens = vec![format!("*a{below}"); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{tens}]\n"));
    }
    let found = wrong(&bomb);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("aliases"), "{found:?}");
}

#[test]
fn deep_nesting_is_refused() {
    for deep in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(100_000),
        "? ".repeat(5_000),
    ] {
        assert_eq!(wrong(&deep).len(), 1);
    }
    let message = &wrong(&"[".repeat(100))[0];
    assert!(
        message.ends_with("nested deeper than 32 levels"),
        "{message}"
    );
}

#[test]
fn many_keys_in_one_mapping_take_no_quadratic_time() {
    let text: String = (0..200_000).map(|n| format!("k{n}: 1\n")).collect();
    let Value::Map(entries) = tree(&text).value else {
        panic!()
    };
    assert_eq!(entries.len(), 200_000);
}

#[test]
fn a_file_that_cannot_be_read_is_not_an_invalid_one() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing.yaml"), dir.path().to_owned()] {
        let error = read(&path).unwrap_err();
        assert!(matches!(error, ConfigErrors::Unreadable { .. }), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}

#[test]
fn a_file_over_16_mib_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.yaml");
    std::fs::write(&path, vec![b'#'; 20 << 20]).unwrap();
    let error = read(&path).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(
        error.to_string(),
        format!("{}:1:1: the file is larger than 16 MiB", path.display())
    );
}

#[test]
fn a_file_without_a_length_is_cut_off_at_16_mib() {
    // Its metadata says 0.
    let error = read(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/dev/zero:1:1: the file is larger than 16 MiB"
    );
}

#[test]
fn text_that_is_not_utf8_is_reported_where_it_stops_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1.yaml");
    std::fs::write(&path, b"a: 1\nb: \xc3\xa9 caf\xe9\n").unwrap();
    let error = read(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}:2:9: not UTF-8 text, save the file as UTF-8",
            path.display()
        )
    );
}
