//! Which backend a flow gets: by its slot, or by what is remembered of it.

use std::{collections::HashMap, net::IpAddr};

use lb_common::{
    hash::slot_of,
    ring::{NOBODY, Previous},
    verdict::{DropReason, FlowEvent},
};

use super::{
    config::{Config, Service},
    read::{Flow, Segment},
};

/// What is remembered.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Flows {
    remembered: HashMap<Key, Remembered>,
    /// The backends and their generations that clients of a service stay with.
    clients: HashMap<(u32, IpAddr), (u32, u16)>,
    /// How many new flows each service has spread.
    turns: HashMap<u32, u32>,
    /// The last tick in which flows of a service were remembered, and how many.
    granted: HashMap<u32, (u32, u32)>,
    /// What happened, by service.
    pub events: HashMap<(u32, FlowEvent), u64>,
}

/// Service, client and port.
type Key = (u32, IpAddr, u16);

#[derive(Clone, Copy, PartialEq)]
struct Remembered {
    backend: u32,
    generation: u16,
    /// A FIN or RST went by.
    closing: bool,
}

impl Flows {
    /// The backend of a flow, by a packet of it.
    pub(super) fn steer(
        &mut self,
        config: &Config,
        service: &Service,
        flow: &Flow,
        segment: Segment,
        tick: u32,
    ) -> Result<u32, DropReason> {
        let hash = service.slot_hash(flow.client, flow.client_port);
        let slot = service.slot(hash);
        let owner = slot.owner();
        // Who had the slot before, while that lives, and whether the slot is moving at all.
        let (previous, moving) = match slot.previous() {
            Previous::Plain => return service.backend(owner),
            Previous::Table => (NOBODY, false),
            Previous::Local(local) => (local, true),
            Previous::Older => (older(service, hash), true),
        };

        let key = (service.id, flow.client, flow.client_port);
        let known = self.remembered.get(&key).copied();
        if let Some(known) = known
            && config.backend(known.backend).generation == known.generation
            && !(segment.opens() && known.closing)
        {
            if segment.closes() {
                let closing = true;
                self.remembered.insert(key, Remembered { closing, ..known });
            }
            self.count(service, FlowEvent::Hit);
            return Ok(known.backend);
        }
        self.count(service, FlowEvent::Miss);

        // A flow that is not remembered is the previous owner's, unless it begins right now.
        let unremembered = if previous == NOBODY { owner } else { previous };
        let is_older = previous != NOBODY && !segment.opens();
        let udp = matches!(segment, Segment::Udp);
        let spread = service.stateful && (segment.opens() || udp && previous == NOBODY);
        let remember = spread || moving && !segment.resets();
        // What is remembered and does not hold any more is replaced in any case.
        if matches!(segment, Segment::Error) || !remember && known.is_none() {
            if is_older {
                self.count(service, FlowEvent::ToPrevious);
            }
            return service.backend(unremembered);
        }
        // Whose client it is that may have begun something new.
        let client = service
            .client(flow.client)
            .filter(|_| segment.opens() || udp)
            .map(|client| (service.id, client));
        let host = client.and_then(|client| self.host(config, client));
        let backend = match host {
            Some(host) => host,
            None if spread && !service.ring.sequence.is_empty() => {
                let turn = self.turn(service);
                service.backend(turn)?
            }
            None if segment.opens() => service.backend(owner)?,
            None => service.backend(unremembered)?,
        };
        if is_older && host.is_none() {
            self.count(service, FlowEvent::ToPrevious);
        }
        if config.backend(backend).dead {
            self.remembered.remove(&key);
            return Ok(backend);
        }
        if !self.grant(service, tick) {
            self.count(service, FlowEvent::OverBudget);
            self.remembered.remove(&key);
            // Where a later packet goes, too, which will not be found either.
            return service.backend(unremembered);
        }
        self.count(service, FlowEvent::Insert);
        let generation = config.backend(backend).generation;
        let now = Remembered {
            backend,
            generation,
            closing: segment.closes(),
        };
        self.remembered.insert(key, now);
        if let Some(client) = client
            && self.clients.get(&client) != Some(&(backend, generation))
        {
            // That costs as much as a flow does.
            if self.grant(service, tick) {
                self.clients.insert(client, (backend, generation));
            } else {
                self.count(service, FlowEvent::OverBudget);
            }
        }
        Ok(backend)
    }

    /// The backend that a client stays with, if that takes new flows.
    fn host(&self, config: &Config, client: (u32, IpAddr)) -> Option<u32> {
        let (id, generation) = *self.clients.get(&client)?;
        let backend = config.backend(id);
        (backend.generation == generation && !backend.closed).then_some(id)
    }

    /// Whose turn it is.
    fn turn(&mut self, service: &Service) -> u16 {
        let turn = self.turns.entry(service.id).or_default();
        let sequence = &service.ring.sequence;
        let length = u32::try_from(sequence.len()).expect("a short sequence");
        let place = turn.wrapping_sub(service.ring.sequence_start) % length;
        *turn += 1;
        sequence[place as usize]
    }

    /// Whether another flow of the service may be remembered in this tick.
    fn grant(&mut self, service: &Service, tick: u32) -> bool {
        let granted = self.granted.entry(service.id).or_default();
        if granted.0 != tick {
            *granted = (tick, 0);
        }
        if granted.1 == service.budget {
            return false;
        }
        granted.1 += 1;
        true
    }

    fn count(&mut self, service: &Service, event: FlowEvent) {
        *self.events.entry((service.id, event)).or_default() += 1;
    }
}

/// Who had a flow in the ring that was before, or nobody.
fn older(service: &Service, hash: u32) -> u16 {
    let Some(older) = &service.ring.older else {
        return NOBODY;
    };
    let slots = u32::try_from(older.slots.len()).expect("a short ring");
    older.slots[slot_of(hash, slots) as usize]
}
