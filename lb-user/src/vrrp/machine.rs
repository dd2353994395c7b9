//! The state machine of one virtual router. Pure: `now` comes in, actions come out.
//!
//! ```text
//!                    Startup                          Shutdown (from anywhere)
//!   ┌────────────┐ ────────────▶ ┌────────────┐      ┌────────────┐
//!   │ Initialize │               │   Backup   │      │ Initialize │
//!   └────────────┘ ──┐           └────────────┘      └────────────┘
//!        owner, or   │   master silent │ ▲ a better master speaks,
//!        it was      │   or giving up  ▼ │ or we were not running for a while
//!        before      │           ┌────────────┐   what we need is gone   ┌───────┐
//!                    └─────────▶ │   Master   │ ───────────────────────▶ │ Fault │
//!                                └────────────┘    (from Backup too)     └───────┘
//! ```
//!
//! RFC 9568, section 6.4 (version 2: RFC 3768, section 6.4), and where they are silent:
//!
//! * A master that falls below our priority is treated like one that gives up: we take over after
//!   our skew time, not after master-down. Its adverts said the same as a priority of 0 would.
//! * A master that hears a lower one asserts itself at once (RFC 9568) and announces its addresses
//!   again, and once more when the other has gone silent: switches and caches heard both.
//! * A master that gives way to a better one sends one more advert, so that the better one learns that
//!   there were two: after a network has been parted it may have heard of nobody, while half of the
//!   network has heard our announcements.
//! * `initial_state: master` listens for one interval and skew instead of three: a living master is
//!   heard in that time, and a dead one missed for no longer.
//! * A router that was not running for a while (SIGSTOP, a paused machine) listens before it speaks
//!   again, for one interval and skew: see [`Machine::overslept`]. If it was master and hears another
//!   now, it takes its leave as above.

use std::{
    collections::VecDeque,
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    timers::{Timer, Timers},
    wire::{Advert, Authentication},
};
use crate::{
    config::model::{Garp, InitialState, VrrpVersion},
    types::{Priority, RouterId},
};

#[cfg(test)]
mod tests;

/// What a machine has to know. All but `priority` come from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineConfig {
    /// Version of the adverts sent and accepted.
    pub version: VrrpVersion,
    /// Number of the virtual router.
    pub virtual_router_id: RouterId,
    /// Effective priority, after tracking.
    pub priority: Priority,
    /// Time between our adverts.
    pub interval: Duration,
    /// Whether a lower master is replaced.
    pub preempt: bool,
    /// How long it is left alone first.
    pub preempt_delay: Duration,
    /// How to begin.
    pub initial_state: InitialState,
    /// The address our adverts come from; the higher one wins a tie.
    pub source: IpAddr,
    /// What the adverts list.
    pub addresses: Vec<IpAddr>,
    /// What the adverts carry as authentication.
    pub authentication: Authentication,
    /// When addresses are announced again.
    pub garp: Garp,
    /// Member of a group: it only says that it wants to be master, the group decides.
    pub grouped: bool,
}

/// The states of RFC 9568, and one for a router that lacks what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Not started, or stopped.
    Initialize,
    /// Listening.
    Backup,
    /// Answering for the addresses.
    Master,
    /// Something it cannot do without is missing.
    Fault,
}

/// How a router begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Without a past.
    Fresh,
    /// It was master before, and no peer can have missed it yet.
    ResumeMaster,
}

/// Everything that can happen to a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is to begin.
    Startup(Start),
    /// It is to end.
    Shutdown,
    /// A peer spoke; the advert has been accepted (`accept.rs`).
    Advert {
        /// Who.
        source: IpAddr,
        /// What.
        advert: Advert,
    },
    /// A timer ran out at this time.
    Timeout(Timer, Instant),
    /// Tracking changed the effective priority.
    Priority(Priority),
    /// What it needs is missing (true) or back (false).
    Fault(bool),
    /// All members of the group want to be master.
    GroupMaster,
    /// Another member of the group gave way.
    GroupBackup,
    /// It did not run for a while: [`Machine::overslept`], or another member of its group did.
    Paused,
}

