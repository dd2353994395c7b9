//! Pure: whom to probe when, and what an answer means.
//!
//! ```text
//!            due, address known                 silent for REPLY_LIMIT
//!   Rest ───────────────────────► AskedOne ───────────────────────────┐
//!    ▲ │ due, address unknown         │ answer from the known address  ▼
//!    │ └──────────────────────────────┼─────────────────────────► AskedAll
//!    └────────────────────────────────┴──── any answer, or silence ────┘
//! ```
//! A different address is believed only while the known one is silent, so a second host with the
//! same address, or somebody who forges answers, cannot take a living next hop over.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{net::neighbour::NeighbourKey, types::Mac};

#[cfg(test)]
mod tests;

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask this station.
    Unicast { key: NeighbourKey, mac: Mac },
    /// Ask everybody on the link.
    Multicast { key: NeighbourKey },
    /// The kernel has another address (or none) than the one that answered.
    Learned { key: NeighbourKey, mac: Mac },
}

/// Every neighbour's state and next deadline.
#[derive(Debug)]
pub(super) struct Plan {
    peers: BTreeMap<NeighbourKey, State>,
    due: BTreeSet<(Instant, NeighbourKey)>,
    /// How many have been silent for [`SILENT_ROUNDS`].
    silent: u32,
    pace: Pace,
    actions: VecDeque<Action>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// What the kernel has.
    kernel: Option<Mac>,
    /// What we ask: the kernel's, or what answered since.
    aim: Option<Mac>,
    phase: Phase,
    /// When `phase` ends; also its key in `due`.
    deadline: Instant,
    /// When the running round began.
    began: Instant,
    /// Rounds without an answer, up to [`SILENT_ROUNDS`].
    unanswered: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Rest,
    AskedOne,
    AskedAll,
}

