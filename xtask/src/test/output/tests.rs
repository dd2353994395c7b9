use super::*;

/// The lines shown, and the tally.
fn read(text: &str) -> (Vec<&str>, Tally) {
    let mut reader = Reader::default();
    let shown = text.lines().filter(|line| reader.line(line)).collect();
    (shown, reader.finish())
}

const PASSING: &str = "
running 3 tests
test tunnel_by_ipip ... ok
test ring::balance ... ok
test slow ... ignored, takes an hour

successes:

---- ring::balance stdout ----
ring of 65537 slots
1.00% off

---- tunnel_by_ipip stdout ----
SKIPPED: no ipip in this kernel

successes:
    ring::balance
    tunnel_by_ipip

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s
";

#[test]
fn a_test_that_skipped_itself_did_not_pass() {
    let (_, tally) = read(PASSING);
    assert_eq!((tally.passed(), tally.failed, tally.skips.len()), (1, 0, 2));
    assert_eq!(tally.skips[0].reason, "takes an hour");
    assert_eq!(tally.skips[1].test.as_deref(), Some("tunnel_by_ipip"));
    assert_eq!(tally.skips[1].reason, "no ipip in this kernel");
}

#[test]
fn what_passing_tests_print_is_hidden_but_not_their_skips() {
    let (shown, _) = read(PASSING);
    assert!(shown.contains(&"test ring::balance ... ok"));
    assert!(shown.contains(&"SKIPPED: no ipip in this kernel"));
    assert!(
        !shown
            .iter()
            .any(|line| line.contains("slots") || line.contains("successes"))
    );
    assert!(shown.last().unwrap().starts_with("test result: ok."));
}

#[test]
fn failures_are_counted_and_shown_in_full() {
    let (shown, tally) = read(
        "test a ... FAILED\ntest b ... ok\n\nsuccesses:\n\n---- b stdout ----\nnoise\n\n\
         failures:\n\n---- a stdout ----\nthread 'a' panicked\n\nfailures:\n    a\n\n\
         test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
    );
    assert_eq!((tally.passed(), tally.failed), (1, 1));
    assert!(shown.contains(&"thread 'a' panicked"));
    assert!(!shown.contains(&"noise"));
}

#[test]
fn results_of_several_binaries_add_up() {
    let line = "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    let (_, mut tally) = read(&line.repeat(3));
    assert_eq!((tally.passed(), tally.results), (15, 3));
    tally.merge(read(line).1);
    assert_eq!((tally.passed(), tally.results), (20, 4));
}

#[test]
fn a_skip_is_seen_in_uncaptured_output() {
    let (_, tally) = read("test vlan ... SKIPPED: no 8021q\nok\n  SKIPPED: said by a child\n");
    let skips: Vec<_> = tally
        .skips
        .iter()
        .map(|s| (s.test.as_deref(), s.reason.as_str()))
        .collect();
    assert_eq!(
        skips,
        [(Some("vlan"), "no 8021q"), (None, "said by a child")]
    );
}

#[test]
fn two_reasons_of_one_test_are_one_test_less() {
    let (_, tally) = read(
        "successes:\n---- a stdout ----\nSKIPPED: x\nSKIPPED: y\n\
         test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!((tally.passed(), tally.skips.len()), (1, 2));
}

/// Two tests fail, the output of the one looks like a list.
const FAILING: &str = "
test pair::takes_over ... FAILED
test setups::s0 ... FAILED

failures:

---- pair::takes_over stdout ----
failures:
    not::a::test

---- setups::s0 stdout ----
panicked


failures:
    pair::takes_over
    setups::s0

test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
";

const ONE_PASSES: &str = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.10s\n";

#[test]
fn failed_tests_are_named_by_the_last_list() {
    let (_, tally) = read(FAILING);
    assert_eq!(tally.failed, 2);
    assert_eq!(tally.failures, ["pair::takes_over", "setups::s0"]);
    assert_eq!(read(PASSING).1.failures, [""; 0]);
}

#[test]
fn a_test_that_passes_when_run_again_passed_and_is_remembered() {
    let (_, mut tally) = read(FAILING);
    tally.repeated("setups::s0", read(ONE_PASSES).1);
    tally.repeated(
        "pair::takes_over",
        read(&FAILING.replace("3 passed; 2", "0 passed; 1")).1,
    );
    assert_eq!((tally.passed(), tally.failed), (4, 1));
    assert_eq!(tally.failures, ["pair::takes_over"]);
    assert_eq!(tally.unstable, ["setups::s0"]);
}

#[test]
fn a_repetition_that_ran_nothing_is_no_pass() {
    let (_, mut tally) = read(FAILING);
    tally.repeated(
        "setups::s0",
        read(&format!(
            "test setups::s0 ... SKIPPED: no nft\nok\n{ONE_PASSES}"
        ))
        .1,
    );
    tally.repeated(
        "setups::s0",
        read(&ONE_PASSES.replace("1 passed", "0 passed")).1,
    );
    assert_eq!((tally.failed, tally.unstable.len()), (2, 0));
}
