//! From one setup to another: routers that stay are not disturbed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{
    super::{
        hold::Held,
        machine::{Input as MachineInput, MachineConfig, Role},
        sync_group::Group,
        track::Input,
    },
    Engine, JobDone, JobKind, Place, Setup, Unit, UnitId,
    port::{Port, PortKey},
    router::Router,
};
use crate::{
    config::model::VrrpInstance,
    types::{GroupName, InstanceName},
};

/// The instances of one unit-to-be.
struct Wanted {
    name: Option<GroupName>,
    members: Vec<VrrpInstance>,
}

impl Engine {
    /// Becomes `setup`. A router goes on if it is the same on the wire, and its unit if all its
    /// members do; all others give up their role first.
    pub(super) fn configure(&mut self, setup: Setup, now: Instant) {
        if self.stopped {
            return;
        }
        let mut before = std::mem::take(&mut self.units);
        let mut added = Vec::new();
        for wanted in units(&setup) {
            let kept = before
                .iter()
                .find(|(_, unit)| wanted.fits(unit))
                .map(|(id, _)| *id);
            match kept.and_then(|id| Some((id, before.remove(&id)?))) {
                Some((id, mut unit)) => {
                    self.update(&mut unit, wanted);
                    self.units.insert(id, unit);
                }
                None => added.push(wanted),
            }
        }
        for (id, unit) in before {
            self.retire(id, unit, now);
        }
        // After those that go: a new router may take the number of an old one.
        for wanted in added {
            self.add(wanted);
        }
        self.setup = setup;
        self.index();
        self.observe_only_tracked();
        self.links_changed(now);
        self.publish_roles();
        self.inspect_soon(now);
    }

    fn update(&mut self, unit: &mut Unit, wanted: Wanted) {
        for router in &mut unit.routers {
            if let Some(instance) = wanted.member(router) {
                router.reconfigure(instance.clone(), &self.observed);
            }
        }
        unit.name = wanted.name;
    }

    /// The end of a unit: its routers give up, and what they hold is removed.
    fn retire(&mut self, id: UnitId, unit: Unit, now: Instant) {
        self.units.insert(id, unit);
        if let Some(unit) = self.units.get_mut(&id) {
            unit.group.handle_all(now, &MachineInput::Shutdown);
        }
        self.act(id);
        let Some(unit) = self.units.remove(&id) else {
            return;
        };
        if let Some(at) = unit.armed {
            self.deadlines.remove(&(at, id));
        }
        for router in &unit.routers {
            // A job of its own may have begun just now, or may still be adding: whatever that leaves
            // behind is a stray, and found by `inspect`.
            remove_routes(&mut self.jobs, &self.net, router);
            if !self.setup_has(&router.instance.name) {
                self.records.remove(&router.instance.name);
            }
        }
    }

    fn setup_has(&self, name: &InstanceName) -> bool {
        self.routers().any(|router| router.instance.name == *name)
    }

    fn add(&mut self, wanted: Wanted) {
        let grouped = wanted.members.len() > 1;
        let routers: Vec<Router> = wanted
            .members
            .into_iter()
            .map(|instance| {
                let (left, record) = self.records.router(&instance.name);
                let interval = instance.advertisement_interval;
                let mut router = Router::new(instance, record, &self.observed);
                let was_master = left.is_some_and(|left| left.master);
                router.resumes = left.is_some_and(|left| left.can_resume(interval));
                router.inherited = left
                    .and_then(|left| left.priority)
                    .filter(|_| router.resumes);
                // What it held is removed when it begins as backup.
                router.left = was_master;
                router
            })
            .collect();
        let configs: Vec<MachineConfig> = routers.iter().map(|r| r.machine(grouped)).collect();
        let id = UnitId(self.next_unit);
        self.next_unit += 1;
        self.units.insert(
            id,
            Unit {
                name: wanted.name,
                group: Group::new(configs),
                routers,
                armed: None,
                told: Role::Initialize,
                started: false,
            },
        );
    }

    /// Places by number and by name, and ports for all.
    fn index(&mut self) {
        let mut ports: BTreeMap<PortKey, Port> = BTreeMap::new();
        let mut names: HashMap<InstanceName, Place> = HashMap::new();
        for (id, unit) in &self.units {
            for (member, router) in unit.routers.iter().enumerate() {
                let place = Place { unit: *id, member };
                let key = router.port();
                let port = ports
                    .entry(key.clone())
                    .or_insert_with(|| self.ports.remove(&key).unwrap_or_default());
                port.routers
                    .retain(|_, old| self.units.contains_key(&old.unit));
                port.routers
                    .insert(router.instance.virtual_router_id.get(), place);
                names.insert(router.instance.name.clone(), place);
            }
        }
        self.ports = ports;
        let order = self.setup.instances.iter();
        self.places = order
            .filter_map(|instance| names.get(&instance.name).copied())
            .collect();
    }

    fn observe_only_tracked(&mut self) {
        let inputs: Vec<Input> = self
            .routers()
            .flat_map(|router| &router.tracked)
            .map(|tracked| tracked.input.clone())
            .collect();
        self.observed.retain(|input| inputs.contains(input));
    }
}

impl Wanted {
    fn fits(&self, unit: &Unit) -> bool {
        // Whatever the group is called, and in whatever order its members are written.
        self.members.len() == unit.routers.len()
            && unit.routers.iter().all(|router| {
                let same = self.member(router);
                same.is_some_and(|wanted| router.is_same(wanted))
            })
    }

    fn member(&self, router: &Router) -> Option<&VrrpInstance> {
        let mut members = self.members.iter();
        members.find(|wanted| wanted.name == router.instance.name)
    }
}

/// Groups first, each with its members in its own order; then every router that is in none.
fn units(setup: &Setup) -> Vec<Wanted> {
    let mut alone: BTreeMap<&InstanceName, &VrrpInstance> = setup
        .instances
        .iter()
        .map(|instance| (&instance.name, instance))
        .collect();
    let mut units: Vec<Wanted> = setup
        .groups
        .iter()
        .map(|group| Wanted {
            name: Some(group.name.clone()),
            members: group
                .members
                .iter()
                .filter_map(|name| alone.remove(name).cloned())
                .collect(),
        })
        .filter(|wanted| !wanted.members.is_empty())
        .collect();
    units.extend(alone.into_values().map(|instance| Wanted {
        name: None,
        members: vec![instance.clone()],
    }));
    units
}

/// Routes are not watched: those of a router that goes are taken away now.
fn remove_routes(jobs: &mut tokio::task::JoinSet<JobDone>, net: &crate::net::Net, router: &Router) {
    if router.holdings.routes.is_empty() {
        return;
    }
    let holdings = Arc::clone(&router.holdings);
    let net = net.clone();
    jobs.spawn(async move {
        JobDone {
            of: None,
            kind: JobKind::Release,
            troubles: holdings.release(net, Held::default(), Vec::new()).await,
        }
    });
}
