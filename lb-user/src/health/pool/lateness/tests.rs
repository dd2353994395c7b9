use super::*;

#[test]
fn a_quantile_is_the_bound_of_its_bucket() {
    let mut lateness = Lateness::default();
    assert_eq!(lateness.quantile(990), None);
    for _ in 0..99 {
        lateness.record(Duration::from_micros(900));
    }
    lateness.record(Duration::from_millis(70));
    assert_eq!(lateness.total(), 100);
    assert_eq!(lateness.quantile(500), Some(Duration::from_millis(1)));
    assert_eq!(lateness.quantile(990), Some(Duration::from_millis(1)));
    assert_eq!(lateness.quantile(1000), Some(Duration::from_millis(128)));
}

#[test]
fn nothing_is_too_late_to_be_counted() {
    let mut lateness = Lateness::default();
    lateness.record(Duration::from_secs(1 << 40));
    assert_eq!(lateness.quantile(1), Some(Duration::MAX));
}
