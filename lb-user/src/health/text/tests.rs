use super::*;

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    let text = Text::from_bytes(b"200 \x1b[2J\0 \r\nok\x7f\xff");
    assert_eq!(
        text.as_str(),
        "200 \\u{1b}[2J\\u{0} \\r\\nok\\u{7f}\\u{fffd}"
    );
    let turned = Text::new("\u{202e}gnp.exe");
    assert_eq!(turned.as_str(), "\\u{202e}gnp.exe");
}

#[test]
fn letters_of_any_script_stay() {
    assert_eq!(
        Text::new("größer als «ok»").as_str(),
        "größer als \\u{ab}ok\\u{bb}"
    );
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let text = Text::new("ü".repeat(1000));
    assert!(text.as_str().len() <= LIMIT);
    assert!(text.as_str().ends_with("ü..."));
    let exact = "x".repeat(LIMIT);
    assert_eq!(Text::new(&exact).as_str(), exact);
}

#[test]
fn a_chain_of_errors_is_one_line_without_repetitions() {
    #[derive(Debug, thiserror::Error)]
    #[error("the handshake failed: {0}")]
    struct Outer(#[source] std::io::Error);
    let outer = Outer(std::io::Error::other("no\nroute"));
    assert_eq!(
        Text::from_error(&outer).as_str(),
        "the handshake failed: no\\nroute"
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_become_one_printable_line(bytes: Vec<u8>) {
        let text = Text::from_bytes(&bytes);
        proptest::prop_assert!(text.as_str().len() <= LIMIT);
        proptest::prop_assert!(!text.as_str().chars().any(char::is_control));
    }
}