/// What a router wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this to the peers.
    Send(Advert),
    /// This is how things are now.
    Publish(Published),
}

/// What others see of a router. Level triggered: the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its role.
    pub role: Role,
    /// Why it has that role.
    pub reason: Reason,
    /// A changed number means: announce the addresses again.
    pub announce: u64,
}

/// Why a role was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It began.
    Started,
    /// It owns the addresses (priority 255).
    Owner,
    /// `initial_state: master`, and nobody spoke.
    InitialMaster,
    /// It was master before a restart that nobody noticed.
    Resumed,
    /// The master fell silent.
    MasterSilent,
    /// The master gave up its role.
    MasterReleased,
    /// The master's priority is below ours.
    Preempted,
    /// This peer has a higher priority.
    HigherPriority(IpAddr, Priority),
    /// This peer has the same priority and a higher address.
    HigherAddress(IpAddr),
    /// Something it needs is missing.
    Fault,
    /// What was missing is back.
    Recovered,
    /// Another member of its group changed.
    Group,
    /// It did not run for a while.
    Paused,
    /// It was told to end.
    Stopped,
}

/// The state machine of one virtual router.
#[derive(Clone, Debug)]
pub struct Machine {
    config: MachineConfig,
    role: Role,
    reason: Reason,
    timers: Timers,
    actions: VecDeque<Action>,
    /// The master's interval (version 3 learns it); our own while there is none.
    master_interval: Duration,
    /// The master we listen to.
    master: Option<Heard>,
    /// What MasterDown will mean when it runs out.
    expected: Reason,
    /// The delay before preempting is over.
    preempting: bool,
    /// After a pause: nothing makes it master before this time.
    listens_until: Option<Instant>,
    /// It was master before a pause, and nobody knows that it gave up.
    farewell: bool,
    /// Grouped: why it wants to be master.
    wants: Option<Reason>,
    faulty: bool,
    announce: u64,
    announced_at: Option<Instant>,
    advertised_at: Option<Instant>,
}

/// The master a backup listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its address.
    pub source: IpAddr,
    /// The priority it last said.
    pub priority: Priority,
    /// When.
    pub at: Instant,
}

impl Machine {
    /// A router that has not begun.
    #[must_use]
    pub fn new(config: MachineConfig) -> Self {
        Self {
            master_interval: config.interval,
            config,
            role: Role::Initialize,
            reason: Reason::Stopped,
            timers: Timers::default(),
            actions: VecDeque::with_capacity(MAX_ACTIONS),
            master: None,
            expected: Reason::MasterSilent,
            preempting: false,
            listens_until: None,
            farewell: false,
            wants: None,
            faulty: false,
            announce: 0,
            announced_at: None,
            advertised_at: None,
        }
    }

