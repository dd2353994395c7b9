//! A balancer without a kernel: the agent's pure parts as the agent puts them together, the arena in
//! memory of this process, and the program's own code to read it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::LazyLock,
    time::{Duration, Instant},
};

use lb_common::{
    arena::Arena as _,
    backend::BackendEntry,
    flow::FlowKey,
    hash::{client_tag, flow_hash, flow_tag},
    ring::Previous,
    service::{self, Found},
    steer::{self, Question, Steer as _, Why, With},
    verdict::DropReason,
};
use lb_user::{
    config::Config,
    dataplane::{
        arena::Arena,
        compose::{self, Changes, Hop, Inputs, RingCache},
        ids::Ids,
        image::{BackendId, BackendInfo, Front, Image, ServiceId},
        plan::{self, MapOp},
        store::Store,
        sweep::{Sweeper, Usage},
    },
};

use crate::{
    flaw::Flaw,
    table::{SERVICES, Table},
};

/// All that a balancer goes by.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) config: Config,
    pub(crate) changes: Changes,
    pub(crate) hops: BTreeMap<IpAddr, Hop>,
}

/// See the top of this file.
pub(crate) struct Balancer {
    /// Pinned: outlives the agent.
    pub(crate) table: Table,
    store: Store,
    names: BTreeMap<ServiceId, String>,
    infos: BTreeMap<BackendId, BackendInfo>,
    /// The agent's.
    pub(crate) applied: Image,
    ids: Ids,
    cache: RingCache,
    sweeper: Sweeper,
    usage: Option<Usage>,
    now: u64,
    flaw: Flaw,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The backend's address, or why there is none.
    pub(crate) backend: Result<IpAddr, DropReason>,
    /// What `explain` said before, where that is certain.
    pub(crate) explained: Option<IpAddr>,
    /// Its client was known to be there.
    pub(crate) by_client: bool,
    /// Who owns its slot.
    pub(crate) owner: Option<IpAddr>,
    /// What was known of its slot before.
    pub(crate) previous: Option<Previous>,
}

impl Balancer {
    pub(crate) fn new(table_bytes: u32, secret: u64, now: u64) -> Self {
        let arena = Arena::anonymous(ARENA).expect("memory");
        let mut this = Self {
            table: Table::new(table_bytes, secret),
            store: Store::new(arena, BACKENDS, secret).expect("there is room"),
            names: BTreeMap::new(),
            infos: BTreeMap::new(),
            applied: Image::default(),
            ids: Ids::of(&Image::default(), SERVICES, BACKENDS),
            cache: RingCache::default(),
            sweeper: Sweeper::default(),
            usage: None,
            now,
            flaw: Flaw::None,
        };
        this.set_clock(now);
        this
    }

    /// What is wrong with it.
    pub(crate) fn flaw(&self) -> Flaw {
        self.flaw
    }

    /// The same with something wrong.
    pub(crate) fn with(self, flaw: Flaw) -> Self {
        Self { flaw, ..self }
    }

    /// Milliseconds since the machine started.
    pub(crate) fn set_clock(&mut self, now: u64) {
        self.now = now;
        self.table.set_clock(now * 1_000_000);
    }

    fn boot(&self) -> u32 {
        u32::try_from(self.now / 1000).expect("not for ever")
    }

    /// What leads from what is to what is wanted.
    pub(crate) fn plan(&mut self, wanted: &Wanted) -> Vec<MapOp> {
        let services = self.applied.services.keys();
        let turns = services.map(|id| (*id, self.table.turns(id.0))).collect();
        let config = self.flaw.config(&wanted.config);
        let inputs = Inputs {
            config: &config,
            changes: &wanted.changes,
            front: &Front::default(),
            hops: &wanted.hops,
            paths: &BTreeMap::new(),
            applied: &self.applied,
            usage: self.usage.as_ref(),
            turns: &turns,
            now: self.boot(),
        };
        let image = compose::compose(&inputs, &mut self.ids, &mut self.cache);
        let image = image.expect("there are few backends");
        assert!(image.is_consistent(), "{image:?}");
        plan::diff(&self.applied, &image)
    }

    /// One step of a plan.
    pub(crate) fn apply(&mut self, op: &MapOp) {
        match op {
            MapOp::AddBackend(id, backend) | MapOp::ChangeBackend(id, backend) => {
                self.infos.insert(*id, backend.info.clone());
            }
            MapOp::RemoveBackend(id) => drop(self.infos.remove(id)),
            MapOp::AddService(id, service) => drop(self.names.insert(*id, service.name.clone())),
            MapOp::RenameService(id, name) => drop(self.names.insert(*id, name.clone())),
            MapOp::RemoveService(id) => drop(self.names.remove(id)),
            _ => {}
        }
        let now = *START + Duration::from_millis(self.now);
        self.store
            .apply(&self.flaw.op(op), &self.applied, now)
            .expect("there is room");
        self.applied.apply(op);
    }

