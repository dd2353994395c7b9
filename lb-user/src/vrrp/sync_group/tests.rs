use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    config::model::{Garp, InitialState, VrrpVersion},
    types::{Priority, RouterId},
    vrrp::wire::{Advert, Authentication},
};

const SECOND: Duration = Duration::from_secs(1);

fn two(now: Instant) -> Group {
    two_that(now, Start::Fresh)
}

fn two_that(now: Instant, start: Start) -> Group {
    let member = |source| MachineConfig {
        version: VrrpVersion::V3,
        virtual_router_id: RouterId::new(7).unwrap(),
        priority: Priority::DEFAULT,
        interval: SECOND,
        preempt: true,
        preempt_delay: Duration::ZERO,
        initial_state: InitialState::Backup,
        source: Ipv4Addr::new(10, 0, source, 2).into(),
        addresses: Vec::new(),
        authentication: Authentication::None,
        garp: Garp {
            repeat: 5,
            delay: Duration::ZERO,
            refresh: Duration::ZERO,
        },
        grouped: true,
    };
    let mut group = Group::new([member(0), member(1)]);
    group.start(now, &[start; 2]);
    drain(&mut group);
    group
}

fn drain(group: &mut Group) {
    sent(group);
}

/// Who has sent which priority since this was last asked.
fn sent(group: &mut Group) -> Vec<(usize, u8)> {
    let actions = std::iter::from_fn(|| group.poll_action());
    actions
        .filter_map(|(member, action)| match action {
            Action::Send(advert) => Some((member, advert.priority.get())),
            Action::Publish(_) => None,
        })
        .collect()
}

fn advert(priority: Priority) -> Input {
    Input::Advert {
        source: Ipv4Addr::new(10, 0, 0, 3).into(),
        advert: Advert {
            version: VrrpVersion::V3,
            virtual_router_id: RouterId::new(7).unwrap(),
            priority,
            interval: SECOND,
            addresses: Vec::new(),
            authentication: Authentication::None,
        },
    }
}

/// As the engine does it: first whether it slept, then what waits in the sockets, then the timers.
fn wake(group: &mut Group, now: Instant, waiting: &[(usize, Input)]) -> Vec<(usize, u8)> {
    group.handle_wake(now);
    for (member, input) in waiting {
        group.handle(now, *member, input.clone());
    }
    group.handle_timeout(now);
    sent(group)
}

#[test]
fn a_group_takes_over_when_all_its_members_want_to() {
    let now = Instant::now();
    let mut group = two(now);
    group.handle_timeout(now + 37 * SECOND / 10);
    assert_eq!(group.role(), Role::Master);
}

#[test]
fn the_fault_of_one_member_is_the_fault_of_all_until_it_is_over() {
    let now = Instant::now();
    let mut group = two(now);
    group.handle(now, 1, Input::Fault(true));
    drain(&mut group);
    assert_eq!(group.machine(0).role(), Role::Fault);
    assert!(!group.is_faulty(0) && group.is_faulty(1));
    group.handle(now, 1, Input::Fault(false));
    assert_eq!(group.machine(0).role(), Role::Backup);
}

#[test]
fn a_member_that_hears_a_better_master_gives_way_for_all() {
    let now = Instant::now();
    let mut group = two_that(now, Start::ResumeMaster);
    group.handle(now, 1, advert(Priority::OWNER));
    assert_eq!(group.role(), Role::Backup);
    assert_eq!(sent(&mut group), [(0, 0), (1, 100)]);
}

#[test]
fn after_a_pause_no_member_speaks_before_it_has_listened() {
    let now = Instant::now();
    let skew = SECOND * 156 / 256;
    let release = || advert(Priority::RELEASE);
    let waiting: [Vec<(usize, Input)>; 3] = [
        vec![],
        vec![(0, release())],
        vec![(0, release()), (1, release())],
    ];
    for start in [Start::ResumeMaster, Start::Fresh] {
        for waiting in &waiting {
            let mut group = two_that(now, start);
            let awake = now + 10 * SECOND;
            assert_eq!(wake(&mut group, awake, waiting), [], "{waiting:?}");
            assert_eq!(group.role(), Role::Backup);
            let nearly = awake + SECOND + skew - Duration::from_nanos(1);
            assert_eq!(wake(&mut group, nearly, &[]), [], "{waiting:?}");
            let listened = awake + SECOND + skew;
            assert_eq!(wake(&mut group, listened, &[]), [(0, 100), (1, 100)]);
        }
    }
}

#[test]
fn after_a_pause_only_the_member_that_hears_another_master_takes_its_leave() {
    let now = Instant::now();
    let waiting = [(0, advert(Priority::RELEASE)), (1, advert(Priority::OWNER))];
    let mut master = two_that(now, Start::ResumeMaster);
    let awake = now + 10 * SECOND;
    assert_eq!(wake(&mut master, awake, &waiting), [(1, 100)]);
    let mut backup = two(now);
    assert_eq!(wake(&mut backup, awake, &waiting), []);
    for group in [&mut master, &mut backup] {
        assert_eq!(wake(group, awake + 2 * SECOND, &[]), []);
        assert_eq!(group.role(), Role::Backup);
    }
}

#[test]
fn a_member_that_waits_for_the_others_listens_again_after_a_pause() {
    let now = Instant::now();
    let mut group = two(now);
    // The other link has a master until now.
    group.handle(now + 3 * SECOND, 1, advert(Priority::OWNER));
    let silent = now + 37 * SECOND / 10;
    assert_eq!(wake(&mut group, silent, &[]), []);
    assert!(group.machine(0).wants_master() && !group.machine(1).wants_master());
    let awake = now + 20 * SECOND;
    assert_eq!(wake(&mut group, awake, &[]), []);
    assert!(!group.machine(0).wants_master());
}
