use super::*;

const NAME: &str = "VI/1 %";

fn name() -> InstanceName {
    NAME.replace(' ', "_").parse().unwrap()
}

fn priority(number: u8) -> Priority {
    Priority::new(number).unwrap()
}

#[test]
fn a_line_is_read_back_with_the_time_since() {
    let line = render(Role::Master, Duration::new(1000, 5), priority(120));
    let left = parse(&line, Duration::new(1002, 5)).unwrap();
    assert_eq!(
        left,
        Left {
            master: true,
            silent: Duration::from_secs(2),
            priority: Some(priority(120)),
        }
    );
}

#[test]
fn a_line_of_an_agent_that_wrote_no_priority_is_read() {
    let left = parse("master 0000001000.000000000\n", Duration::from_secs(1001)).unwrap();
    assert!(left.master);
    assert_eq!(left.priority, None);
}

#[test]
fn every_line_has_the_same_length() {
    let short = render(Role::Backup, Duration::ZERO, priority(1));
    let long = render(
        Role::Master,
        Duration::new(9_999_999_999, 999_999_999),
        priority(254),
    );
    assert_eq!(short.len(), long.len());
}

#[test]
fn a_line_of_another_boot_or_of_nobody_says_nothing() {
    let line = render(Role::Master, Duration::from_secs(1000), priority(1));
    assert_eq!(parse(&line, Duration::from_secs(10)), None);
    for line in [
        "",
        "master",
        "master x.y",
        "master 1",
        "master 1.1000000000",
    ] {
        assert_eq!(parse(line, Duration::from_secs(10)), None, "{line:?}");
    }
}

#[test]
fn a_role_outlives_its_agent_for_three_intervals() {
    let interval = Duration::from_secs(1);
    let left = |master, millis| Left {
        master,
        silent: Duration::from_millis(millis),
        priority: None,
    };
    assert!(left(true, 2999).can_resume(interval));
    assert!(!left(true, 3000).can_resume(interval));
    assert!(!left(false, 0).can_resume(interval));
}

#[test]
fn the_next_agent_finds_the_role_of_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path()).unwrap();
    let (left, mut record) = records.router(&name());
    assert_eq!(left, None);
    record.note(Role::Master, priority(100));
    let (left, mut record) = records.router(&name());
    assert!(left.is_some_and(|left| left.master));
    record.note(Role::Backup, priority(100));
    let (left, _) = records.router(&name());
    assert!(left.is_some_and(|left| !left.master));
    records.remove(&name());
    assert_eq!(records.router(&name()).0, None);
}

#[test]
fn what_is_forgotten_is_taken_up_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing there is no trouble.
    forget_all(dir.path());
    let records = Records::open(dir.path()).unwrap();
    let name = name();
    let (_, mut record) = records.router(&name);
    record.note(Role::Master, priority(100));
    assert!(records.left(&name).is_some());
    forget_all(dir.path());
    assert_eq!(records.left(&name), None);
}