    /// After the last step of a plan.
    pub(crate) fn applied_all(&mut self) {
        self.ids.retain(&self.applied);
    }

    /// The agent dies; another one finds what is pinned.
    pub(crate) fn restart(self) -> Self {
        let (store, found) = Store::adopt(self.store.into_arena(), BACKENDS)
            .expect("an arena can be adopted at any time");
        let info = |id| self.infos.get(&id).cloned();
        let name = |id| self.names.get(&id).cloned();
        let mut applied = found.into_image(info, name).expect("all is described");
        applied.devices = self.applied.devices;
        assert!(applied.is_consistent(), "{applied:?}");
        let applied = self.flaw.adopted(applied);
        let retired = store.retired(&applied);
        Self {
            ids: Ids::after(&applied, retired, SERVICES, BACKENDS),
            store,
            applied,
            cache: RingCache::default(),
            sweeper: Sweeper::default(),
            usage: None,
            ..self
        }
    }

    /// What the agent does each second. Whether the image has to be made again.
    pub(crate) fn tick(&mut self) -> bool {
        let due = self.cache.is_due(self.boot());
        let bytes = if self.cache.counts_flows() {
            self.table.arena.length()
        } else {
            self.table.arena.length() / 4
        };
        let usage = self.sweeper.step(
            &self.table.arena,
            &self.applied,
            &self.flaw.lifetimes(self.cache.lifetimes()),
            bytes,
            self.table.tick(),
            self.boot(),
        );
        let Some(usage) = usage else {
            return due;
        };
        self.usage = Some(usage);
        due || self.cache.wants_sweep() || self.cache.counts_flows()
    }

    /// The program's way from a packet to its backend. `None`: it is for no service.
    pub(crate) fn steer(&self, flow: &FlowKey, flags: u8, about: bool) -> Option<Answer> {
        let arena = self.store.arena();
        let found = self.find(flow)?;
        let entry = found.entry;
        let question = Question {
            service: found.at(),
            hash: flow_hash(entry.hash_key, entry.port_mask, flow),
            source: flow.source,
            source_port: flow.source_port,
            protocol: flow.protocol,
            flags,
            about,
        };
        let explained = steer::explain(arena, &self.table, &question);
        self.table.take();
        let program = With {
            arena,
            memory: &self.table,
        };
        let said = program.steer(&question).map(|at| {
            let entry: &BackendEntry = arena.view(at).expect("an entry");
            entry.address.to_ip()
        });
        let owner = explained
            .as_ref()
            .ok()
            .and_then(|explained| explained.owner);
        // What is told to people is what is done, where it is no matter of turns and of room.
        let foreseen = explained.as_ref().ok();
        let foreseen = foreseen.filter(|e| e.why != Why::Turn && !self.table.refused());
        Some(Answer {
            backend: said,
            explained: foreseen.map(|explained| explained.backend.address.to_ip()),
            by_client: matches!(explained, Ok(e) if matches!(e.why, Why::Client(_))),
            owner: owner.map(|owner| owner.address.to_ip()),
            previous: explained.ok().map(|explained| explained.state.previous()),
        })
    }

    /// What the connection table knows the client of a flow by, where clients are kept.
    pub(crate) fn client_tag(&self, flow: &FlowKey) -> Option<u64> {
        let entry = self.find(flow)?.entry;
        if entry.client_bits == 0 {
            return None;
        }
        let prefix = flow.source.prefix(entry.client_bits);
        Some(client_tag(entry.hash_key, self.store.secret(), prefix))
    }

    /// What the connection table knows a flow by.
    pub(crate) fn tag(&self, flow: &FlowKey) -> Option<u64> {
        let entry = self.find(flow)?.entry;
        let (key, mask) = (entry.hash_key, entry.port_mask);
        let secret = self.store.secret();
        Some(flow_tag(key, mask, secret, flow.source, flow.source_port))
    }

    fn find(&self, flow: &FlowKey) -> Option<Found<'_>> {
        let arena = self.store.arena();
        service::front(arena)?.find(arena, &flow.service())
    }
}

/// Where the clocks of all balancers begin.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const ARENA: u32 = 1 << 20;
/// Backends that the maps have room for: few, so that indices are used again.
const BACKENDS: u32 = 96;
