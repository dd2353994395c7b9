//! The driver of all virtual routers: sockets, timers and the kernel's news in; adverts, addresses
//! and news for the agent out.
//!
//! One future on a thread of its own (`task.rs`). Whatever woke it up, a turn does the same things in
//! the same order: see whether we were stopped, read every socket empty, handle the timers, carry out
//! the actions. So a take-over is never decided while the master's advert waits in a socket. Work in
//! the kernel that takes more than one request is done by jobs beside the loop, at most one for each
//! router; an advert never waits for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::MissedTickBehavior,
};

use self::{
    port::{Port, PortKey},
    router::Router,
};
use super::{
    hold::Troubles,
    machine::{Input as MachineInput, Role},
    record::Records,
    sync_group::Group,
    track::{Input, Observed, State},
    view::{Notice, Roles, View, Who},
};
use crate::{
    config::model::{SyncGroup, VrrpInstance},
    net::{
        Net,
        announce::Announcer,
        async_timer::AsyncTimer,
        monitor::{Event, Monitor},
    },
    types::{GroupName, IfIndex},
};

mod port;
mod router;

mod act;
mod holdings;
mod network;
mod receive;
mod setup;
mod status;

/// What the routers are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// The routers.
    pub instances: Vec<VrrpInstance>,
    /// Which of them move together.
    pub groups: Vec<SyncGroup>,
}

/// An order to the engine.
#[derive(Debug)]
pub enum Command {
    /// Be this from now on.
    Configure(Box<Setup>, oneshot::Sender<()>),
    /// This is what trackers other than interfaces see.
    Observed(Vec<(Input, State)>),
    /// Tell what you see.
    View(oneshot::Sender<View>),
    /// Give up every role, remove what is ours, and go on listening. Answered when nothing of ours is
    /// left, with the longest time that a peer may need to take over; zero where we were no master.
    Stop(oneshot::Sender<Duration>),
}

/// Where the engine's results go.
#[derive(Debug)]
pub struct Ends {
    /// Orders; closed: the end.
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// What the agent follows.
    pub roles: watch::Sender<Roles>,
    /// What the operator's scripts are told.
    pub notices: mpsc::UnboundedSender<Notice>,
}

/// The engine's state.
pub struct Engine {
    net: Net,
    monitor: Monitor,
    /// It failed, and is asked again at the next tick.
    monitor_rests: bool,
    records: Records,
    ends: Ends,
    setup: Setup,
    units: BTreeMap<UnitId, Unit>,
    next_unit: u64,
    /// Where each instance is, in the order of the configuration.
    places: Vec<Place>,
    ports: BTreeMap<PortKey, Port>,
    announcers: BTreeMap<IfIndex, Arc<Announcer>>,
    /// Interfaces that were up when last looked at.
    up: BTreeSet<IfIndex>,
    observed: Observed,
    deadlines: BTreeSet<(Instant, UnitId)>,
    jobs: JoinSet<JobDone>,
    /// Addresses are compared with what should be there at this time.
    inspect_at: Option<Instant>,
    unclaimed: BTreeMap<&'static str, u64>,
    /// Who is to be told that nothing is left, and how long a peer may need to take over.
    stopping: Option<(oneshot::Sender<Duration>, Duration)>,
    /// The job that removes what belongs to no master.
    sweeper: Option<AbortHandle>,
    stopped: bool,
    ordinary_scheduling: Option<String>,
    alarm: AsyncTimer,
    buffer: Box<[u8; RECEIVE_BUFFER]>,
}

/// Routers that change role together, or one alone.
struct Unit {
    /// Of a configured group.
    name: Option<GroupName>,
    group: Group,
    routers: Vec<Router>,
    /// When it is in the table of deadlines.
    armed: Option<Instant>,
    /// What the group's scripts were last told.
    told: Role,
    started: bool,
}

/// The end of a router's job.
struct JobDone {
    /// Whose job it was; `None`: of a router that is no more.
    of: Option<Place>,
    kind: JobKind,
    troubles: Troubles,
}

/// What a job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobKind {
    Acquire,
    Release,
    Announce,
}

/// A unit for as long as it is there; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct UnitId(u64);

/// A router: its unit, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    unit: UnitId,
    member: usize,
}