impl Plan {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            peers: BTreeMap::new(),
            due: BTreeSet::new(),
            silent: 0,
            pace: Pace { next: now },
            actions: VecDeque::new(),
        }
    }

    /// Replaces the neighbours and what the kernel has for each.
    pub(super) fn set_peers(
        &mut self,
        now: Instant,
        known: impl Iterator<Item = (NeighbourKey, Option<Mac>)>,
    ) {
        let known: BTreeMap<NeighbourKey, Option<Mac>> = known.collect();
        let gone: Vec<NeighbourKey> = self
            .peers
            .keys()
            .filter(|key| !known.contains_key(key))
            .copied()
            .collect();
        for key in gone {
            self.remove(key);
        }
        let new = known.len() - self.peers.len();
        let spread = interval(known.len()) / u32::try_from(new.max(1)).unwrap_or(u32::MAX);
        let mut offset = Duration::ZERO;
        for (key, kernel) in known {
            if let Some(state) = self.peers.get_mut(&key) {
                if state.kernel != kernel {
                    state.kernel = kernel;
                    state.aim = kernel;
                }
                continue;
            }
            // The kernel asks for an unknown one by itself right now; be the second. Known ones
            // are spread over the interval, and stay so.
            let deadline = now
                + if kernel.is_some() {
                    offset
                } else {
                    REPLY_LIMIT
                };
            offset += spread;
            self.due.insert((deadline, key));
            self.peers.insert(
                key,
                State {
                    kernel,
                    aim: kernel,
                    phase: Phase::Rest,
                    deadline,
                    began: now,
                    unanswered: 0,
                },
            );
        }
    }

    /// An answer of a neighbour, asked for or not.
    pub(super) fn handle_reply(&mut self, now: Instant, key: NeighbourKey, mac: Mac) {
        let interval = interval(self.peers.len());
        let Some(state) = self.peers.get_mut(&key) else {
            return;
        };
        let believed = match (state.phase, state.aim) {
            (Phase::AskedAll, _) | (_, None) => true,
            (Phase::Rest | Phase::AskedOne, Some(aim)) => aim == mac,
        };
        if !believed || !mac.is_unicast() {
            return;
        }
        if state.unanswered >= SILENT_ROUNDS {
            self.silent -= 1;
        }
        state.unanswered = 0;
        state.aim = Some(mac);
        if state.kernel != Some(mac) {
            self.actions.push_back(Action::Learned { key, mac });
        }
        if state.phase != Phase::Rest {
            let next = (state.began + interval).max(now);
            self.enter(key, Phase::Rest, next);
        }
    }

    /// Does what is due, as far as the pace allows.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, key)) = self.due.first() {
            if deadline > now || !self.may_step(now, key) {
                break;
            }
            self.step(now, key);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Plan::handle_timeout`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let &(deadline, key) = self.due.first()?;
        let sends = self.peers[&key].phase != Phase::AskedAll;
        Some(if sends {
            deadline.max(self.pace.ready())
        } else {
            deadline
        })
    }

    fn may_step(&mut self, now: Instant, key: NeighbourKey) -> bool {
        self.peers[&key].phase == Phase::AskedAll || self.pace.take(now)
    }

    /// The neighbour's deadline has come.
    fn step(&mut self, now: Instant, key: NeighbourKey) {
        let count = self.peers.len();
        let state = self
            .peers
            .get_mut(&key)
            .expect("every entry of `due` is of a peer");
        match (state.phase, state.aim) {
            (Phase::Rest, Some(mac)) => {
                state.began = now;
                self.actions.push_back(Action::Unicast { key, mac });
                self.enter(key, Phase::AskedOne, now + REPLY_LIMIT);
            }
            (Phase::Rest, None) => {
                state.began = now;
                self.actions.push_back(Action::Multicast { key });
                self.enter(key, Phase::AskedAll, now + REPLY_LIMIT);
            }
            (Phase::AskedOne, _) => {
                self.actions.push_back(Action::Multicast { key });
                self.enter(key, Phase::AskedAll, now + REPLY_LIMIT);
            }
            (Phase::AskedAll, _) => {
                if state.unanswered < SILENT_ROUNDS {
                    state.unanswered += 1;
                    if state.unanswered == SILENT_ROUNDS {
                        self.silent += 1;
                    }
                }
                let rest = if state.unanswered < SILENT_ROUNDS {
                    interval(count)
                } else {
                    // Each of them costs everybody on the link a broadcast.
                    (SILENT_SPACING * self.silent).max(SILENT_INTERVAL)
                };
                let next = (state.began + rest).max(now);
                self.enter(key, Phase::Rest, next);
            }
        }
    }

    fn enter(&mut self, key: NeighbourKey, phase: Phase, deadline: Instant) {
        if let Some(state) = self.peers.get_mut(&key) {
            self.due.remove(&(state.deadline, key));
            state.phase = phase;
            state.deadline = deadline;
            self.due.insert((deadline, key));
        }
    }

    fn remove(&mut self, key: NeighbourKey) {
        if let Some(state) = self.peers.remove(&key) {
            self.due.remove(&(state.deadline, key));
            if state.unanswered >= SILENT_ROUNDS {
                self.silent -= 1;
            }
        }
    }
}

/// At most one probe per [`SPACING`] in the long run, [`BURST`] of slack (a leaky bucket as ATM's
/// GCRA states it: one time stamp, no counter).
#[derive(Debug)]
struct Pace {
    next: Instant,
}

impl Pace {
    fn ready(&self) -> Instant {
        self.next.checked_sub(BURST).unwrap_or(self.next)
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.ready() > now {
            return false;
        }
        self.next = self.next.max(now) + SPACING;
        true
    }
}

/// From one probe of a neighbour to the next, for so many of them.
fn interval(count: usize) -> Duration {
    INTERVAL.max(SPACING.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)))
}

/// Between two probes of one neighbour, if there are few. Worst case until a changed address is
/// known: this and one [`REPLY_LIMIT`].
const INTERVAL: Duration = Duration::from_millis(400);
/// How long an answer may take; on a link it takes microseconds.
const REPLY_LIMIT: Duration = Duration::from_millis(200);
/// Between any two probes: 1000 a second.
const SPACING: Duration = Duration::from_millis(1);
/// Probes that may be sent at once after a pause.
const BURST: Duration = Duration::from_millis(32);
/// Rounds after which a neighbour counts as silent and is asked less often.
const SILENT_ROUNDS: u32 = 3;
/// Between two probes of a silent neighbour.
const SILENT_INTERVAL: Duration = Duration::from_secs(1);
/// Between any two probes of silent neighbours: 100 broadcasts a second.
const SILENT_SPACING: Duration = Duration::from_millis(10);
