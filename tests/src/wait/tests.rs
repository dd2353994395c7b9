//! What the limit means.

use super::*;

#[test]
fn the_error_says_what_was_waited_for_and_seen_last() {
    let mut asked = 0;
    let error = wait_for(
        "three sheep",
        Duration::from_millis(12),
        || -> Result<(), String> {
            asked += 1;
            Err(format!("{asked} sheep"))
        },
    )
    .unwrap_err();
    assert!(asked > 1);
    assert_eq!(
        error.to_string(),
        format!("waited 12ms for three sheep; last seen: {asked} sheep")
    );
}

#[test]
fn a_condition_that_holds_is_asked_once() {
    let value = wait_for("an answer", Duration::ZERO, || Some(42));
    assert_eq!(value, Ok(42));
}
