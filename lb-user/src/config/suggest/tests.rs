use super::*;

#[test]
fn a_typo_finds_its_word() {
    let known = ["weight", "address", "port", "name"];
    assert_eq!(nearest("wieght", known), Some("weight"));
    assert_eq!(nearest("Port", known), Some("port"));
    assert_eq!(nearest("adress", known), Some("address"));
    assert_eq!(nearest("colour", known), None);
}

#[test]
fn a_word_of_keepalived_finds_ours() {
    assert_eq!(
        nearest("lb_algo", ["scheduler", "forwarding"]),
        Some("scheduler")
    );
    assert_eq!(
        nearest("sorry_server", ["fallback", "name"]),
        Some("fallback")
    );
    assert_eq!(nearest("sorry_server", ["name"]), None);
}

#[test]
fn every_foreign_word_is_written_as_it_is_looked_up() {
    for (theirs, _) in FOREIGN {
        assert_eq!(*theirs, theirs.to_lowercase().replace('-', "_"));
    }
}

#[test]
fn a_very_long_word_gets_no_hint() {
    assert_eq!(hint(&"x".repeat(1 << 20), ["x"]), "");
}