    /// What it is now.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The peer it takes for the master.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        self.master
    }

    /// When it last spoke.
    #[must_use]
    pub fn last_advert(&self) -> Option<Instant> {
        self.advertised_at
    }

    /// As it is configured.
    #[must_use]
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// Grouped: whether it would be master if it were alone.
    #[must_use]
    pub fn wants_master(&self) -> bool {
        self.role == Role::Master || (self.role == Role::Backup && self.wants.is_some())
    }

    /// When it wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What it wants done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Each timer once: one that re-arms itself into the past must not hold us here.
        for _ in Timer::ALL {
            let Some((timer, at)) = self.timers.take_due(now) else {
                return;
            };
            self.handle(now, Input::Timeout(timer, at));
        }
    }

    /// Whether it cannot have been running: to be asked first after waking up, before anything that was
    /// received meanwhile is handled. If so, [`Input::Paused`] is due.
    ///
    /// A master whose advert is late by three intervals has said nothing for four. No peer waits for
    /// that long: if there is one, it is master now. With short intervals it takes more, or a busy
    /// machine would leave the addresses to nobody; a peer that took over while we were stopped for a
    /// few of them has left its adverts in our socket, and those are handled before we speak.
    ///
    /// A backup has less patience. It would take over now, from a master whose adverts it may have slept
    /// through, and to listen once more costs no more than an interval and skew.
    #[must_use]
    pub fn overslept(&self, now: Instant) -> bool {
        let (deadline, limit) = match self.role {
            Role::Master => (
                self.timers.get(Timer::Advert),
                (3 * self.config.interval).max(PAUSE_LEAST),
            ),
            Role::Backup => (
                self.timers.next(),
                self.listened_interval().min(PAUSE_LEAST),
            ),
            Role::Initialize | Role::Fault => return false,
        };
        deadline.is_some_and(|at| now.saturating_duration_since(at) > limit)
    }

    /// Takes another configuration; the role stays. The priority comes by [`Input::Priority`].
    pub fn configure(&mut self, now: Instant, config: MachineConfig) {
        let old = std::mem::replace(&mut self.config, config);
        let priority = std::mem::replace(&mut self.config.priority, old.priority);
        if self.config.interval != old.interval {
            match self.role {
                Role::Master => {
                    self.master_interval = self.config.interval;
                    self.timers.arm(Timer::Advert, now);
                }
                Role::Backup if self.master.is_none() => {
                    self.master_interval = self.config.interval;
                    self.listen(self.after_pause(now + self.master_down()));
                }
                Role::Backup | Role::Initialize | Role::Fault => {}
            }
        } else if self.role == Role::Master && self.config != old {
            // Peers learn of other addresses at once.
            self.timers.arm(Timer::Advert, now);
        }
        if self.role == Role::Master {
            if self.config.addresses != old.addresses {
                self.announce(now);
            }
            if self.config.garp.refresh != old.garp.refresh {
                self.arm_refresh(now);
            }
        }
        self.handle(now, Input::Priority(priority));
    }

    /// The one place where things happen.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match (self.role, input) {
            (Role::Initialize, Input::Startup(start)) => self.start(now, start),
            (Role::Backup | Role::Master | Role::Fault, Input::Startup(_)) => {}

            (Role::Initialize, Input::Shutdown) => {}
            (Role::Master, Input::Shutdown) => {
                self.release();
                self.rest(Role::Initialize, Reason::Stopped);
            }
            (Role::Backup | Role::Fault, Input::Shutdown) => {
                self.rest(Role::Initialize, Reason::Stopped);
            }

            (Role::Initialize | Role::Fault, Input::Advert { .. }) => {}
            (Role::Backup, Input::Advert { source, advert }) => {
                self.backup_hears(now, source, &advert);
            }
            (Role::Master, Input::Advert { source, advert }) => {
                self.master_hears(now, source, &advert);
            }

            (Role::Backup, Input::Timeout(Timer::MasterDown, _)) => self.master_is_down(now),
            (Role::Backup, Input::Timeout(Timer::PreemptDelay, _)) => {
                self.preempting = true;
                self.expect(now + self.skew(), Reason::Preempted);
            }
            (Role::Master, Input::Timeout(timer, deadline)) => {
                self.master_timeout(now, timer, deadline);
            }
            // Disarmed on the way here; a late one means nothing.
            (Role::Initialize | Role::Backup | Role::Fault, Input::Timeout(..)) => {}

            (Role::Master, Input::Priority(priority)) => {
                if priority != self.config.priority {
                    self.config.priority = priority;
                    // Peers that are better now need not wait for the next one.
                    self.timers.arm(Timer::Advert, now);
                    self.handle_timeout(now);
                }
            }
            (Role::Initialize | Role::Backup | Role::Fault, Input::Priority(priority)) => {
                self.config.priority = priority;
            }

            (Role::Initialize, Input::Fault(missing)) => self.faulty = missing,
            (Role::Backup, Input::Fault(true)) => {
                self.faulty = true;
                self.rest(Role::Fault, Reason::Fault);
            }
            (Role::Master, Input::Fault(true)) => {
                self.faulty = true;
                self.release();
                self.rest(Role::Fault, Reason::Fault);
            }
            (Role::Fault, Input::Fault(false)) => {
                self.faulty = false;
                if self.config.priority == Priority::OWNER && !self.config.grouped {
                    self.become_master(now, Reason::Owner);
                } else {
                    self.become_backup(now, Reason::Recovered, Self::master_down);
                }
            }
            (Role::Backup | Role::Master, Input::Fault(false)) => self.faulty = false,
            (Role::Fault, Input::Fault(true)) => {}

            (Role::Backup, Input::GroupMaster) => {
                let reason = self.wants.take().unwrap_or(Reason::Group);
                self.become_master(now, reason);
            }
            (Role::Master, Input::GroupBackup) => {
                self.release();
                self.become_backup(now, Reason::Group, Self::master_down);
            }
            (Role::Backup, Input::GroupBackup) => {
                self.wants = None;
                self.listen(self.after_pause(now + self.master_down()));
            }
            (Role::Initialize | Role::Master | Role::Fault, Input::GroupMaster)
            | (Role::Initialize | Role::Fault, Input::GroupBackup) => {}

            (Role::Master, Input::Paused) => {
                self.become_backup(now, Reason::Paused, Self::hearing);
                self.listens_until = self.timers.get(Timer::MasterDown);
                self.farewell = true;
            }
            (Role::Backup, Input::Paused) => self.listen_again(now),
            (Role::Initialize | Role::Fault, Input::Paused) => {}
        }
    }

    fn start(&mut self, now: Instant, start: Start) {
        if self.faulty {
            return self.rest(Role::Fault, Reason::Fault);
        }
        match start {
            Start::ResumeMaster => return self.become_master(now, Reason::Resumed),
            Start::Fresh if self.config.priority == Priority::OWNER && !self.config.grouped => {
                return self.become_master(now, Reason::Owner);
            }
            Start::Fresh => {}
        }
        match self.config.initial_state {
            InitialState::Master => {
                self.become_backup(now, Reason::Started, Self::hearing);
                self.expected = Reason::InitialMaster;
            }
            InitialState::Backup => self.become_backup(now, Reason::Started, Self::master_down),
        }
    }

    /// RFC 9568, section 6.4.2.
    fn backup_hears(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        if advert.priority == Priority::RELEASE {
            self.expect(now + self.skew(), Reason::MasterReleased);
            return;
        }
        if advert.priority >= self.config.priority || !self.config.preempt {
            self.follow(now, source, advert);
            self.take_leave(source, advert);
            self.preempting = false;
            self.timers.disarm(Timer::PreemptDelay);
            return;
        }
        // A lower master: left alone for the delay, then not listened to.
        if !self.config.preempt_delay.is_zero() && !self.preempting {
            self.follow(now, source, advert);
            self.take_leave(source, advert);
            if self.timers.get(Timer::PreemptDelay).is_none() {
                self.timers
                    .arm(Timer::PreemptDelay, now + self.config.preempt_delay);
            }
            return;
        }
        let fell = self.master.is_some_and(|master| {
            master.source == source && master.priority >= self.config.priority
        });
        // Its interval is not learned: we listen to another, or to nobody.
        if self.master.is_none_or(|master| master.source == source) {
            self.master = Some(Heard {
                source,
                priority: advert.priority,
                at: now,
            });
        }
        if fell {
            self.expect(now + self.skew(), Reason::Preempted);
        } else if self.expected == Reason::MasterSilent {
            self.expected = Reason::Preempted;
        }
    }

    /// RFC 9568, section 6.4.3.
    fn master_hears(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        // Whoever gives up a role had it, and has announced it.
        if advert.priority == Priority::RELEASE {
            return self.assert_role(now, advert);
        }
        let Some(reason) = self.is_better(source, advert) else {
            return self.assert_role(now, advert);
        };
        // One last advert: the other may never have heard of us, and must announce after us.
        self.send(self.config.priority);
        self.become_backup(now, reason, Self::master_down);
        self.follow(now, source, advert);
    }

    /// Why this master goes before us, if it does.
    fn is_better(&self, source: IpAddr, advert: &Advert) -> Option<Reason> {
        let ours = self.config.priority;
        if advert.priority > ours {
            Some(Reason::HigherPriority(source, advert.priority))
        } else if advert.priority == ours && source > self.config.source {
            Some(Reason::HigherAddress(source))
        } else {
            None
        }
    }

    /// After a pause in which our kernel went on answering for the addresses: the master that we hear
    /// and follow must announce after us. To a better one we say that we were there, to a lower one,
    /// which would give way to that, that we are no more.
    fn take_leave(&mut self, source: IpAddr, advert: &Advert) {
        if std::mem::take(&mut self.farewell) {
            match self.is_better(source, advert) {
                Some(_) => self.send(self.config.priority),
                None => self.release(),
            }
        }
    }

    /// Another master spoke, and we are the better one.
    fn assert_role(&mut self, now: Instant, heard: &Advert) {
        // Last, but not once for each of a flood of forged ones.
        let pause = heard.interval.min(self.config.interval) / 8;
        match self.advertised_at.map(|at| at + pause) {
            Some(at) if at > now => {
                let due = self.timers.get(Timer::Advert);
                let at = due.map_or(at, |due| due.min(at));
                self.timers.arm(Timer::Advert, at);
            }
            Some(_) | None => self.advertise(now, now),
        }
        // Both announced: whoever listens must hear us last. Not at each of its adverts, though:
        // it may be deaf to ours, and go on for hours.
        let recent = |at: Instant| now.saturating_duration_since(at) < ANNOUNCE_PAUSE;
        if !self.announced_at.is_some_and(recent) {
            self.announce(now);
        }
        self.timers
            .arm(Timer::Settled, now + self.config.interval + self.skew());
    }

    fn master_timeout(&mut self, now: Instant, timer: Timer, deadline: Instant) {
        match timer {
            Timer::Advert => self.advertise(now, deadline),
            Timer::SecondBurst | Timer::Settled => self.announce(now),
            Timer::Refresh => {
                self.announce(now);
                self.arm_refresh(now);
            }
            Timer::MasterDown | Timer::PreemptDelay => {}
        }
    }

    fn master_is_down(&mut self, now: Instant) {
        if self.config.grouped {
            // Waits for the others of the group, and goes on listening.
            self.wants = Some(self.expected);
        } else {
            self.become_master(now, self.expected);
        }
    }

    fn become_master(&mut self, now: Instant, reason: Reason) {
        self.enter(Role::Master, reason);
        self.advertise(now, now);
        if !self.config.garp.delay.is_zero() {
            self.timers
                .arm(Timer::SecondBurst, now + self.config.garp.delay);
        }
        self.arm_refresh(now);
        self.announce(now);
    }

    fn become_backup(&mut self, now: Instant, reason: Reason, wait: fn(&Self) -> Duration) {
        self.enter(Role::Backup, reason);
        self.listen(now + wait(self));
        self.publish();
    }

    /// Out of the election.
    fn rest(&mut self, role: Role, reason: Reason) {
        self.enter(role, reason);
        self.publish();
    }

    /// Nothing is left of the role before.
    fn enter(&mut self, role: Role, reason: Reason) {
        self.timers.clear();
        self.role = role;
        self.reason = reason;
        self.master = None;
        self.master_interval = self.config.interval;
        self.preempting = false;
        self.listens_until = None;
        self.farewell = false;
        self.wants = None;
    }

    /// A backup that did not run: whatever it expected, it has to hear about it again.
    fn listen_again(&mut self, now: Instant) {
        let until = now + self.hearing();
        let armed = self.timers.get(Timer::MasterDown);
        self.wants = None;
        self.listens_until = Some(until);
        self.listen(armed.map_or(until, |armed| armed.max(until)));
    }

    /// This peer is the master.
    fn follow(&mut self, now: Instant, source: IpAddr, advert: &Advert) {
        if self.config.version == VrrpVersion::V3 {
            self.master_interval = advert.interval;
        }
        self.master = Some(Heard {
            source,
            priority: advert.priority,
            at: now,
        });
        self.wants = None;
        self.listen(now + self.master_down());
    }

    fn listen(&mut self, until: Instant) {
        self.expected = Reason::MasterSilent;
        self.timers.arm(Timer::MasterDown, until);
    }

    /// Not before it has listened, if it was paused.
    fn after_pause(&self, at: Instant) -> Instant {
        self.listens_until.map_or(at, |until| at.max(until))
    }

    /// Takes over at this time, unless that was to be sooner.
    fn expect(&mut self, at: Instant, reason: Reason) {
        if self.wants.is_some() {
            return;
        }
        let at = self.after_pause(at);
        let armed = self.timers.get(Timer::MasterDown);
        if armed.is_none_or(|armed| at <= armed) {
            self.timers.arm(Timer::MasterDown, at);
            self.expected = reason;
        }
    }

    fn advertise(&mut self, now: Instant, due: Instant) {
        self.send(self.config.priority);
        self.advertised_at = Some(now);
        // From the deadline, not from now: small delays do not add up.
        let next = due + self.config.interval;
        let next = if next > now {
            next
        } else {
            now + self.config.interval
        };
        self.timers.arm(Timer::Advert, next);
    }

    fn release(&mut self) {
        self.send(Priority::RELEASE);
    }

    fn send(&mut self, priority: Priority) {
        self.push(Action::Send(Advert {
            version: self.config.version,
            virtual_router_id: self.config.virtual_router_id,
            priority,
            interval: self.config.interval,
            addresses: self.config.addresses.clone(),
            authentication: self.config.authentication.clone(),
        }));
    }

    fn announce(&mut self, now: Instant) {
        self.announce += 1;
        self.announced_at = Some(now);
        self.publish();
    }

    fn arm_refresh(&mut self, now: Instant) {
        if self.config.garp.refresh.is_zero() {
            self.timers.disarm(Timer::Refresh);
        } else {
            self.timers
                .arm(Timer::Refresh, now + self.config.garp.refresh);
        }
    }

    fn publish(&mut self) {
        self.push(Action::Publish(Published {
            role: self.role,
            reason: self.reason,
            announce: self.announce,
        }));
    }

    fn push(&mut self, action: Action) {
        debug_assert!(
            self.actions.len() < MAX_ACTIONS,
            "the driver takes the actions after each input"
        );
        self.actions.push_back(action);
    }

    /// Master_Down_Interval of RFC 9568, section 6.1 (RFC 3768: likewise, with another skew).
    fn master_down(&self) -> Duration {
        3 * self.listened_interval() + self.skew()
    }

    /// Skew_Time: RFC 9568, section 6.1; RFC 3768, section 6.1, by whole seconds. Not rounded.
    fn skew(&self) -> Duration {
        let base = match self.config.version {
            VrrpVersion::V2 => Duration::from_secs(1),
            VrrpVersion::V3 => self.master_interval,
        };
        base * (256 - u32::from(self.config.priority.get())) / 256
    }

    fn listened_interval(&self) -> Duration {
        match self.config.version {
            VrrpVersion::V2 => self.config.interval,
            VrrpVersion::V3 => self.master_interval,
        }
    }

    /// A living master is heard in this time.
    fn hearing(&self) -> Duration {
        self.listened_interval() + self.skew()
    }
}

