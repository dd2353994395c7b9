use super::*;
use crate::import::Source;

fn run(text: &str, id: &str) -> (Vec<String>, Vec<String>) {
    let mut findings = Vec::new();
    let lines = expand(Source::text("d/x.conf", text).lines, id, &mut findings);
    (
        lines
            .unwrap_or_default()
            .into_iter()
            .map(|l| l.text)
            .collect(),
        findings.iter().map(ToString::to_string).collect(),
    )
}

fn expanded(text: &str) -> Vec<String> {
    let (lines, findings) = run(text, "main");
    assert_eq!(findings, [] as [&str; 0], "{text}");
    lines
}

#[test]
fn comments_and_empty_lines_go() {
    assert_eq!(expanded("! a\n\n b # c\n"), ["b"]);
}

#[test]
fn conditions_choose_lines_and_are_told_once() {
    let text = "@main a\n@backup b\n@^main c\n@^backup d\n";
    let (lines, findings) = run(text, "main");
    assert_eq!(lines, ["a", "d"]);
    assert_eq!(
        findings,
        [
            "d/x.conf:1: conditions: this is the file as `main` reads it (--config-id), 2 lines are for others"
        ]
    );
}

#[test]
fn names_are_replaced_where_they_are_used() {
    let text = "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32\n";
    assert_eq!(expanded(text), ["10.2.0.100/32", "10.2.10.100/32"]);
    assert_eq!(expanded("$P=240\npriority $P\n"), ["priority 240"]);
    assert_eq!(expanded("$E=\na${E}b $E c\n"), ["ab  c"]);
    assert_eq!(
        expanded("a ${UNKNOWN} $UNKNOWN $1\n"),
        ["a ${UNKNOWN} $UNKNOWN $1"]
    );
    assert_eq!(expanded("a $P: b\n"), ["a $P: b"]);
}

#[test]
fn keepalived_s_own_names_are_known() {
    assert_eq!(
        expanded("a${_HASH}b ${_BANG} ${_PWD} ${_INSTANCE}\n"),
        ["a#b ! d main"]
    );
    let (lines, findings) = run("a ${_RANDOM 3 7}\n", "main");
    assert_eq!((lines[0].as_str(), findings.len()), ("a 3", 1));
}

#[test]
fn definitions_of_several_lines_are_templates() {
    let text = "\
$VI= \\
  vrrp_instance V${N} { \\
    @main priority 130 \\
    @other priority 120 \\
    $X=${N}9 \\
    b ${X} \\
  }
$N=0
$VI
$N=1
$VI
";
    let (lines, findings) = run(text, "main");
    assert_eq!(
        lines,
        [
            "vrrp_instance V0 {",
            "priority 130",
            "b 09",
            "}",
            "vrrp_instance V1 {",
            "priority 130",
            "b 19",
            "}"
        ]
    );
    assert_eq!(findings.len(), 1);
}

#[test]
fn a_definition_for_another_host_is_left_out_with_all_its_lines() {
    let text = "@other $A= \\\n x \\\n y\n@main $A= \\\n z \\\n w\n$A\n";
    assert_eq!(run(text, "main").0, ["z", "w"]);
}

#[test]
fn a_definition_may_stand_for_a_condition() {
    assert_eq!(run("$C=@main\n$C a\n$D=@other\n$D b\n", "main").0, ["a"]);
}

#[test]
fn sequences_and_lists_repeat_a_line() {
    assert_eq!(expanded("~SEQ(N, 0, 3) ip 10.0.${N}.1\n").len(), 4);
    assert_eq!(expanded("~SEQ(N, 2) x$N y${N}\n"), ["x1 y1", "x2 y2"]);
    assert_eq!(
        expanded("~SEQx(N, 0x90, 0x10, 0xb0) a${N}\n"),
        ["a90", "aa0", "ab0"]
    );
    assert_eq!(
        expanded("~LST({A,B},{1,2},{3,4}) ~SEQ(C,7,-1,6) ${A}.${B}.${C}\n"),
        ["1.2.7", "1.2.6", "3.4.7", "3.4.6"]
    );
    assert_eq!(expanded("~LST(A, x, y) $A\n"), ["x", "y"]);
    let (lines, findings) = run("~SEQ(N, 0, 0, 3) a\n~SEQ(N\n~LST({A,B},1) a\n", "main");
    assert_eq!((lines.len(), findings.len()), (0, 3));
}

#[test]
fn what_never_ends_is_ended() {
    for text in [
        "$A=${A}x\n$A\n",
        "$A=$B\n$B=$A\n$A\n",
        "$A=${A}${A}\n$A\n",
        "$A= \\\n $A \\\n $A\n$A\n",
        "~SEQ(A,60000) ~SEQ(B,60000) ~SEQ(C,60000) x\n",
    ] {
        let (_, findings) = run(text, "main");
        assert!(
            findings.len() == 1 && findings[0].contains("error"),
            "{text}: {findings:?}"
        );
    }
}

#[test]
fn a_file_without_line_breaks_is_suspected() {
    let (_, findings) = run("a { b # c } d { e }\n", "main");
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("lost its line breaks"));
}
