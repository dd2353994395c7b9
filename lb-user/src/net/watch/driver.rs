//! What [`super::Watch::run`] does: events, targets and answers to probes in; a view out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    NetView, WatchError,
    events::{self, Change},
    upkeep::Upkeep,
};
use crate::net::{
    Net, NextHop, RequestError,
    address::AddressError,
    error::chain,
    link::LinkError,
    neighbour::{NeighbourError, NeighbourKey},
    news::Events,
    nexthop::Tables,
    probe::{Learned, Peer, Peers},
};

#[cfg(test)]
mod tests;

/// What has to be worked out again.
#[derive(Debug, Default)]
struct Dirty {
    /// Read links, addresses and neighbours anew.
    tables: bool,
    /// Ask for every route anew.
    routes: bool,
    /// Take the newest targets.
    targets: bool,
    /// What goes by these.
    neighbours: BTreeSet<NeighbourKey>,
}

/// The ends the driver holds.
pub(super) struct Ends {
    pub(super) net: Net,
    pub(super) events: Events,
    pub(super) targets: watch::Receiver<BTreeSet<IpAddr>>,
    pub(super) learned: mpsc::Receiver<Learned>,
    pub(super) out: watch::Sender<NetView>,
    pub(super) peers: watch::Sender<Peers>,
}

pub(super) struct Driver {
    ends: Ends,
    tables: Tables,
    wanted: BTreeSet<IpAddr>,
    /// The wanted addresses behind each neighbour.
    behind: BTreeMap<NeighbourKey, Vec<IpAddr>>,
    upkeep: Upkeep,
    dirty: Dirty,
    /// When to work out what is dirty.
    flush_at: Option<Instant>,
    /// Asking for every route may take long; it gets a fifth of the time at most.
    not_before: Instant,
    resync_at: Instant,
}

