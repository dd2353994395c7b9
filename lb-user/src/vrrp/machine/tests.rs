use std::net::Ipv4Addr;

use super::*;

/// An input by its name.
type Named = (&'static str, fn(Instant) -> Input);

const INPUTS: [Named; 10] = [
    ("startup", |_| Input::Startup(Start::Fresh)),
    ("resume", |_| Input::Startup(Start::ResumeMaster)),
    ("shutdown", |_| Input::Shutdown),
    ("higher advert", |_| advert(200)),
    ("lower advert", |_| advert(50)),
    ("release", |_| advert(0)),
    ("master down", |now| Input::Timeout(Timer::MasterDown, now)),
    ("priority", |_| Input::Priority(Priority::DEFAULT)),
    ("fault", |_| Input::Fault(true)),
    ("recovered", |_| Input::Fault(false)),
];

/// What becomes of each role (initialize, backup, master, fault) by each input, in the order of [`INPUTS`].
const TABLE: [[Role; 4]; 10] = {
    use Role::{Backup as B, Fault as F, Initialize as I, Master as M};
    [
        [B, B, M, F],
        [M, B, M, F],
        [I, I, I, I],
        [I, B, B, F],
        [I, B, M, F],
        [I, B, M, F],
        [I, M, M, F],
        [I, B, M, F],
        [I, F, F, F],
        [I, B, M, B],
    ]
};

fn config() -> MachineConfig {
    MachineConfig {
        version: VrrpVersion::V3,
        virtual_router_id: RouterId::new(7).unwrap(),
        priority: Priority::DEFAULT,
        interval: Duration::from_secs(1),
        preempt: true,
        preempt_delay: Duration::ZERO,
        initial_state: InitialState::Backup,
        source: Ipv4Addr::new(10, 0, 0, 2).into(),
        addresses: Vec::new(),
        authentication: Authentication::None,
        garp: Garp {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
        },
        grouped: false,
    }
}

fn advert(priority: u8) -> Input {
    Input::Advert {
        source: Ipv4Addr::new(10, 0, 0, 3).into(),
        advert: Advert {
            version: VrrpVersion::V3,
            virtual_router_id: RouterId::new(7).unwrap(),
            priority: match priority {
                0 => Priority::RELEASE,
                other => Priority::new(other).unwrap(),
            },
            interval: Duration::from_secs(1),
            addresses: Vec::new(),
            authentication: Authentication::None,
        },
    }
}

fn machine(role: Role, now: Instant) -> Machine {
    let mut machine = Machine::new(config());
    let start = match role {
        Role::Initialize => return machine,
        Role::Master => Start::ResumeMaster,
        Role::Backup | Role::Fault => Start::Fresh,
    };
    if role == Role::Fault {
        machine.handle(now, Input::Fault(true));
    }
    machine.handle(now, Input::Startup(start));
    while machine.poll_action().is_some() {}
    assert_eq!(machine.role(), role);
    machine
}

#[test]
fn every_pair_of_role_and_input_leads_where_the_table_says() {
    let now = Instant::now();
    let roles = [Role::Initialize, Role::Backup, Role::Master, Role::Fault];
    for ((name, input), row) in INPUTS.iter().zip(TABLE) {
        for (role, expected) in roles.into_iter().zip(row) {
            let mut machine = machine(role, now);
            machine.handle(now, input(now));
            assert_eq!(machine.role(), expected, "{role} and {name}");
        }
    }
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
fn a_released_role_is_taken_after_the_skew_time() {
    let now = Instant::now();
    let mut machine = machine(Role::Backup, now);
    machine.handle(now, advert(0));
    assert_eq!(machine.next_deadline(), Some(now + machine.skew()));
}

#[test]
fn a_shutdown_says_so_with_priority_0() {
    let now = Instant::now();
    let mut machine = machine(Role::Master, now);
    machine.handle(now, Input::Shutdown);
    let Some(Action::Send(last)) = machine.poll_action() else {
        panic!("nothing was sent");
    };
    assert_eq!(last.priority, Priority::RELEASE);
}
