//! Every pair of a role and an input. None can be left out: a new input, timer, or start has to be
//! named in [`kind`], what is named there in [`row`] (neither has a wildcard), and each row is played.

use super::*;

/// The roles of each row, in its order.
const ROLES: [Role; 4] = [Role::Initialize, Role::Backup, Role::Master, Role::Fault];

macro_rules! kinds {
    ($($kind:ident)+) => {
        /// Inputs that are one to a machine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Kind { $($kind),+ }

        const KINDS: &[Kind] = &[$(Kind::$kind),+];
    };
}

kinds! {
    Startup Resume Shutdown
    OwnersAdvert HigherAdvert EqualAdvertOfHigherAddress EqualAdvertOfLowerAddress LowerAdvert Release
    MasterDown Advert PreemptDelay SecondBurst Refresh Settled
    SamePriority OtherPriority
    Fault Recovery
    GroupMaster GroupBackup Paused
}

/// What it is to a router of priority 100.
fn kind(input: &Input) -> Kind {
    match input {
        Input::Startup(Start::Fresh) => Kind::Startup,
        Input::Startup(Start::ResumeMaster) => Kind::Resume,
        Input::Shutdown => Kind::Shutdown,
        Input::Advert { source, advert } => {
            match (advert.priority.get(), *source > config().source) {
                (0, _) => Kind::Release,
                (1..100, _) => Kind::LowerAdvert,
                (100, false) => Kind::EqualAdvertOfLowerAddress,
                (100, true) => Kind::EqualAdvertOfHigherAddress,
                (101..255, _) => Kind::HigherAdvert,
                (255, _) => Kind::OwnersAdvert,
            }
        }
        Input::Timeout(timer, _) => match timer {
            Timer::MasterDown => Kind::MasterDown,
            Timer::Advert => Kind::Advert,
            Timer::PreemptDelay => Kind::PreemptDelay,
            Timer::SecondBurst => Kind::SecondBurst,
            Timer::Refresh => Kind::Refresh,
            Timer::Settled => Kind::Settled,
        },
        Input::Priority(Priority::DEFAULT) => Kind::SamePriority,
        Input::Priority(_) => Kind::OtherPriority,
        Input::Fault(true) => Kind::Fault,
        Input::Fault(false) => Kind::Recovery,
        Input::GroupMaster => Kind::GroupMaster,
        Input::GroupBackup => Kind::GroupBackup,
        Input::Paused => Kind::Paused,
    }
}

