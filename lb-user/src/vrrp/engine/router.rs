//! What the engine keeps for one router beside its machine.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::limits::MAX_PEERS;

use super::super::{
    hold::Holdings,
    machine::{MachineConfig, Published, Reason, Role},
    record::Record,
    track::{Effective, Observed, Tracked, effective, tracked},
    view::{Counters, Transition},
    wire::Authentication,
};
use super::port::PortKey;
use crate::{config::model::VrrpInstance, net::route::Route, types::Priority};

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
    /// The priority a resumed role was won with, until everything that it was made of is known again:
    /// with less, a peer would take the role before the first script has run.
    pub(super) inherited: Option<Priority>,
    pub(super) holdings: Arc<Holdings>,
    /// A predecessor left addresses and routes behind.
    pub(super) left: bool,
    /// Routes it held under another configuration, or on another interface of the name.
    pub(super) old_routes: Vec<Route>,
    /// A job runs for it.
    pub(super) busy: bool,
    /// All its addresses and routes have been added, as far as we know.
    pub(super) holds: bool,
    /// The number of the last announcement made.
    pub(super) announced: u64,
    pub(super) trouble: Option<String>,
    /// Who was listened to, and when last.
    heard: BTreeMap<IpAddr, Instant>,
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
            inherited: None,
            holdings: Arc::default(),
            left: false,
            old_routes: Vec::new(),
            busy: false,
            holds: false,
            announced: 0,
            trouble: None,
            heard: BTreeMap::new(),
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
        if self.effective.is_complete() {
            self.inherited = None;
        }
        if let Some(inherited) = self.inherited {
            self.effective.priority = inherited;
        }
    }

    /// A router spoke; whether that is news.
    pub(super) fn hear(&mut self, source: IpAddr, now: Instant) -> bool {
        // Sources are not proved: an attacker on the link has as many as it likes.
        if self.heard.len() >= MAX_PEERS && !self.heard.contains_key(&source) {
            return false;
        }
        self.heard.insert(source, now).is_none()
    }

    /// Forgets those that have long said nothing: their addresses may have become others'. Whether
    /// there were any.
    pub(super) fn forget_silent(&mut self, now: Instant) -> bool {
        let limit = FORGET_AFTER.max(10 * self.instance.advertisement_interval);
        let before = self.heard.len();
        self.heard
            .retain(|_, at| now.saturating_duration_since(*at) < limit);
        self.heard.len() != before
    }

    /// The other routers: those configured, then those heard.
    pub(super) fn peers(&self) -> impl Iterator<Item = IpAddr> {
        let unicast = self.instance.unicast.iter();
        let configured = unicast.flat_map(|unicast| &unicast.peers);
        configured.chain(self.heard.keys()).copied()
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

/// How long a router that was heard counts as one, at least. Only a master speaks: a balancer that lost
/// the role is known to the new one for as long.
const FORGET_AFTER: Duration = Duration::from_secs(60);
