//! Virtual routers that change role together. Pure.
//!
//! A router alone is a group of one. All members are master, or none is: a group takes over when
//! every member wants to (one that hears a better master holds the others back, or they would flap),
//! gives way as soon as one member does, and is at fault as soon as one member is.

use std::time::Instant;

use super::machine::{Action, Input, Machine, MachineConfig, Role, Start};

#[cfg(test)]
mod tests;

/// Machines that move together.
#[derive(Clone, Debug)]
pub struct Group {
    members: Vec<Member>,
}

#[derive(Clone, Debug)]
struct Member {
    machine: Machine,
    /// What it needs itself is missing.
    faulty: bool,
}

impl Group {
    /// A group of these; none has begun.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = MachineConfig>) -> Self {
        let members: Vec<Member> = members
            .into_iter()
            .map(|config| Member {
                machine: Machine::new(config),
                faulty: false,
            })
            .collect();
        debug_assert!(
            members
                .iter()
                .all(|member| member.machine.config().grouped == (members.len() > 1)),
            "members of a group know that they are, and others are alone"
        );
        Self { members }
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Never: a group has a member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member, by its place.
    #[must_use]
    pub fn machine(&self, member: usize) -> &Machine {
        &self.members[member].machine
    }

    /// What all members are: master or fault or initialize only if all agree.
    #[must_use]
    pub fn role(&self) -> Role {
        let first = self.members[0].machine.role();
        let fault = self
            .members
            .iter()
            .any(|member| member.machine.role() == Role::Fault);
        if fault {
            Role::Fault
        } else if self.members.iter().all(|m| m.machine.role() == first) {
            first
        } else {
            Role::Backup
        }
    }

    /// When it wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.members.iter().map(|m| m.machine.next_deadline());
        deadlines.flatten().min()
    }

    /// What is wanted next, and of which member.
    pub fn poll_action(&mut self) -> Option<(usize, Action)> {
        let members = self.members.iter_mut().enumerate();
        members
            .filter_map(|(i, member)| Some((i, member.machine.poll_action()?)))
            .next()
    }

    /// Begins with all members. Master without a pause only if all members were.
    pub fn start(&mut self, now: Instant, starts: &[Start]) {
        debug_assert_eq!(starts.len(), self.members.len());
        let resume = starts.iter().all(|start| *start == Start::ResumeMaster);
        let start = if resume {
            Start::ResumeMaster
        } else {
            Start::Fresh
        };
        for member in &mut self.members {
            member.machine.handle(now, Input::Startup(start));
        }
        self.settle(now);
    }

    /// An input for one member, and what follows from it for the others.
    pub fn handle(&mut self, now: Instant, member: usize, input: Input) {
        if let Input::Fault(missing) = input {
            self.members[member].faulty = missing;
            return self.settle_fault(now);
        }
        let before = self.members[member].machine.role();
        self.members[member].machine.handle(now, input);
        self.follow(now, member, before);
    }

    /// For all members.
    pub fn handle_all(&mut self, now: Instant, input: &Input) {
        for member in &mut self.members {
            member.machine.handle(now, input.clone());
        }
    }

    /// Takes another configuration for a member.
    pub fn configure(&mut self, now: Instant, member: usize, config: MachineConfig) {
        self.members[member].machine.configure(now, config);
    }

    /// To be called first after waking up, before anything that was received meanwhile: notices that
    /// we were not running ([`Machine::overslept`]). Whichever member does, all stopped, and none may
    /// speak before it has listened, not even to give way.
    pub fn handle_wake(&mut self, now: Instant) {
        if self.members.iter().any(|m| m.machine.overslept(now)) {
            for member in &mut self.members {
                member.machine.handle(now, Input::Paused);
            }
        }
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for i in 0..self.members.len() {
            let before = self.members[i].machine.role();
            self.members[i].machine.handle_timeout(now);
            self.follow(now, i, before);
        }
    }

    /// What the change of one member means for the others.
    fn follow(&mut self, now: Instant, member: usize, before: Role) {
        let after = self.members[member].machine.role();
        if before == Role::Master && after == Role::Backup {
            for (i, other) in self.members.iter_mut().enumerate() {
                if i != member {
                    other.machine.handle(now, Input::GroupBackup);
                }
            }
        }
        self.settle(now);
    }

    /// All want to be master: all are.
    fn settle(&mut self, now: Instant) {
        let all = self.members.iter().all(|m| m.machine.wants_master());
        if all {
            for member in &mut self.members {
                member.machine.handle(now, Input::GroupMaster);
            }
        }
    }

    fn settle_fault(&mut self, now: Instant) {
        let any = self.members.iter().any(|member| member.faulty);
        for member in &mut self.members {
            member.machine.handle(now, Input::Fault(any));
        }
    }

    /// Whether this member is at fault itself, not only for its group.
    #[must_use]
    pub fn is_faulty(&self, member: usize) -> bool {
        self.members[member].faulty
    }
}
