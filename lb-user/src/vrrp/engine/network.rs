//! Interfaces and addresses of this host, as far as virtual routers need them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Instant};

use super::{
    super::{
        hold::Holdings,
        machine::{Input as MachineInput, Start},
        socket::Socket,
        sync_group::Group,
        track::{Input, State},
    },
    Engine, Place, UnitId,
    port::PortKey,
    router::Router,
};
use crate::{
    config::model::Family,
    net::{Link, address::Address, announce::Announcer},
    types::{IfIndex, IfName},
};

impl Engine {
    /// Interfaces came, went, or changed.
    pub(super) fn links_changed(&mut self, now: Instant) {
        self.open_sockets();
        let names: BTreeSet<IfName> = self
            .routers()
            .flat_map(|router| &router.tracked)
            .filter_map(|tracked| match &tracked.input {
                Input::Interface(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        for name in names {
            let up = self.monitor.link(&name).is_some_and(|link| link.up);
            let state = if up { State::Good } else { State::Bad };
            self.observed.set(Input::Interface(name), state);
        }
        self.refresh_holdings();
        self.track_all(now);
    }

    /// A socket for each interface that is there; another when it was replaced.
    fn open_sockets(&mut self) {
        for ((name, family), port) in &mut self.ports {
            let Some(link) = self.monitor.link(name) else {
                port.socket = None;
                continue;
            };
            if port
                .socket
                .as_ref()
                .is_some_and(|(index, _)| *index == link.index)
            {
                continue;
            }
            match Socket::open(name, link.index, *family) {
                Ok(socket) => {
                    port.socket = Some((link.index, socket));
                    port.trouble = None;
                }
                Err(error) => {
                    port.socket = None;
                    let trouble = crate::net::chain(&error);
                    if port.trouble.as_ref() != Some(&trouble) {
                        tracing::error!(interface = %name, error = %trouble, "VRRP cannot use an interface; trying again");
                        port.trouble = Some(trouble);
                    }
                }
            }
        }
    }

    /// What routers hold, by the interfaces' numbers of now.
    fn refresh_holdings(&mut self) {
        let links: BTreeSet<(IfIndex, crate::types::Mac)> = self
            .monitor
            .links()
            .filter_map(|link| Some((link.index, link.mac?)))
            .collect();
        self.announcers
            .retain(|index, announcer| links.contains(&(*index, announcer.mac())));
        let (monitor, announcers) = (&self.monitor, &mut self.announcers);
        let mut changed = Vec::new();
        for (id, unit) in &mut self.units {
            for (member, router) in unit.routers.iter_mut().enumerate() {
                let holdings = Holdings::of(
                    &router.instance,
                    |name| monitor.link(name),
                    |link| announcer(announcers, link),
                );
                if holdings.same_as(&router.holdings) {
                    continue;
                }
                // An interface came anew: nothing of ours is on it.
                router.holds &= holdings.addresses == router.holdings.addresses
                    && holdings.routes == router.holdings.routes;
                router.holdings = Arc::new(holdings);
                changed.push(Place { unit: *id, member });
            }
        }
        for place in changed {
            self.settle(place);
        }
    }

    /// Priorities and faults anew, and those begin that were waiting for something.
    pub(super) fn track_all(&mut self, now: Instant) {
        self.find_sources();
        let ids: Vec<UnitId> = self.units.keys().copied().collect();
        for id in ids {
            let Some(unit) = self.units.get_mut(&id) else {
                continue;
            };
            let grouped = unit.routers.len() > 1;
            for (member, router) in unit.routers.iter_mut().enumerate() {
                router.observe(&self.observed);
                let wanted = router.machine(grouped);
                if *unit.group.machine(member).config() != wanted {
                    unit.group.configure(now, member, wanted);
                }
                let faulty = router.is_faulty();
                if unit.group.is_faulty(member) != faulty {
                    unit.group.handle(now, member, MachineInput::Fault(faulty));
                }
            }
            if !unit.started && !self.stopped {
                unit.started = start(&mut unit.group, &unit.routers, now);
            }
            self.act(id);
        }
    }

    /// Where adverts come from.
    fn find_sources(&mut self) {
        let virtuals: BTreeSet<IpAddr> = self
            .routers()
            .flat_map(|router| &router.instance.virtual_addresses)
            .map(|address| address.vip.addr())
            .collect();
        let monitor = &self.monitor;
        for router in self.units.values_mut().flat_map(|unit| &mut unit.routers) {
            let (name, family): PortKey = router.port();
            let link = monitor.link(&name).map(|link| link.index);
            let usable = |address: &&Address| {
                Some(address.interface) == link
                    && Family::of(address.address) == family
                    && !address.ours
                    && !address.tentative
                    && !virtuals.contains(&address.address)
                    && (family == Family::V4 || is_link_local(address.address))
            };
            let found: Vec<IpAddr> = match router.instance.unicast_source {
                Some(wanted) => monitor
                    .addresses()
                    .map(|address| address.address)
                    .filter(|address| *address == wanted)
                    .collect(),
                None => monitor
                    .addresses()
                    .filter(usable)
                    .map(|address| address.address)
                    .collect(),
            };
            // One that still is there is not changed for another.
            let kept = router.source.filter(|source| found.contains(source));
            router.source = kept.or_else(|| found.first().copied());
        }
    }
}

/// Begins a unit whose routers all know what they must; whether it did.
fn start(group: &mut Group, routers: &[Router], now: Instant) -> bool {
    // A predecessor's role cannot wait for a script's first result.
    let resumes = routers.iter().all(|router| router.resumes);
    if !resumes && !routers.iter().all(Router::may_start) {
        return false;
    }
    let starts: Vec<Start> = routers
        .iter()
        .map(|router| {
            if router.resumes {
                Start::ResumeMaster
            } else {
                Start::Fresh
            }
        })
        .collect();
    group.start(now, &starts);
    true
}

fn announcer(
    open: &mut std::collections::BTreeMap<IfIndex, Arc<Announcer>>,
    link: &Link,
) -> Option<Arc<Announcer>> {
    if let Some(announcer) = open.get(&link.index) {
        return Some(Arc::clone(announcer));
    }
    // An interface without Ethernet has no caches to correct.
    let mac = link.mac?;
    match Announcer::open(link.index, mac) {
        Ok(announcer) => {
            let announcer = Arc::new(announcer);
            open.insert(link.index, Arc::clone(&announcer));
            Some(announcer)
        }
        Err(error) => {
            tracing::error!(interface = %link.name, error = %crate::net::chain(&error), "addresses cannot be announced");
            None
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