/// Why the engine ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The network cannot be watched.
    #[error("the network cannot be watched")]
    Monitor(#[source] crate::net::monitor::MonitorError),
    /// No timer can be had.
    #[error("the kernel gives no timer for adverts")]
    Timer(#[source] std::io::Error),
}

impl Engine {
    /// An engine without routers, in this runtime.
    ///
    /// # Errors
    /// [`EngineError::Timer`].
    pub fn new(
        net: Net,
        monitor: Monitor,
        records: Records,
        ends: Ends,
        ordinary_scheduling: Option<String>,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            net,
            monitor,
            monitor_rests: false,
            records,
            ends,
            setup: Setup::default(),
            units: BTreeMap::new(),
            next_unit: 0,
            places: Vec::new(),
            ports: BTreeMap::new(),
            announcers: BTreeMap::new(),
            up: BTreeSet::new(),
            observed: Observed::default(),
            deadlines: BTreeSet::new(),
            jobs: JoinSet::new(),
            inspect_at: None,
            unclaimed: BTreeMap::new(),
            stopping: None,
            sweeper: None,
            stopped: false,
            ordinary_scheduling,
            alarm: AsyncTimer::new().map_err(EngineError::Timer)?,
            buffer: Box::new([0; RECEIVE_BUFFER]),
        })
    }

    /// Runs until nobody can give orders any more. Dropping it leaves roles and addresses as they
    /// are; [`Command::Stop`] comes first where they are to be given up.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn run(mut self) -> Result<(), EngineError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.next_deadline();
            // All cancel safe: nothing is taken out of any of these but by the arm that runs.
            tokio::select! {
                biased;
                () = port::readable(&self.ports) => {}
                () = self.alarm.sleep_until(deadline) => {}
                Some(done) = self.jobs.join_next() => match done {
                    Ok(done) => self.job_done(done),
                    Err(error) => tracing::error!(%error, "a job of VRRP ended early"),
                },
                event = self.monitor.next(&self.net), if !self.monitor_rests => {
                    match event {
                        Ok(event) => self.network_event(&event),
                        Err(error) if error.is_final() => return Err(EngineError::Monitor(error)),
                        Err(error) => {
                            // Nothing is known to have changed; the next call reads everything.
                            tracing::warn!(%error, "the network cannot be read; trying again");
                            self.monitor_rests = true;
                        }
                    }
                }
                command = self.ends.commands.recv() => match command {
                    None => return Ok(()),
                    Some(command) => self.command(command),
                },
                _ = tick.tick() => self.tick(),
            }
            self.turn(Instant::now());
        }
    }

    /// One turn; see the head of this file.
    fn turn(&mut self, now: Instant) {
        for id in self.due(now) {
            if let Some(unit) = self.units.get_mut(&id) {
                unit.group.handle_wake(now);
            }
        }
        self.receive_all(now);
        for id in self.due(now) {
            if let Some(unit) = self.units.get_mut(&id) {
                unit.group.handle_timeout(now);
            }
            self.act(id);
        }
        if self.inspect_at.is_some_and(|at| at <= now) {
            self.inspect_at = None;
            self.inspect();
        }
        self.finish_stop();
    }

    fn due(&self, now: Instant) -> Vec<UnitId> {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, unit)| *unit).collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let timers = self.deadlines.first().map(|(at, _)| *at);
        timers.into_iter().chain(self.inspect_at).min()
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Configure(setup, done) => {
                self.configure(*setup, now);
                // Nobody may be waiting.
                done.send(()).ok();
            }
            Command::Observed(states) => {
                let mut news = false;
                for (input, state) in states {
                    news |= self.observed.set(input, state);
                }
                if news {
                    self.track_all(now);
                }
            }
            Command::View(reply) => drop(reply.send(self.view(now))),
            Command::Stop(reply) => self.stop(reply, now),
        }
    }

    fn network_event(&mut self, event: &Event) {
        let now = Instant::now();
        match event {
            Event::Link { .. } | Event::Resync => self.links_changed(now),
            // News of one address may come before news of the next: look when all are in.
            Event::Address => {}
        }
        self.inspect_soon(now);
    }

    fn tick(&mut self) {
        // What failed is tried again.
        self.monitor_rests = false;
        let now = Instant::now();
        self.links_changed(now);
        self.inspect_soon(now);
        let routers = self.units.values_mut().flat_map(|unit| &mut unit.routers);
        let forgotten = routers.filter_map(|router| router.forget_silent(now).then_some(()));
        if forgotten.count() > 0 {
            self.publish_roles();
        }
    }

    fn inspect_soon(&mut self, now: Instant) {
        self.inspect_at.get_or_insert(now + INSPECT_AFTER);
    }

    /// Gives up every role.
    fn stop(&mut self, reply: oneshot::Sender<Duration>, now: Instant) {
        self.stopped = true;
        let masters = self
            .routers()
            .filter(|router| router.role() == Role::Master);
        let longest = masters
            .map(|router| 4 * router.instance.advertisement_interval.max(TICK))
            .max();
        // Now: a peer may have taken over before the last address is removed.
        self.stopping = Some((reply, longest.unwrap_or_default()));
        let ids: Vec<UnitId> = self.units.keys().copied().collect();
        for id in ids {
            if let Some(unit) = self.units.get_mut(&id) {
                for router in &mut unit.routers {
                    router.was_master = router.role() == Role::Master;
                }
                unit.group.handle_all(now, &MachineInput::Shutdown);
            }
            self.act(id);
        }
    }

    /// Answers the order to stop, once nothing of ours is left.
    fn finish_stop(&mut self) {
        if self.stopping.is_none() || !self.jobs.is_empty() {
            return;
        }
        if let Some((reply, longest)) = self.stopping.take() {
            // The agent may have given up waiting.
            reply.send(longest).ok();
        }
    }

    fn routers(&self) -> impl Iterator<Item = &Router> {
        self.units.values().flat_map(|unit| &unit.routers)
    }

    fn router(&mut self, place: Place) -> Option<&mut Router> {
        self.units
            .get_mut(&place.unit)?
            .routers
            .get_mut(place.member)
    }

    /// Puts the unit's next deadline into the table.
    fn arm(&mut self, id: UnitId) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let next = unit.group.next_deadline();
        let armed = std::mem::replace(&mut unit.armed, next);
        if armed != next {
            if let Some(at) = armed {
                self.deadlines.remove(&(at, id));
            }
            if let Some(at) = next {
                self.deadlines.insert((at, id));
            }
        }
    }

    fn notice(&self, notice: Notice) {
        match &notice.who {
            Who::Instance(name) => tracing::info!(
                instance = %name,
                role = %notice.role,
                reason = %notice.reason,
                priority = notice.priority.get(),
                "role"
            ),
            Who::Group(name) => tracing::info!(group = %name, role = %notice.role, "role"),
        }
        // Without an agent there are no scripts to run either.
        drop(self.ends.notices.send(notice));
    }
}

/// How often what failed is tried again.
const TICK: Duration = Duration::from_secs(1);
/// News of a burst of addresses are all in by then.
const INSPECT_AFTER: Duration = Duration::from_millis(20);
/// More than the largest advert: 255 addresses of 16 bytes.
const RECEIVE_BUFFER: usize = 8192;
