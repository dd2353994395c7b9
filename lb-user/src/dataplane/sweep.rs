//! Goes through the connection table in batches: forgets what has timed out or names a dead backend, and
//! counts what is left, by backend.
//!
//! The program writes at the same time. A way is only ever cleared by compare-and-exchange against the
//! very value that was judged, so a flow that was seen meanwhile stays.

use std::collections::{BTreeMap, HashMap, HashSet};

use lb_common::{
    connections::{State, Value, WAY},
    hash::{hash_of_tag, slot_of},
    ring::NOBODY,
};

use super::{
    arena::Arena,
    image::{BackendId, Image, ServiceId},
};

/// How long idle flows of a service are remembered, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// TCP, after a FIN or RST.
    pub closing: u32,
    /// TCP, until the handshake is done.
    pub opening: u32,
    /// Everything else.
    pub established: u32,
    /// Clients, since the last packet of any of their flows; 0 where they are not kept together.
    pub client: u32,
}

impl Lifetimes {
    /// That of a flow or client in this state.
    #[must_use]
    pub const fn of(&self, state: State) -> u32 {
        match state {
            State::Closing => self.closing,
            State::Opening => self.opening,
            State::Glimpsed | State::Established => self.established,
            State::Newcomer | State::Client => self.client,
        }
    }
}

/// Flows of a backend that are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// TCP connections that are opening, and flows of which one packet was seen.
    pub new: u32,
    /// Established ones.
    pub active: u32,
    /// TCP connections that are closing.
    pub closing: u32,
    /// Clients that persistence keeps with it.
    pub clients: u32,
}

impl Flows {
    /// All that somebody may still use.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.new + self.active
    }

    /// All that are remembered.
    #[must_use]
    pub const fn all(&self) -> u32 {
        self.open() + self.closing
    }
}

/// What a whole sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it began, boot time in seconds.
    pub began: u32,
    /// Flows in the table, and clients.
    pub flows: u64,
    /// Clients among them.
    pub clients: u64,
    /// Ways cleared.
    pub cleared: u64,
    /// By backend.
    pub backends: BTreeMap<BackendId, Flows>,
    foreign: HashMap<ServiceId, HashSet<u32>>,
}

impl Usage {
    /// Whether a backend has flows. Clients that come back are no reason to keep it.
    #[must_use]
    pub fn has_flows(&self, id: BackendId) -> bool {
        self.backends.get(&id).is_some_and(|flows| flows.all() > 0)
    }

    /// What it says of a service's slots.
    #[must_use]
    pub fn foreign(&self, service: ServiceId) -> Foreign<'_> {
        Foreign {
            began: self.began,
            slots: self.foreign.get(&service),
        }
    }
}

/// Slots of a service that have a remembered flow with another backend than their owner.
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    /// When the sweep began, boot time in seconds.
    pub began: u32,
    slots: Option<&'a HashSet<u32>>,
}

impl<'a> Foreign<'a> {
    /// For tests of what is done with it.
    #[cfg(test)]
    pub(super) fn new(began: u32, slots: Option<&'a HashSet<u32>>) -> Self {
        Self { began, slots }
    }

    /// Whether a slot that has been as it is since `since` surely has no such flow.
    #[must_use]
    pub fn is_clean(&self, slot: usize, since: u32) -> bool {
        let dirty = |slots: &HashSet<u32>| u32::try_from(slot).is_ok_and(|s| slots.contains(&s));
        // A second apart, because times are whole seconds.
        self.began > since.saturating_add(1) && !self.slots.is_some_and(dirty)
    }
}

/// A sweep under way.
#[derive(Debug, Default)]
pub struct Sweeper {
    at: u32,
    current: Usage,
}

impl Sweeper {
    /// Looks at the next `bytes` of the table. The whole sweep's result when it has come to the end.
    /// `tick` is the program's clock, `boot` the boot time in seconds.
    pub fn step(
        &mut self,
        table: &Arena,
        image: &Image,
        lifetimes: &HashMap<ServiceId, Lifetimes>,
        bytes: u32,
        tick: u32,
        boot: u32,
    ) -> Option<Usage> {
        if self.at == 0 {
            self.current = Usage {
                began: boot,
                ..Usage::default()
            };
        }
        let backends = by_id(image);
        let end = self.at.saturating_add(bytes).min(table.length());
        while self.at < end {
            let at = self.at;
            self.at += WAY;
            let value = Value::from_word(table.load(at + 8));
            if !value.is_taken() {
                continue;
            }
            let owner = backends.get(usize::from(value.id())).copied().flatten();
            let state = State::from_byte(value.state_byte());
            if let (Some((service, generation)), Some(state)) = (owner, state)
                && generation == value.generation()
                && let Some(lifetimes) = lifetimes.get(&service)
                && value.idle(tick) <= lifetimes.of(state)
            {
                let hash = hash_of_tag(table.load(at));
                self.count(image, service, value, state, hash);
            } else if table.exchange(at + 8, value.word(), Value::FREE.word()) {
                self.current.cleared += 1;
            }
        }
        if self.at < table.length() {
            return None;
        }
        self.at = 0;
        Some(std::mem::take(&mut self.current))
    }

    fn count(&mut self, image: &Image, service: ServiceId, value: Value, state: State, hash: u32) {
        self.current.flows += 1;
        let id = BackendId(u32::from(value.id()));
        let flows = self.current.backends.entry(id).or_default();
        match state {
            State::Closing => flows.closing += 1,
            State::Opening | State::Glimpsed => flows.new += 1,
            State::Established => flows.active += 1,
            State::Newcomer | State::Client => {
                flows.clients += 1;
                self.current.clients += 1;
                // Its tag says nothing of slots.
                return;
            }
        }
        let Some(ring) = image.services.get(&service).map(|service| &service.ring) else {
            return;
        };
        let slot = slot_of(hash, u32::try_from(ring.slots.len()).unwrap_or(0));
        let owner = ring.slots.get(slot as usize).map_or(NOBODY, |s| s.owner());
        if ring.locals.get(usize::from(owner)) != Some(&id) {
            self.current
                .foreign
                .entry(service)
                .or_default()
                .insert(slot);
        }
    }
}

/// Service and generation of every backend, by its index.
fn by_id(image: &Image) -> Vec<Option<(ServiceId, u16)>> {
    let length = image.backends.keys().next_back().map_or(0, |id| id.0 + 1);
    let mut backends = vec![None; length as usize];
    for (id, backend) in &image.backends {
        backends[id.0 as usize] = Some((backend.info.service_id, backend.entry.generation));
    }
    backends
}

#[cfg(test)]
mod tests;
