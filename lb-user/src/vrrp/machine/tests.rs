use std::net::Ipv4Addr;

use super::*;

mod table;

mod announcing;
mod pauses;
mod timing;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> MachineConfig {
    MachineConfig {
        version: VrrpVersion::V3,
        virtual_router_id: RouterId::new(7).unwrap(),
        priority: Priority::DEFAULT,
        interval: SECOND,
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

fn priority(number: u8) -> Priority {
    match number {
        0 => Priority::RELEASE,
        255 => Priority::OWNER,
        other => Priority::new(other).unwrap(),
    }
}

/// Of a peer whose address is above ours.
fn advert(number: u8) -> Input {
    advert_from(3, number)
}

fn advert_from(host: u8, number: u8) -> Input {
    Input::Advert {
        source: Ipv4Addr::new(10, 0, 0, host).into(),
        advert: Advert {
            version: VrrpVersion::V3,
            virtual_router_id: RouterId::new(7).unwrap(),
            priority: priority(number),
            interval: SECOND,
            addresses: Vec::new(),
            authentication: Authentication::None,
        },
    }
}

/// One that has this role, and nothing left to do.
fn machine(config: MachineConfig, role: Role, now: Instant) -> Machine {
    let mut machine = Machine::new(config);
    if role == Role::Fault {
        machine.handle(now, Input::Fault(true));
    }
    match role {
        Role::Initialize => return machine,
        Role::Master => machine.handle(now, Input::Startup(Start::ResumeMaster)),
        Role::Backup | Role::Fault => machine.handle(now, Input::Startup(Start::Fresh)),
    }
    if role == Role::Backup {
        // An owner does not begin as one.
        machine.become_backup(now, Reason::Started, Machine::master_down);
    }
    outcome(&mut machine);
    assert_eq!(machine.role(), role);
    machine
}

/// Its role, and the priorities it has sent since it was last asked: `backup`, `init 0`, `master 100`.
fn outcome(machine: &mut Machine) -> String {
    let mut text = String::new();
    while let Some(action) = machine.poll_action() {
        if let Action::Send(advert) = action {
            text.push_str(&format!(" {}", advert.priority));
        }
    }
    format!("{}{text}", machine.role())
}

/// Lets time pass until a machine that nobody speaks to has become master.
fn silence(machine: &mut Machine, from: Instant) -> Duration {
    for _ in 0..100 {
        if machine.role() == Role::Master {
            break;
        }
        let at = machine.next_deadline().expect("it waits for something");
        machine.handle_timeout(at);
        if machine.role() == Role::Master {
            return at - from;
        }
    }
    panic!("it is {} for ever", machine.role());
}
