//! Addresses and routes follow the roles: which job is due, and what came of it.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    super::{
        hold::{Held, Holdings, Troubles},
        machine::Role,
    },
    Engine, JobDone, JobKind, Place,
};
use crate::{
    net::address::{Address, AddressSpec, endangered},
    types::IfIndex,
};

impl Engine {
    /// Begins the job that brings a router's addresses in line with its role, unless one runs.
    pub(super) fn settle(&mut self, place: Place) {
        let Some(router) = self.router(place) else {
            return;
        };
        if router.busy {
            return;
        }
        let holdings = Arc::clone(&router.holdings);
        let kind = match router.role() {
            Role::Master if !router.holds => JobKind::Acquire,
            Role::Master if router.announced != router.published.announce => JobKind::Announce,
            Role::Initialize | Role::Backup | Role::Fault
                if router.holds || !router.old_routes.is_empty() =>
            {
                JobKind::Release
            }
            _ => return,
        };
        router.busy = true;
        let again = router.announced == router.published.announce;
        let old = match kind {
            JobKind::Announce => Vec::new(),
            JobKind::Acquire | JobKind::Release => std::mem::take(&mut router.old_routes),
        };
        if kind != JobKind::Release {
            router.announced = router.published.announce;
            router.counters.announcements += 1;
        }
        let net = self.net.clone();
        let done = move |troubles| JobDone {
            of: Some(place),
            kind,
            troubles,
        };
        match kind {
            JobKind::Acquire => {
                self.jobs
                    .spawn(async move { done(holdings.acquire(net, again, old).await) });
            }
            JobKind::Announce => {
                self.jobs
                    .spawn(async move { done(holdings.announce().await) });
            }
            JobKind::Release => {
                let held = self.removable(&holdings.addresses);
                self.jobs
                    .spawn(async move { done(holdings.release(net, held, old).await) });
            }
        }
    }

    /// Takes note of a job's end; what changed meanwhile begins the next.
    pub(super) fn job_done(&mut self, done: JobDone) {
        let Some(place) = done.of else {
            log_orphan(&done.troubles);
            return;
        };
        let Some(router) = self.router(place) else {
            return;
        };
        router.busy = false;
        let failed = !done.troubles.is_empty();
        match done.kind {
            // Tried again at the next tick, or when an interface comes.
            JobKind::Acquire | JobKind::Release => router.holds = done.kind == JobKind::Acquire,
            JobKind::Announce => {}
        }
        let trouble = failed.then(|| done.troubles.join("; "));
        if done.kind != JobKind::Announce && trouble != router.trouble {
            match &trouble {
                Some(error) => tracing::error!(
                    instance = %router.instance.name, %error,
                    "addresses or routes are not as they should be; trying again"
                ),
                None => tracing::info!(
                    instance = %router.instance.name, "addresses and routes are as they should be"
                ),
            }
            router.trouble = trouble;
        }
        self.settle(place);
    }

    /// All but those that somebody else added.
    fn removable(&self, addresses: &[AddressSpec]) -> Held {
        let foreign: BTreeSet<(IfIndex, IpAddr)> = self
            .monitor
            .addresses()
            .filter(|address| !address.ours)
            .map(|address| (address.interface, address.address))
            .collect();
        let mine = |spec: &&AddressSpec| !foreign.contains(&(spec.interface, spec.address));
        self.held(addresses.iter().filter(mine).cloned().collect())
    }

    fn held(&self, addresses: Vec<AddressSpec>) -> Held {
        let all: Vec<&Address> = self.monitor.addresses().collect();
        Held {
            shared: endangered(all, &addresses),
            addresses,
        }
    }

    /// Compares the host's addresses with what the roles want: puts back what a master lost, removes
    /// what carries our mark and belongs to no master.
    pub(super) fn inspect(&mut self) {
        let present: BTreeSet<(IfIndex, IpAddr)> = self
            .monitor
            .addresses()
            .map(|address| (address.interface, address.address))
            .collect();
        let mut kept: BTreeSet<(IfIndex, IpAddr, u8)> = BTreeSet::new();
        let mut lost: Vec<Place> = Vec::new();
        for (id, unit) in &mut self.units {
            for (member, router) in unit.routers.iter_mut().enumerate() {
                let addresses = router.holdings.addresses.iter();
                let keys = addresses.map(|spec| (spec.interface, spec.address));
                let master = router.role() == Role::Master;
                // One that has not begun may be about to go on with what its predecessor left.
                if master || router.busy || (router.resumes && !unit.started) {
                    let addresses = router.holdings.addresses.iter();
                    kept.extend(addresses.map(|spec| (spec.interface, spec.address, spec.prefix)));
                }
                if master && !router.busy && (router.holds || router.trouble.is_some()) {
                    let missing: Vec<IpAddr> = keys
                        .filter(|key| !present.contains(key))
                        .map(|(_, address)| address)
                        .collect();
                    if missing.is_empty() && router.trouble.is_none() {
                        continue;
                    }
                    if router.trouble.is_none() {
                        router.counters.restored += missing.len() as u64;
                        tracing::warn!(
                            instance = %router.instance.name, ?missing,
                            "somebody removed virtual addresses; they are put back"
                        );
                    }
                    router.holds = false;
                    lost.push(Place { unit: *id, member });
                }
            }
        }
        for place in lost {
            self.settle(place);
        }
        self.remove_strays(&kept);
    }

    fn remove_strays(&mut self, kept: &BTreeSet<(IfIndex, IpAddr, u8)>) {
        let strays: Vec<AddressSpec> = self
            .monitor
            .addresses()
            .filter(|address| address.ours)
            .filter(|address| !kept.contains(&(address.interface, address.address, address.prefix)))
            .map(|address| AddressSpec {
                interface: address.interface,
                address: address.address,
                prefix: address.prefix,
                label: None,
            })
            .collect();
        // The news of what one removal did are still to come: the next look is soon enough.
        let busy = self.sweeper.as_ref().is_some_and(|job| !job.is_finished());
        if strays.is_empty() || busy {
            return;
        }
        let net = self.net.clone();
        let nothing = Arc::new(Holdings::default());
        let held = self.held(strays);
        let sweeper = self.jobs.spawn(async move {
            JobDone {
                of: None,
                kind: JobKind::Release,
                troubles: nothing.release(net, held, Vec::new()).await,
            }
        });
        self.sweeper = Some(sweeper);
    }
}

fn log_orphan(troubles: &Troubles) {
    if !troubles.is_empty() {
        tracing::warn!(
            error = troubles.join("; "),
            "old addresses or routes could not be removed"
        );
    }
}
