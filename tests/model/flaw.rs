//! Balancers that are broken on purpose: the model has to notice each of them.

use std::{collections::HashMap, sync::Arc};

use lb_common::ring::{Previous, Slot};
use lb_user::{
    config::Config,
    dataplane::{
        image::{Image, RingImage, ServiceId},
        plan::MapOp,
        sweep::Lifetimes,
    },
};

/// What is wrong with a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// A slot that moves is its new owner's at once.
    NoPreviousOwner,
    /// Slots are plain as soon as their grace time is over, whatever is remembered.
    NoTable,
    /// Grace times are half as long as configured.
    ShortGrace,
    /// Flows that were idle for a moment are forgotten by the next sweep.
    ShortMemory,
    /// Clients are forgotten by the next sweep.
    NoClients,
    /// An agent takes its predecessor's rings for settled.
    ForgottenMoves,
}

impl Flaw {
    /// The configuration as this balancer understands it.
    pub(crate) fn config(self, config: &Config) -> Config {
        let mut config = config.clone();
        if self == Self::ShortGrace {
            for service in &mut config.services {
                service.grace /= 2;
                service.udp_grace /= 2;
            }
        }
        config
    }

    /// What this balancer writes for an operation.
    pub(crate) fn op(self, op: &MapOp) -> MapOp {
        match op {
            MapOp::AddService(id, service) => {
                let mut service = service.clone();
                if !service.steering.stateful {
                    service.ring = self.ring(&service.ring);
                }
                MapOp::AddService(*id, service)
            }
            // Stateful services have a sequence, unless nobody gets new flows.
            MapOp::ChangeRing(id, ring) if ring.sequence.is_empty() => {
                MapOp::ChangeRing(*id, self.ring(ring))
            }
            other => other.clone(),
        }
    }

    fn ring(self, ring: &RingImage) -> RingImage {
        let slot = |slot: &Slot| match (self, slot.previous()) {
            (Self::NoPreviousOwner, Previous::Local(_) | Previous::Older) => {
                Slot::new(slot.owner(), Previous::Table)
            }
            (Self::NoTable, Previous::Table) => Slot::plain(slot.owner()),
            _ => *slot,
        };
        let slots: Arc<[Slot]> = ring.slots.iter().map(slot).collect();
        RingImage {
            slots,
            ..ring.clone()
        }
    }

    /// What this balancer makes of what its predecessor has left.
    pub(crate) fn adopted(self, mut image: Image) -> Image {
        if self == Self::ForgottenMoves {
            for service in image.services.values_mut() {
                if service.steering.stateful {
                    continue;
                }
                let owners: Vec<u16> = service.ring.slots.iter().map(|s| s.owner()).collect();
                service.ring = RingImage::plain(Arc::clone(&service.ring.locals), &owners);
            }
        }
        image
    }

    /// How long its sweep remembers flows.
    pub(crate) fn lifetimes(
        self,
        lifetimes: &HashMap<ServiceId, Lifetimes>,
    ) -> HashMap<ServiceId, Lifetimes> {
        let mut lifetimes = lifetimes.clone();
        for lifetime in lifetimes.values_mut() {
            match self {
                Self::ShortMemory => lifetime.established = 0,
                Self::NoClients => lifetime.client = 0,
                _ => {}
            }
        }
        lifetimes
    }
}
