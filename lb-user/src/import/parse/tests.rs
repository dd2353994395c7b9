use super::*;
use crate::import::{Source, lexer};

fn parse(text: &str) -> (Option<Vec<Statement>>, Vec<String>) {
    let mut findings = Vec::new();
    let tokens = lexer::tokens(&Source::text("x.conf", text).lines, &mut findings);
    let statements = statements(&tokens, &mut findings);
    (
        statements,
        findings.iter().map(ToString::to_string).collect(),
    )
}

/// `keyword[statements]`, to compare.
fn shape(statements: &[Statement]) -> String {
    let one = |s: &Statement| match &s.block {
        None => s.words.join(" "),
        Some(block) => format!("{}[{}]", s.words.join(" "), shape(block)),
    };
    statements.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn statements_end_at_line_breaks_and_at_braces() {
    let (tree, findings) = parse("a { b 1\n c { d }} e 2\nf\n\n{ g }\n");
    assert_eq!(shape(&tree.unwrap()), "a[b 1; c[d]]; e 2; f[g]");
    assert_eq!(findings, [] as [&str; 0]);
}

#[test]
fn a_missing_brace_is_told_where_it_is_missing() {
    let text = "virtual_server 10.0.0.1 80 {\n real_server 10.0.0.2 80 {\n weight 1\n }\n\nvirtual_server 10.0.0.3 80 {\n}\n";
    let (tree, findings) = parse(text);
    assert_eq!(tree, None);
    assert_eq!(
        findings,
        [
            "x.conf:6: error: `virtual_server 10.0.0.1 80` is still open here, since line 1: a `}` is missing before `virtual_server 10.0.0.3 80`"
        ]
    );
}

#[test]
fn what_is_open_at_the_end_is_told() {
    let (tree, findings) = parse("a x {\n b {\n c\n");
    assert_eq!(tree, None);
    assert_eq!(
        findings,
        [
            "x.conf:1: error: `a x` is never closed: a `}` is missing",
            "x.conf:2: error: `b` is never closed: a `}` is missing"
        ]
    );
}

#[test]
fn a_brace_too_many_is_told_with_what_may_lack_one() {
    let (tree, findings) = parse("virtual_server 10.0.0.1 80\n protocol TCP\n}\n");
    assert_eq!(tree, None);
    assert_eq!(
        findings,
        [
            "x.conf:3: error: `}` closes nothing: perhaps `virtual_server 10.0.0.1 80` in line 1 lacks its `{`"
        ]
    );
    let (tree, findings) = parse("{ a }\n");
    assert_eq!(tree, None);
    assert_eq!(
        findings,
        ["x.conf:1: error: `{` without a keyword before it"]
    );
}

#[test]
fn a_million_braces_are_one_message() {
    let (tree, findings) = parse(&"a {".repeat(100_000));
    assert_eq!(tree, None);
    assert_eq!(findings.len(), 1);
    let (tree, findings) = parse(&"}".repeat(100_000));
    assert_eq!(tree, None);
    assert_eq!(findings.len(), 1);
}
