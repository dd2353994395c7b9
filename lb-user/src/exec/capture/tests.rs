use super::{OUTPUT, printable};

#[test]
fn output_becomes_one_printable_line() {
    assert_eq!(
        printable(b" one\n\ttwo\r\n\x1b[31mthree\x00 "),
        "one two [31mthree"
    );
    assert_eq!(printable(b"a\xffb"), "a\u{fffd}b");
    assert_eq!(
        printable("safe\u{202e}txt.\u{feff}x".as_bytes()),
        "safe txt. x"
    );
    assert_eq!(printable(b""), "");
}

#[test]
fn a_line_never_exceeds_its_limit() {
    assert_eq!(printable(&[0xff; OUTPUT]).len(), OUTPUT - OUTPUT % 3);
    assert_eq!(printable(&[b'x'; OUTPUT]).len(), OUTPUT);
}
