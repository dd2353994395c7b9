use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    config::model::{Garp, InitialState, VrrpVersion},
    types::{Priority, RouterId},
    vrrp::wire::Authentication,
};

fn two(now: Instant) -> Group {
    let member = |source| MachineConfig {
        version: VrrpVersion::V3,
        virtual_router_id: RouterId::new(7).unwrap(),
        priority: Priority::DEFAULT,
        interval: Duration::from_secs(1),
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
    group.start(now, &[Start::Fresh; 2]);
    drain(&mut group);
    group
}

fn drain(group: &mut Group) {
    while group.poll_action().is_some() {}
}

#[test]
fn a_group_takes_over_when_all_its_members_want_to() {
    let now = Instant::now();
    let mut group = two(now);
    group.handle_timeout(now + Duration::from_secs(10));
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