impl Role {
    /// As in `status --json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialize => "init",
            Self::Backup => "backup",
            Self::Master => "master",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Owner => f.write_str("it owns the addresses (priority 255)"),
            Self::InitialMaster => f.write_str("`initial_state: master`, and no master spoke"),
            Self::Resumed => f.write_str("it was master before the restart"),
            Self::MasterSilent => f.write_str("no advert of a master"),
            Self::MasterReleased => f.write_str("the master gave up its role"),
            Self::Preempted => f.write_str("the master's priority is lower"),
            Self::HigherPriority(peer, priority) => {
                write!(f, "{peer} has the higher priority {priority}")
            }
            Self::HigherAddress(peer) => {
                write!(f, "{peer} has the same priority and a higher address")
            }
            Self::Fault => f.write_str("something it needs is missing"),
            Self::Recovered => f.write_str("what was missing is back"),
            Self::Group => f.write_str("its group changed"),
            Self::Paused => f.write_str("it did not run for a while, and listens first"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Most actions one input causes: a release, an advert, and what is published on the way.
const MAX_ACTIONS: usize = 16;
/// Shortest time between two announcements because of another master.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);
/// A delay below this is a busy machine, not a stopped one. (The kernel alone may hold up threads of
/// real-time priority for 50 ms in a second.)
const PAUSE_LEAST: Duration = Duration::from_millis(100);
