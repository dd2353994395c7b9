//! A router that did not run.

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn every(interval: Duration) -> MachineConfig {
    MachineConfig {
        interval,
        ..config()
    }
}

/// As the engine does it: first whether it slept, then what waits in the socket, then the timers.
fn wake(machine: &mut Machine, now: Instant, waiting: &[Input]) -> String {
    if machine.overslept(now) {
        machine.handle(now, Input::Paused);
    }
    for input in waiting {
        machine.handle(now, input.clone());
    }
    machine.handle_timeout(now);
    outcome(machine)
}

#[test]
fn a_master_that_stopped_for_longer_than_any_peer_waits_listens_first() {
    let now = Instant::now();
    // Interval, the longest stop that is none, and the shortest that is one, since it last spoke.
    let table = [
        (1000, 4000, 4001),
        (100, 400, 401),
        (40, 160, 161),
        // A busy machine does that.
        (10, 110, 111),
    ];
    for (interval, short, long) in table {
        let config = every(interval * MILLISECOND);
        let mut master = machine(config.clone(), Role::Master, now);
        assert_eq!(
            wake(&mut master, now + short * MILLISECOND, &[]),
            "master 100",
            "{short} ms"
        );
        let mut master = machine(config, Role::Master, now);
        let awake = now + long * MILLISECOND;
        assert_eq!(wake(&mut master, awake, &[]), "backup", "{long} ms");
        assert_eq!(master.reason(), Reason::Paused);
        let listened = silence(&mut master, awake);
        assert_eq!(listened, interval * MILLISECOND + master.skew());
    }
}

#[test]
fn no_peer_waits_for_longer_than_a_master_sleeps_unnoticed() {
    for number in [1, 100, 254, 255] {
        for version in [VrrpVersion::V2, VrrpVersion::V3] {
            let peer = Machine::new(MachineConfig {
                version,
                priority: priority(number),
                ..config()
            });
            assert!(peer.master_down() < 4 * SECOND);
        }
    }
}

#[test]
fn a_backup_that_may_have_slept_through_adverts_listens_once_more() {
    let now = Instant::now();
    // Interval, and how late the end of its patience may be noticed.
    for (interval, short, long) in [(1000, 100, 101), (100, 100, 101), (10, 10, 11)] {
        let config = every(interval * MILLISECOND);
        let mut backup = machine(config.clone(), Role::Backup, now);
        let due = backup.next_deadline().expect("it listens");
        assert_eq!(
            wake(&mut backup, due + short * MILLISECOND, &[]),
            "master 100",
            "{short} ms"
        );
        let mut backup = machine(config, Role::Backup, now);
        let awake = due + long * MILLISECOND;
        assert_eq!(wake(&mut backup, awake, &[]), "backup", "{long} ms");
        let listened = silence(&mut backup, awake);
        assert_eq!(listened, interval * MILLISECOND + backup.skew());
    }
}

#[test]
fn old_news_of_a_release_do_not_make_it_speak_before_it_has_listened() {
    let now = Instant::now();
    let awake = now + 10 * SECOND;
    for role in [Role::Backup, Role::Master] {
        let mut machine = machine(config(), role, now);
        assert_eq!(wake(&mut machine, awake, &[advert(0)]), "backup");
        assert_eq!(silence(&mut machine, awake), SECOND + machine.skew());
        assert_eq!(machine.reason(), Reason::MasterReleased);
    }
}

#[test]
fn what_a_master_said_meanwhile_counts() {
    let now = Instant::now();
    let awake = now + 10 * SECOND;
    for role in [Role::Backup, Role::Master] {
        let mut machine = machine(config(), role, now);
        let waiting = [advert(0), advert_from(4, 200)];
        let outcome = wake(&mut machine, awake, &waiting);
        assert!(outcome.starts_with("backup"), "{outcome}");
        assert_eq!(silence(&mut machine, awake), 3 * SECOND + machine.skew());
    }
}

#[test]
fn the_end_of_preempt_delay_in_a_pause_is_no_reason_to_speak_at_once() {
    let now = Instant::now();
    let config = MachineConfig {
        preempt_delay: 5 * SECOND,
        ..config()
    };
    let mut machine = machine(config, Role::Backup, now);
    machine.handle(now, advert(50));
    let awake = now + 10 * SECOND;
    assert_eq!(wake(&mut machine, awake, &[advert(50)]), "backup");
    assert_eq!(silence(&mut machine, awake), SECOND + machine.skew());
    assert_eq!(machine.reason(), Reason::Preempted);
}

#[test]
fn a_pause_is_over_when_it_is_over() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Master, now);
    let awake = now + 10 * SECOND;
    wake(&mut machine, awake, &[advert(200)]);
    let later = awake + 3 * SECOND;
    machine.handle(later, advert(0));
    assert_eq!(silence(&mut machine, later), machine.skew());
}

#[test]
fn a_master_that_was_paused_lets_its_successor_know_that_there_were_two() {
    let now = Instant::now();
    let awake = now + 10 * SECOND;
    // Whether it preempts, what it hears, and what it does.
    let table = [
        (true, advert(200), "backup 100"),
        (true, advert_from(3, 100), "backup 100"),
        // A lower one would give way to that.
        (false, advert(50), "backup 0"),
        (false, advert_from(1, 100), "backup 0"),
        // It takes over from this one, and announces itself.
        (true, advert(50), "backup"),
    ];
    for (preempt, heard, expected) in table {
        let config = MachineConfig {
            preempt,
            ..config()
        };
        let mut master = machine(config.clone(), Role::Master, now);
        assert_eq!(wake(&mut master, awake, &[]), "backup");
        master.handle(awake + SECOND / 2, heard.clone());
        assert_eq!(outcome(&mut master), expected, "{heard:?}");
        master.handle(awake + 3 * SECOND / 2, heard.clone());
        assert_eq!(outcome(&mut master), "backup", "once");

        let mut backup = machine(config, Role::Backup, now);
        assert_eq!(wake(&mut backup, awake, &[heard]), "backup");
    }
}

#[test]
fn a_shorter_interval_does_not_end_the_listening() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Master, now);
    let awake = now + 10 * SECOND;
    wake(&mut machine, awake, &[]);
    let listened = SECOND + machine.skew();
    machine.configure(awake, every(10 * MILLISECOND));
    assert_eq!(silence(&mut machine, awake), listened);
}