/// What becomes of each role, and what it says: see [`outcome`].
fn row(kind: Kind, now: Instant) -> (Input, [&'static str; 4]) {
    let unmoved = ["init", "backup", "master", "fault"];
    let timeout = |timer| Input::Timeout(timer, now);
    match kind {
        Kind::Startup => (
            Input::Startup(Start::Fresh),
            ["backup", "backup", "master", "fault"],
        ),
        Kind::Resume => (
            Input::Startup(Start::ResumeMaster),
            ["master 100", "backup", "master", "fault"],
        ),
        Kind::Shutdown => (Input::Shutdown, ["init", "init", "init 0", "init"]),
        Kind::OwnersAdvert => (advert(255), ["init", "backup", "backup 100", "fault"]),
        Kind::HigherAdvert => (advert(200), ["init", "backup", "backup 100", "fault"]),
        Kind::EqualAdvertOfHigherAddress => (
            advert_from(3, 100),
            ["init", "backup", "backup 100", "fault"],
        ),
        Kind::EqualAdvertOfLowerAddress => (
            advert_from(1, 100),
            ["init", "backup", "master 100", "fault"],
        ),
        Kind::LowerAdvert => (advert(50), ["init", "backup", "master 100", "fault"]),
        Kind::Release => (advert(0), ["init", "backup", "master 100", "fault"]),
        Kind::MasterDown => (
            timeout(Timer::MasterDown),
            ["init", "master 100", "master", "fault"],
        ),
        Kind::Advert => (
            timeout(Timer::Advert),
            ["init", "backup", "master 100", "fault"],
        ),
        Kind::PreemptDelay => (timeout(Timer::PreemptDelay), unmoved),
        Kind::SecondBurst => (timeout(Timer::SecondBurst), unmoved),
        Kind::Refresh => (timeout(Timer::Refresh), unmoved),
        Kind::Settled => (timeout(Timer::Settled), unmoved),
        Kind::SamePriority => (Input::Priority(Priority::DEFAULT), unmoved),
        Kind::OtherPriority => (
            Input::Priority(priority(90)),
            ["init", "backup", "master 90", "fault"],
        ),
        Kind::Fault => (Input::Fault(true), ["init", "fault", "fault 0", "fault"]),
        Kind::Recovery => (Input::Fault(false), ["init", "backup", "master", "backup"]),
        Kind::GroupMaster => (
            Input::GroupMaster,
            ["init", "master 100", "master", "fault"],
        ),
        Kind::GroupBackup => (Input::GroupBackup, ["init", "backup", "backup 0", "fault"]),
        Kind::Paused => (Input::Paused, ["init", "backup", "backup", "fault"]),
    }
}

/// Where a router that owns the addresses (priority 255) does something else.
fn owners(kind: Kind) -> Option<[&'static str; 4]> {
    Some(match kind {
        Kind::Startup => ["master 255", "backup", "master", "fault"],
        Kind::Recovery => ["init", "backup", "master", "master 255"],
        // Nobody is above it but another owner.
        Kind::HigherAdvert | Kind::EqualAdvertOfHigherAddress => {
            ["init", "backup", "master 255", "fault"]
        }
        Kind::OwnersAdvert => ["init", "backup", "backup 255", "fault"],
        // For it, the other priority.
        Kind::SamePriority => ["init", "backup", "master 100", "fault"],
        _ => return None,
    })
}

/// Where a member of a group does something else: only the group makes it master.
fn members(kind: Kind) -> Option<[&'static str; 4]> {
    Some(match kind {
        Kind::MasterDown => ["init", "backup", "master", "fault"],
        _ => return None,
    })
}

fn play(config: &MachineConfig, other: impl Fn(Kind) -> Option<[&'static str; 4]>) {
    let now = Instant::now();
    let ours = config.priority.to_string();
    for wanted in KINDS {
        let (input, ordinary) = row(*wanted, now);
        assert_eq!(kind(&input), *wanted, "{input:?} is an example of it");
        let expected = match other(*wanted) {
            Some(expected) => expected.map(str::to_owned),
            None => ordinary.map(|text| text.replace("100", &ours)),
        };
        for (role, expected) in ROLES.into_iter().zip(expected) {
            let mut machine = machine(config.clone(), role, now);
            machine.handle(now, input.clone());
            // The assertion of a master that spoke a moment ago waits a little.
            if role == Role::Master && expected.starts_with("master ") {
                machine.handle_timeout(now + SECOND / 8);
            }
            assert_eq!(outcome(&mut machine), expected, "{role} and {wanted:?}");
        }
    }
}

#[test]
fn every_pair_of_role_and_input_leads_where_the_table_says() {
    play(&config(), |_| None);
}

#[test]
fn every_pair_of_an_owner() {
    let owner = MachineConfig {
        priority: Priority::OWNER,
        ..config()
    };
    play(&owner, owners);
}

#[test]
fn every_pair_of_a_member_of_a_group() {
    let member = MachineConfig {
        grouped: true,
        ..config()
    };
    play(&member, members);
}

#[test]
fn the_table_has_every_role() {
    for role in ROLES {
        let place = match role {
            Role::Initialize => 0,
            Role::Backup => 1,
            Role::Master => 2,
            Role::Fault => 3,
        };
        assert_eq!(ROLES[place], role);
    }
}
