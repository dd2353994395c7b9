//! Interfaces and addresses of this host, as far as virtual routers need them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use super::{
    super::{
        hold::Holdings,
        machine::{Input as MachineInput, Role, Start},
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
        self.restore_routes();
        self.track_all(now);
    }

    /// The kernel drops the routes of an interface that goes down, also one that nobody tracks: masters
    /// add theirs again when one is back.
    fn restore_routes(&mut self) {
        let links = self.monitor.links().filter(|link| link.up);
        let up: BTreeSet<IfIndex> = links.map(|link| link.index).collect();
        let back = !up.is_subset(&self.up);
        self.up = up;
        if !back {
            return;
        }
        let mut lost = Vec::new();
        for (id, unit) in &mut self.units {
            for (member, router) in unit.routers.iter_mut().enumerate() {
                if router.holds
                    && router.role() == Role::Master
                    && !router.holdings.routes.is_empty()
                {
                    router.holds = false;
                    lost.push(Place { unit: *id, member });
                }
            }
        }
        for place in lost {
            self.settle(place);
        }
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
                let old = router.holdings.routes.iter();
                let gone = old.filter(|route| !holdings.routes.contains(route));
                if router.role() == Role::Master {
                    router.old_routes.extend(gone.cloned());
                }
                // An interface came anew: nothing of ours is on it.
                router.holds &= holdings.addresses == router.holdings.addresses
                    && holdings.routes == router.holdings.routes;
                // Also where only the Ethernet address is another: it is to be announced.
                router.announced = 0;
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
                unit.started = start(&mut unit.group, &mut unit.routers, now);
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
        // The interface's own first, and not an alias: the kernel's order is not known here.
        let mut usable: BTreeMap<(IfIndex, Family), Vec<&Address>> = BTreeMap::new();
        for address in self.monitor.addresses() {
            let family = Family::of(address.address);
            let own = !address.ours
                && !address.tentative
                && !virtuals.contains(&address.address)
                && (family == Family::V4 || is_link_local(address.address));
            if own {
                let place = (address.interface, family);
                usable.entry(place).or_default().push(address);
            }
        }
        for addresses in usable.values_mut() {
            addresses.sort_by_key(|address| (address.secondary, is_alone(address)));
        }
        let monitor = &self.monitor;
        for router in self.units.values_mut().flat_map(|unit| &mut unit.routers) {
            let (name, family): PortKey = router.port();
            let link = monitor.link(&name).map(|link| link.index);
            let found: Vec<IpAddr> = match router.instance.unicast_source {
                Some(wanted) => {
                    let mut all = monitor.addresses().map(|address| address.address);
                    all.find(|address| *address == wanted).into_iter().collect()
                }
                None => {
                    let usable = link.and_then(|link| usable.get(&(link, family)));
                    let usable = usable.into_iter().flatten();
                    usable.map(|address| address.address).collect()
                }
            };
            // One that still is there is not changed for another.
            let kept = router.source.filter(|source| found.contains(source));
            router.source = kept.or_else(|| found.first().copied());
        }
    }
}

/// Begins a unit whose routers all know what they must; whether it did.
fn start(group: &mut Group, routers: &mut [Router], now: Instant) -> bool {
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
    for (member, router) in routers.iter_mut().enumerate() {
        // A master adds what is missing; any other gives back what there is.
        router.holds = router.left && group.machine(member).role() != Role::Master;
        if !resumes {
            router.inherited = None;
        }
    }
    true
}

fn announcer(open: &mut BTreeMap<IfIndex, Arc<Announcer>>, link: &Link) -> Option<Arc<Announcer>> {
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

/// Without a network of its own, as aliases and the addresses of services are.
fn is_alone(address: &Address) -> bool {
    address.address.is_ipv4() && address.prefix == 32
}
