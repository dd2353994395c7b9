use super::{super::output::Reader, *};

const ALLOWED: &[AllowedSkip] = &[AllowedSkip {
    reason: "no IPVS",
    covered_by: "vm::ipvs_forwards_nat",
}];

fn outcome(output: &str) -> Outcome {
    let mut reader = Reader::default();
    output.lines().for_each(|line| {
        reader.line(line);
    });
    let mut outcome = Outcome::new("scenarios");
    outcome.add(reader.finish());
    outcome
}

const OUTPUT: &str = "test nat ... SKIPPED: no IPVS in this kernel\nok\n\
    test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

fn report(allowed: Option<&'static [AllowedSkip]>) -> Report {
    let mut report = Report::new(allowed);
    report.add(outcome(OUTPUT));
    report.fail_unwanted_skips();
    report
}

#[test]
fn the_closing_line_stands_alone_and_last() {
    let text = report(None).to_string();
    assert_eq!(text.lines().last(), Some("2 passed, 0 failed, 1 skipped"));
    assert!(text.contains("SKIPPED: scenarios: nat: no IPVS in this kernel\n"));
}

#[test]
fn under_ci_a_skip_that_nothing_covers_is_a_failure() {
    let report = report(Some(&[]));
    assert_eq!(report.totals(), (2, 1, 1));
    assert!(
        report
            .to_string()
            .contains("FAILED: skips: not allowed under CI: nat: no IPVS")
    );
}

#[test]
fn under_ci_a_covered_skip_names_the_test_that_covers_it() {
    let report = report(Some(ALLOWED));
    assert_eq!(report.totals(), (2, 0, 1));
    assert!(
        report
            .to_string()
            .contains("(covered by vm::ipvs_forwards_nat)")
    );
}

#[test]
fn a_failure_that_no_test_reported_counts() {
    let mut report = Report::new(None);
    report.add(Outcome::failed(
        "leftovers",
        "network namespace ballast-lb1".into(),
    ));
    assert_eq!(report.totals(), (0, 1, 0));
    assert!(
        report
            .to_string()
            .contains("FAILED: leftovers: network namespace ballast-lb1\n")
    );
    assert_eq!(report.finish(), ExitCode::FAILURE);
}

/// A report in which `count` tests passed only when run again.
fn with_unstable(count: usize) -> Report {
    let mut report = Report::new(None);
    let mut outcome = outcome(OUTPUT);
    outcome.tally.unstable = vec!["pair::takes_over".to_owned(); count];
    report.add(outcome);
    report.fail_unstable();
    report
}

#[test]
fn a_test_that_had_to_run_again_is_named_and_many_of_them_are_a_failure() {
    let report = with_unstable(UNSTABLE_LIMIT);
    assert_eq!(report.totals(), (2, 0, 1));
    assert!(report.to_string().contains(
        "UNSTABLE: scenarios: pair::takes_over failed once, and passed when run again\n"
    ));
    assert_eq!(with_unstable(UNSTABLE_LIMIT + 1).totals(), (2, 1, 1));
}
