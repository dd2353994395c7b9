//! When a role changes.

use super::*;

const DELAY: Duration = Duration::from_secs(5);

/// Skew of priority 100 at one second.
const SKEW: Duration = Duration::from_nanos(609_375_000);

fn started(config: MachineConfig, now: Instant) -> Machine {
    let mut machine = Machine::new(config);
    machine.handle(now, Input::Startup(Start::Fresh));
    outcome(&mut machine);
    machine
}

/// A master of this priority speaks every second from `now` on, for at most a minute, until ours has
/// become master itself.
fn listening_to(machine: &mut Machine, number: u8, now: Instant) -> Option<Duration> {
    for second in 0..60 {
        let next = now + second * SECOND;
        while let Some(at) = machine.next_deadline().filter(|at| *at <= next) {
            machine.handle_timeout(at);
            if machine.role() == Role::Master {
                return Some(at - now);
            }
        }
        machine.handle(next, advert(number));
    }
    None
}

#[test]
fn skew_and_master_down_are_not_truncated() {
    let machine = Machine::new(MachineConfig {
        interval: Duration::from_millis(10),
        ..config()
    });
    assert_eq!(machine.skew(), Duration::from_nanos(6_093_750));
    assert_eq!(machine.master_down(), Duration::from_nanos(36_093_750));
}

#[test]
fn the_skew_of_version_2_is_a_part_of_a_second_and_of_version_3_of_the_interval() {
    let now = Instant::now();
    let wait = |version| {
        let config = MachineConfig {
            version,
            interval: 3 * SECOND,
            ..config()
        };
        silence(&mut started(config, now), now)
    };
    assert_eq!(wait(VrrpVersion::V2), 9 * SECOND + SKEW);
    assert_eq!(wait(VrrpVersion::V3), 9 * SECOND + 3 * SKEW);
}

#[test]
fn version_3_waits_for_the_masters_interval_and_version_2_for_its_own() {
    let now = Instant::now();
    let wait = |version| {
        let config = MachineConfig {
            version,
            interval: 3 * SECOND,
            ..config()
        };
        let mut machine = started(config, now);
        // It says: every second.
        machine.handle(now, advert(200));
        silence(&mut machine, now)
    };
    assert_eq!(wait(VrrpVersion::V2), 9 * SECOND + SKEW);
    assert_eq!(wait(VrrpVersion::V3), 3 * SECOND + SKEW);
}

#[test]
fn the_interval_of_a_master_is_forgotten_with_it() {
    let now = Instant::now();
    let config = MachineConfig {
        interval: 3 * SECOND,
        ..config()
    };
    let mut machine = started(config, now);
    machine.handle(now, advert(200));
    let now = now + silence(&mut machine, now);
    machine.handle(now, Input::GroupBackup);
    assert_eq!(silence(&mut machine, now), 9 * SECOND + 3 * SKEW);
}

#[test]
fn a_released_role_is_taken_after_the_skew_time() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Backup, now);
    machine.handle(now, advert(0));
    assert_eq!(silence(&mut machine, now), SKEW);
}

#[test]
fn a_master_that_falls_below_us_is_replaced_after_the_skew_time() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Backup, now);
    machine.handle(now, advert(200));
    machine.handle(now, advert(50));
    assert_eq!(silence(&mut machine, now), SKEW);
    assert_eq!(machine.reason(), Reason::Preempted);
}

#[test]
fn initial_state_master_waits_for_one_interval_and_skew_and_backup_for_three() {
    let now = Instant::now();
    let wait = |initial_state| {
        let config = MachineConfig {
            initial_state,
            ..config()
        };
        silence(&mut started(config, now), now)
    };
    assert_eq!(wait(InitialState::Master), SECOND + SKEW);
    assert_eq!(wait(InitialState::Backup), 3 * SECOND + SKEW);
}

#[test]
fn initial_state_master_does_not_take_the_role_from_a_living_master() {
    let now = Instant::now();
    let first = |preempt| MachineConfig {
        initial_state: InitialState::Master,
        preempt,
        ..config()
    };
    // A better one, and, without `preempt`, any.
    for (preempt, number) in [(true, 200), (false, 200), (false, 50)] {
        let mut machine = started(first(preempt), now);
        assert_eq!(listening_to(&mut machine, number, now), None);
    }
    let mut machine = started(first(true), now);
    assert_eq!(listening_to(&mut machine, 50, now), Some(SECOND + SKEW));
}

#[test]
fn a_lower_master_is_replaced_after_master_down_and_never_without_preempt() {
    let now = Instant::now();
    let taken = |preempt| {
        let config = MachineConfig {
            preempt,
            ..config()
        };
        listening_to(&mut started(config, now), 50, now)
    };
    assert_eq!(taken(true), Some(3 * SECOND + SKEW));
    assert_eq!(taken(false), None);
}

#[test]
fn preempt_delay_leaves_a_lower_master_alone_and_then_replaces_it() {
    let now = Instant::now();
    let delayed = || MachineConfig {
        preempt_delay: DELAY,
        ..config()
    };
    let mut machine = started(delayed(), now);
    assert_eq!(listening_to(&mut machine, 50, now), Some(DELAY + SKEW));
    assert_eq!(machine.reason(), Reason::Preempted);
    // A silent one is no longer there.
    let mut machine = started(delayed(), now);
    machine.handle(now, advert(50));
    assert_eq!(silence(&mut machine, now), 3 * SECOND + SKEW);
    assert_eq!(machine.reason(), Reason::MasterSilent);
}

#[test]
fn a_better_master_ends_the_delay() {
    let now = Instant::now();
    let config = MachineConfig {
        preempt_delay: DELAY,
        ..config()
    };
    let mut machine = started(config, now);
    machine.handle(now, advert(50));
    machine.handle(now + 3 * SECOND, advert(200));
    let later = now + 4 * SECOND;
    assert_eq!(listening_to(&mut machine, 50, later), Some(DELAY + SKEW));
}

#[test]
fn of_equal_priorities_the_higher_address_stays_master() {
    let now = Instant::now();
    let heard = |host| {
        let mut machine = machine(config(), Role::Master, now);
        machine.handle(now + SECOND / 2, advert_from(host, 100));
        (machine.role(), machine.reason())
    };
    let lower = Ipv4Addr::new(10, 0, 0, 3).into();
    assert_eq!(heard(3), (Role::Backup, Reason::HigherAddress(lower)));
    assert_eq!(heard(1), (Role::Master, Reason::Resumed));
}

#[test]
fn a_master_speaks_once_in_an_interval_and_delays_do_not_add_up() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Master, now);
    let late = Duration::from_millis(300);
    for n in 1..10 {
        let due = now + n * SECOND;
        assert_eq!(machine.timers.get(Timer::Advert), Some(due));
        machine.handle_timeout(due + late);
        assert_eq!(outcome(&mut machine), "master 100");
    }
}
