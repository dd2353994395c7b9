//! When addresses are announced again.

use super::*;

/// The times since `now` at which a master that hears nobody announces, in a minute.
fn announcements(garp: Garp) -> Vec<Duration> {
    let now = Instant::now();
    let mut machine = Machine::new(MachineConfig { garp, ..config() });
    machine.handle(now, Input::Startup(Start::ResumeMaster));
    let mut at = now;
    let mut times = Vec::new();
    let mut last = 0;
    while at <= now + 60 * SECOND {
        while let Some(action) = machine.poll_action() {
            if let Action::Publish(published) = action
                && published.announce != last
            {
                last = published.announce;
                times.push(at - now);
            }
        }
        at = machine.next_deadline().expect("a master has a next advert");
        machine.handle_timeout(at);
    }
    times
}

fn garp(delay: u32, refresh: u32) -> Garp {
    Garp {
        repeat: 5,
        delay: delay * SECOND,
        refresh: refresh * SECOND,
    }
}

#[test]
fn there_is_a_second_burst_after_the_delay() {
    assert_eq!(
        announcements(garp(5, 0)),
        [Duration::ZERO, 5 * SECOND],
        "and no third"
    );
    assert_eq!(announcements(garp(0, 0)), [Duration::ZERO]);
}

#[test]
fn refresh_announces_for_ever() {
    let expected: Vec<Duration> = (0..=6).map(|n| n * 10 * SECOND).collect();
    assert_eq!(announcements(garp(0, 10)), expected);
}

#[test]
fn another_refresh_counts_from_now_on() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Master, now);
    let with = |refresh| MachineConfig {
        garp: garp(5, refresh),
        ..config()
    };
    assert_eq!(machine.timers.get(Timer::Refresh), None);
    machine.configure(now + SECOND, with(10));
    assert_eq!(machine.timers.get(Timer::Refresh), Some(now + 11 * SECOND));
    machine.configure(now + 2 * SECOND, with(0));
    assert_eq!(machine.timers.get(Timer::Refresh), None);
}

#[test]
fn a_shutdown_says_so_with_priority_0() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Master, now);
    machine.handle(now, Input::Shutdown);
    assert_eq!(outcome(&mut machine), "init 0");
}

#[test]
fn after_another_master_ours_announces_at_once_and_when_the_other_has_settled() {
    let now = Instant::now();
    let mut machine = machine(config(), Role::Master, now);
    let heard = now + 2 * SECOND;
    machine.handle_timeout(heard);
    let before = machine.announce;
    machine.handle(heard, advert(50));
    assert_eq!(machine.announce, before + 1);
    let settled = machine.timers.get(Timer::Settled).expect("it is awaited");
    assert_eq!(settled, heard + SECOND + machine.skew());
    machine.handle(settled, Input::Timeout(Timer::Settled, settled));
    assert_eq!(machine.announce, before + 2);
}