impl Driver {
    pub(super) fn new(ends: Ends) -> Self {
        let now = Instant::now();
        Self {
            ends,
            tables: Tables::default(),
            wanted: BTreeSet::new(),
            behind: BTreeMap::new(),
            upkeep: Upkeep::default(),
            dirty: Dirty {
                tables: true,
                routes: true,
                targets: true,
                neighbours: BTreeSet::new(),
            },
            flush_at: Some(now),
            not_before: now,
            resync_at: now + RESYNC,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) -> Result<(), WatchError> {
        loop {
            let wake = self.wake();
            // All arms are cancel-safe: stream, channels and timer lose nothing when dropped.
            tokio::select! {
                () = cancel.cancelled() => break,
                message = self.ends.events.next() => match message {
                    Some(message) => self.note(&message),
                    None => return Err(WatchError::Closed),
                },
                changed = self.ends.targets.changed() => match changed {
                    Ok(()) => {
                        self.dirty.targets = true;
                        self.flush_within(Duration::ZERO);
                    }
                    Err(_) => break,
                },
                Some(learned) = self.ends.learned.recv() => self.learn(learned).await,
                () = sleep_until(wake) => self.flush().await?,
            }
            self.note_waiting();
        }
        // A kernel that does not answer must not hold up the agent's end.
        if timeout(CLOSE_LIMIT, self.upkeep.close(&self.ends.net))
            .await
            .is_err()
        {
            tracing::warn!("neighbour entries of ours stay behind: the kernel did not answer");
        }
        Ok(())
    }

    fn wake(&self) -> Instant {
        let flush = self.flush_at.map(|at| at.max(self.not_before));
        let retry = self.upkeep.next_retry().map(Instant::from_std);
        [flush, retry]
            .into_iter()
            .flatten()
            .fold(self.resync_at, Instant::min)
    }

    fn flush_within(&mut self, delay: Duration) {
        let at = Instant::now() + delay;
        self.flush_at = Some(self.flush_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn note_waiting(&mut self) {
        while let Some(Some(message)) = self.ends.events.next().now_or_never() {
            self.note(&message);
        }
    }

    fn note(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        let change = match &message.payload {
            NetlinkPayload::InnerMessage(message) => events::apply(&mut self.tables, message),
            // Events were lost: what we hold may be wrong anywhere.
            NetlinkPayload::Overrun(_) => {
                self.dirty.tables = true;
                Change::Routes
            }
            _ => Change::Nothing,
        };
        match change {
            Change::Nothing => return,
            Change::Routes => self.dirty.routes = true,
            Change::Neighbour(key) => {
                if !self.tables.neighbours.contains_key(&key) {
                    self.upkeep.vanished(key);
                }
                if !self.behind.contains_key(&key) {
                    return;
                }
                self.dirty.neighbours.insert(key);
            }
        }
        self.flush_within(COALESCE);
    }

    /// A probe heard an address that the kernel did not have when the probe was sent.
    async fn learn(&mut self, learned: Learned) {
        self.note_waiting();
        let entry = self.tables.neighbours.get(&learned.key);
        let known = entry.and_then(|entry| entry.usable_mac()) == Some(learned.mac);
        let foreign = entry.is_some_and(|entry| entry.is_fixed() || entry.managed && !entry.ours);
        if known || foreign || !self.behind.contains_key(&learned.key) {
            return;
        }
        match self.ends.net.set_neighbour(learned.key, learned.mac).await {
            Ok(()) => self.upkeep.own(learned.key),
            Err(error) => {
                tracing::warn!(neighbour = %learned.key, mac = %learned.mac, error = chain(&error),
                    "cannot tell the kernel a neighbour's new address");
            }
        }
    }

    /// Works out what is dirty, and publishes it.
    async fn flush(&mut self) -> Result<(), WatchError> {
        let started = Instant::now();
        let mut dirty = std::mem::take(&mut self.dirty);
        self.flush_at = None;
        if started >= self.resync_at {
            dirty.tables = true;
            dirty.routes = true;
        }
        if dirty.tables {
            self.resync_at = started + RESYNC;
            if let Err(error) = self.resync().await {
                if error.is_closed() {
                    return Err(WatchError::Closed);
                }
                tracing::warn!(
                    error = chain(&error),
                    "cannot read the network's state, trying again"
                );
                self.dirty.tables = true;
                self.flush_within(RETRY);
            }
        }
        if dirty.targets {
            self.wanted
                .clone_from(&self.ends.targets.borrow_and_update());
            let wanted = &self.wanted;
            self.tables
                .routes
                .retain(|address, _| wanted.contains(address));
        }
        let full = dirty.tables || dirty.routes || dirty.targets;
        if full {
            self.ask_routes(dirty.tables || dirty.routes).await;
            self.publish_all();
            self.not_before = Instant::now() + started.elapsed() * PAUSE_FACTOR;
        } else {
            self.publish(&dirty.neighbours);
        }
        self.keep_up(full, &dirty.neighbours).await;
        Ok(())
    }

    async fn resync(&mut self) -> Result<(), ResyncError> {
        let links = self.ends.net.links().await?;
        let addresses = self.ends.net.addresses().await?;
        let neighbours = self.ends.net.neighbours().await?;
        events::replace(&mut self.tables, links, addresses, neighbours);
        Ok(())
    }

    /// Asks the kernel for the route to every wanted address, or only to those not asked for yet.
    async fn ask_routes(&mut self, all: bool) {
        let known = &self.tables.routes;
        let missing = |address: &&IpAddr| all || !known.contains_key(*address);
        let asked: Vec<IpAddr> = self.wanted.iter().filter(missing).copied().collect();
        let net = &self.ends.net;
        let mut answers = futures_util::stream::iter(asked)
            .map(|address| async move { (address, net.route_to(address).await) })
            .buffer_unordered(ROUTES_AT_ONCE);
        let mut failed = false;
        while let Some((address, answer)) = answers.next().await {
            match answer {
                Ok(answer) => {
                    self.tables.routes.insert(address, answer);
                }
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "a next hop may be out of date, trying again"
                    );
                    failed = true;
                }
            }
        }
        drop(answers);
        if failed {
            self.dirty.routes = true;
            self.flush_within(RETRY);
        }
    }

    fn publish_all(&mut self) {
        self.behind.clear();
        for address in &self.wanted {
            if let Some(key) = self.tables.neighbour_of(*address) {
                self.behind.entry(key).or_default().push(*address);
            }
        }
        let (tables, wanted) = (&self.tables, &self.wanted);
        let view = NetView {
            links: tables.links.clone(),
            own_addresses: tables.addresses.values().map(|own| own.address).collect(),
            next_hops: wanted
                .iter()
                .map(|to| (*to, tables.next_hop(*to)))
                .collect(),
            upkeep_problem: self.upkeep.problem().cloned(),
        };
        let peers = self
            .behind
            .keys()
            .filter_map(|key| Some((*key, peer(tables, *key)?)))
            .collect();
        self.ends
            .out
            .send_if_modified(|old| replace_if_other(old, view));
        self.ends
            .peers
            .send_if_modified(|old| replace_if_other(old, peers));
    }

    fn publish(&mut self, neighbours: &BTreeSet<NeighbourKey>) {
        let (tables, behind) = (&self.tables, &self.behind);
        self.ends.out.send_if_modified(|view| {
            let mut modified = false;
            for to in neighbours
                .iter()
                .filter_map(|key| behind.get(key))
                .flatten()
            {
                let hop = view.next_hops.entry(*to).or_insert(NextHop::Local);
                modified |= replace_if_other(hop, tables.next_hop(*to));
            }
            modified
        });
        self.ends.peers.send_if_modified(|peers| {
            let mut modified = false;
            for key in neighbours {
                let new = peer(tables, *key);
                modified |= peers.get(key) != new.as_ref();
                match new {
                    Some(new) => peers.insert(*key, new),
                    None => peers.remove(key),
                };
            }
            modified
        });
    }

    async fn keep_up(&mut self, full: bool, neighbours: &BTreeSet<NeighbourKey>) {
        let (tables, behind, upkeep) = (&self.tables, &self.behind, &mut self.upkeep);
        let now = Instant::now().into_std();
        let jobs = if full {
            upkeep.adopt(tables);
            let mut jobs = upkeep.surplus(|key| behind.contains_key(key));
            jobs.extend(upkeep.missing(now, tables, behind.keys().copied()));
            jobs
        } else {
            upkeep.missing(now, tables, neighbours.iter().copied())
        };
        if jobs.is_empty() {
            return;
        }
        self.upkeep.perform(&self.ends.net, jobs).await;
        let problem = self.upkeep.problem().cloned();
        self.ends
            .out
            .send_if_modified(|view| replace_if_other(&mut view.upkeep_problem, problem));
    }
}

/// What to tell the probes of a neighbour; `None` where there is nothing to probe.
fn peer(tables: &Tables, key: NeighbourKey) -> Option<Peer> {
    let source_mac = tables.askable(key)?;
    let entry = tables.neighbours.get(&key);
    Some(Peer {
        mac: entry.and_then(|entry| entry.usable_mac()),
        source_mac,
        source: tables.asking_source(key),
    })
}

fn replace_if_other<T: PartialEq>(old: &mut T, new: T) -> bool {
    let other = *old != new;
    if other {
        *old = new;
    }
    other
}

/// One of the tables could not be read.
#[derive(Debug, thiserror::Error)]
enum ResyncError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Neighbour(#[from] NeighbourError),
}

impl ResyncError {
    fn is_closed(&self) -> bool {
        matches!(
            self,
            Self::Link(LinkError::Request(RequestError::Closed))
                | Self::Address(AddressError::List(RequestError::Closed))
                | Self::Neighbour(NeighbourError::List(RequestError::Closed))
        )
    }
}

/// From the first of a burst of events until it is worked out.
const COALESCE: Duration = Duration::from_millis(20);
/// Everything is read anew this often, whatever the events said.
const RESYNC: Duration = Duration::from_secs(30);
/// After the kernel refused to answer.
const RETRY: Duration = Duration::from_secs(1);
/// For the removal of our neighbour entries.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// The pause after asking for routes, in times of how long it took.
const PAUSE_FACTOR: u32 = 4;
/// Answers wait in the socket's buffer: it holds some 200 small ones by default.
const ROUTES_AT_ONCE: usize = 32;
