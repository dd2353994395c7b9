use super::*;
use crate::import::Source;

fn kinds(text: &str) -> Vec<Kind> {
    let source = Source::text("x.conf", text);
    let mut findings = Vec::new();
    tokens(&source.lines, &mut findings)
        .into_iter()
        .map(|t| t.kind)
        .collect()
}

fn words(text: &str) -> Vec<String> {
    kinds(text)
        .into_iter()
        .filter_map(|kind| match kind {
            Kind::Word(word) => Some(word),
            _ => None,
        })
        .collect()
}

#[test]
fn braces_end_words_except_in_quotes() {
    assert_eq!(
        kinds("a{b \"{}\"}\n"),
        [
            Kind::Word("a".into()),
            Kind::Open,
            Kind::Word("b".into()),
            Kind::Word("{}".into()),
            Kind::Close,
            Kind::End
        ]
    );
}

#[test]
fn quotes_hold_words_together_wherever_they_begin() {
    assert_eq!(words("abcd\" efg h jkl \"mnop"), ["abcd efg h jkl mnop"]);
    assert_eq!(
        words("abcd \"efg h jkl\" mnop"),
        ["abcd", "efg h jkl", "mnop"]
    );
    assert_eq!(words("'a \"b\" c' \"\""), ["a \"b\" c", ""]);
    assert_eq!(words(r#""a \" b" c"#), [r#"a \" b"#, "c"]);
}

#[test]
fn a_quote_without_its_partner_is_a_character_and_is_told() {
    let source = Source::text("x.conf", "router_id Bob's\n");
    let mut findings = Vec::new();
    let tokens = tokens(&source.lines, &mut findings);
    assert_eq!(tokens[1].kind, Kind::Word("Bob's".into()));
    assert_eq!(findings.len(), 1);
}

#[test]
fn a_name_that_nothing_defines_is_no_block_and_is_told() {
    let source = Source::text("x.conf", "auth_pass a${PASS}b\nroute ${_ENV HOME} $\n");
    let mut findings = Vec::new();
    let tokens = tokens(&source.lines, &mut findings);
    assert_eq!(tokens[1].kind, Kind::Word("a${PASS}b".into()));
    assert_eq!(tokens[4].kind, Kind::Word("${_ENV HOME}".into()));
    assert_eq!(findings.len(), 2);
    assert_eq!(words("'${PASS}'"), ["${PASS}"]);
}

#[test]
fn comments_begin_anywhere_but_in_quotes() {
    assert_eq!(without_comment("a b # c"), ("a b ", "# c"));
    assert_eq!(without_comment("a!b"), ("a", "!b"));
    assert_eq!(without_comment("\"a#b\" '!' # c"), ("\"a#b\" '!' ", "# c"));
    assert_eq!(without_comment("it's # c"), ("it's ", "# c"));
}

#[test]
fn backslashes_mean_what_a_shell_says() {
    assert_eq!(unescape(r"a\tb\\c\x41\101\q\"), "a\tb\\cAAq\\");
    assert_eq!(unescape(r"\xzz"), "xzz");
}

#[test]
fn commands_are_split_as_by_a_shell() {
    assert_eq!(
        command_words("/bin/sh  -c 'exit 0; echo \"x\"' a"),
        ["/bin/sh", "-c", "exit 0; echo \"x\"", "a"]
    );
    assert!(command_words("  ").is_empty());
}
