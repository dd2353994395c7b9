//! Pure: the health of all services.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
    num::NonZeroU16,
    time::Instant,
};

use super::{
    guard::Link,
    service::{Event, Override, ServiceHealth},
    target::Subject,
    task::Verdicts,
};
use crate::config::model::{BackendKey, Config, ServiceKey};

/// All services of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Services {
    services: BTreeMap<ServiceKey, ServiceHealth>,
    /// What the operator said, also about backends that are not there at the moment.
    overrides: BTreeMap<Subject, Override>,
    link: Link,
    events: VecDeque<(ServiceKey, Event)>,
}

impl Services {
    /// Without services, with what the operator said before the start.
    #[must_use]
    pub fn new(overrides: BTreeMap<Subject, Override>) -> Self {
        Self {
            overrides,
            ..Self::default()
        }
    }

    /// These are the services now. What is known of those that are still there stays.
    pub fn reconfigure(&mut self, now: Instant, config: &Config) {
        let mut before = std::mem::take(&mut self.services);
        for service in &config.services {
            let key = service.key();
            let overrides = self.overrides_of(key);
            let known = match before.remove(&key) {
                Some(mut known) => {
                    known.reconfigure(now, service, &overrides);
                    known
                }
                None => {
                    let mut new = ServiceHealth::new(now, service, &overrides);
                    new.handle_link(now, self.link);
                    new
                }
            };
            self.services.insert(key, known);
            // Only for its events.
            self.update(key, |_| {});
        }
    }

    /// Checks changed their minds.
    pub fn handle_verdicts(&mut self, now: Instant, verdicts: Verdicts) {
        let mut by_service: BTreeMap<ServiceKey, Vec<_>> = BTreeMap::new();
        for (subject, verdict) in verdicts {
            by_service
                .entry(subject.service)
                .or_default()
                .push((subject.backend, verdict));
        }
        for (key, verdicts) in by_service {
            self.update(key, |service| service.handle_verdicts(now, verdicts));
        }
    }

    /// The operator said something. Whether there is such a backend; if not, nothing is changed.
    pub fn set_override(&mut self, now: Instant, subject: Subject, asked: Override) -> bool {
        let mut known = false;
        self.update(subject.service, |service| {
            known = service.set_override(now, subject.backend, asked);
        });
        if known {
            if asked == Override::default() {
                self.overrides.remove(&subject);
            } else {
                self.overrides.insert(subject, asked);
            }
        }
        known
    }

    /// What the operator said and did not take back: to be kept over restarts.
    #[must_use]
    pub fn overrides(&self) -> &BTreeMap<Subject, Override> {
        &self.overrides
    }

    /// Forgets what was said about backends that are configured no more.
    pub fn forget_gone(&mut self) {
        let services = &self.services;
        self.overrides.retain(|subject, _| {
            let members = services.get(&subject.service).map(ServiceHealth::members);
            members.is_some_and(|all| all.iter().any(|member| member.key == subject.backend))
        });
    }

    /// Our own link changed.
    pub fn handle_link(&mut self, now: Instant, link: Link) {
        self.link = link;
        for key in self.keys() {
            self.update(key, |service| service.handle_link(now, link));
        }
    }

    /// The time that [`next_deadline`](Self::next_deadline) gave has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for key in self.keys() {
            self.update(key, |service| {
                if service.next_deadline().is_some_and(|due| due <= now) {
                    service.handle_timeout(now);
                }
            });
        }
    }

    /// When something changes by itself, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.services
            .values()
            .filter_map(ServiceHealth::next_deadline)
            .min()
    }

    /// What happened, oldest first. To be emptied after every call that takes the time.
    pub fn poll_event(&mut self) -> Option<(ServiceKey, Event)> {
        self.events.pop_front()
    }

    /// One service.
    #[must_use]
    pub fn get(&self, key: ServiceKey) -> Option<&ServiceHealth> {
        self.services.get(&key)
    }

    /// All services.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceKey, &ServiceHealth)> {
        self.services.iter().map(|(key, service)| (*key, service))
    }

    fn keys(&self) -> Vec<ServiceKey> {
        self.services.keys().copied().collect()
    }

    fn overrides_of(&self, service: ServiceKey) -> BTreeMap<BackendKey, Override> {
        let first = Subject {
            service,
            backend: BackendKey {
                address: Ipv4Addr::UNSPECIFIED.into(),
                port: NonZeroU16::MIN,
            },
        };
        self.overrides
            .range(first..)
            .take_while(|(subject, _)| subject.service == service)
            .map(|(subject, asked)| (subject.backend, *asked))
            .collect()
    }

    /// Does something to a service, and takes its events.
    fn update(&mut self, key: ServiceKey, change: impl FnOnce(&mut ServiceHealth)) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        change(service);
        while let Some(event) = service.poll_event() {
            self.events.push_back((key, event));
        }
    }
}

#[cfg(test)]
mod tests;
