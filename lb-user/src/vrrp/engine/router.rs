//! What the engine keeps for one router beside its machine.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::super::{
    hold::Holdings,
    machine::{MachineConfig, Published, Reason, Role},
    record::Record,
    track::{Effective, Observed, Tracked, effective, tracked},
    view::{Counters, Transition},
    wire::Authentication,
};
use super::port::PortKey;
use crate::{config::model::VrrpInstance, types::Priority};

/// See the head of this file.
pub(super) struct Router {
    pub(super) instance: VrrpInstance,
    pub(super) authentication: Authentication,
    pub(super) tracked: Vec<Tracked>,
    pub(super) effective: Effective,
    /// Where its adverts come from; without one it is at fault.
    pub(super) source: Option<IpAddr>,
    pub(super) published: Published,
    pub(super) record: Record,
    /// As the predecessor left it.
    pub(super) resumes: bool,
    pub(super) holdings: Arc<Holdings>,
    /// A job runs for it.
    pub(super) busy: bool,
    /// All its addresses and routes have been added, as far as we know.
    pub(super) holds: bool,
    /// The number of the last announcement made.
    pub(super) announced: u64,
    pub(super) trouble: Option<String>,
    pub(super) peers: BTreeSet<IpAddr>,
    pub(super) differing: Option<Vec<IpAddr>>,
    pub(super) counters: Counters,
    pub(super) transitions: u64,
    pub(super) last_transition: Option<Transition>,
    /// It was master when we stopped, and no other has been heard since.
    pub(super) was_master: bool,
}

impl Router {
    pub(super) fn new(instance: VrrpInstance, record: Record, observed: &Observed) -> Self {
        let tracked = tracked(&instance.interface, &instance.track);
        let peers = instance.unicast.iter().flat_map(|unicast| &unicast.peers);
        Self {
            authentication: authentication(&instance),
            effective: effective(instance.priority, &tracked, observed),
            tracked,
            source: None,
            published: Published {
                role: Role::Initialize,
                reason: Reason::Stopped,
                announce: 0,
            },
            record,
            resumes: false,
            holdings: Arc::default(),
            busy: false,
            holds: false,
            announced: 0,
            trouble: None,
            peers: peers.copied().collect(),
            differing: None,
            counters: Counters::default(),
            transitions: 0,
            last_transition: None,
            was_master: false,
            instance,
        }
    }

    /// Takes another configuration that is about the same router.
    pub(super) fn reconfigure(&mut self, instance: VrrpInstance, observed: &Observed) {
        self.authentication = authentication(&instance);
        self.tracked = tracked(&instance.interface, &instance.track);
        self.instance = instance;
        self.differing = None;
        self.observe(observed);
    }

    /// Works out the priority anew.
    pub(super) fn observe(&mut self, observed: &Observed) {
        self.effective = effective(self.instance.priority, &self.tracked, observed);
    }

    pub(super) fn role(&self) -> Role {
        self.published.role
    }

    pub(super) fn port(&self) -> PortKey {
        (self.instance.interface.clone(), self.instance.family)
    }

    /// Whether it is at fault for a reason of its own.
    pub(super) fn is_faulty(&self) -> bool {
        !self.effective.fault.is_empty() || self.source.is_none()
    }

    /// Whether it may begin.
    pub(super) fn may_start(&self) -> bool {
        self.effective.waiting.is_empty()
    }

    pub(super) fn priority(&self) -> Priority {
        self.effective.priority
    }

    /// The machine's part of the configuration.
    pub(super) fn machine(&self, grouped: bool) -> MachineConfig {
        let instance = &self.instance;
        MachineConfig {
            version: instance.version,
            virtual_router_id: instance.virtual_router_id,
            priority: self.priority(),
            interval: instance.advertisement_interval,
            preempt: instance.preempt,
            preempt_delay: instance.preempt_delay,
            initial_state: instance.initial_state,
            // Never sent from: without a source it is at fault.
            source: self.source.unwrap_or(match instance.family {
                crate::config::model::Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
                crate::config::model::Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
            }),
            addresses: instance
                .virtual_addresses
                .iter()
                .map(|address| address.vip.addr())
                .collect(),
            authentication: self.authentication.clone(),
            garp: instance.garp,
            grouped,
        }
    }

    /// Whether the same router can go on with this configuration, or another takes its place.
    pub(super) fn is_same(&self, other: &VrrpInstance) -> bool {
        let old = &self.instance;
        old.interface == other.interface
            && old.virtual_router_id == other.virtual_router_id
            && old.family == other.family
            && old.version == other.version
    }
}

fn authentication(instance: &VrrpInstance) -> Authentication {
    instance
        .authentication
        .as_ref()
        .map_or(Authentication::None, Authentication::simple)
}
