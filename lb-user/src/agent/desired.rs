//! The single owner of what is wanted (configuration, network) and of the writer that makes it so.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use lb_common::limits;
use tokio::sync::watch;

use super::{
    RunOptions, backend_addresses, engine::Engines, hops, ipvs::Ipvs, outlets::Outlets,
    paths::Paths, reconcile::Around, routers::Routers, trace,
};
use crate::{
    config::{Config, model::Engine},
    dataplane::{
        attach::{How, Links},
        bpf::{Bpf, Build, Capacity},
        compose::{Changes, RingCache},
        ids::Ids,
        pins::Pins,
        stats::{self, Stats},
        sweep::Usage,
    },
    net::{NetView, too_big::TooBig},
    observe::snapshot::Reloads,
    types::IfIndex,
};

/// Everything the agent's loop works on.
pub(super) struct Desired {
    pub(super) config_path: PathBuf,
    pub(super) config: Config,
    pub(super) options: RunOptions,
    pub(super) targets: watch::Sender<BTreeSet<IpAddr>>,
    pub(super) view: watch::Receiver<NetView>,
    /// Backends that are not as configured: they failed their checks, or the operator said so.
    pub(super) changes: Changes,
    /// Paths to the ends of tunnels that are narrower than the way there.
    pub(super) paths: Paths,
    /// The other balancers' addresses.
    pub(super) peers: BTreeSet<IpAddr>,
    pub(super) datapath: Option<Datapath>,
    /// Who forwards for which service.
    pub(super) engines: Engines,
    /// The kernel's balancer.
    pub(super) ipvs: Ipvs,
    pub(super) started: SystemTime,
    pub(super) last_reload: LastReload,
    pub(super) reloads: Reloads,
    pub(super) outlets: Outlets,
    /// What kept the last reconciliation from its end, once logged.
    pub(super) trouble: Option<String>,
}

/// The kernel's side; there is none while no service needs it.
pub(super) struct Datapath {
    pub(super) bpf: Bpf,
    pub(super) links: Links,
    pub(super) attached: BTreeMap<IfIndex, How>,
    pub(super) ids: Ids,
    pub(super) cache: RingCache,
    pub(super) rates: Rates,
    pub(super) last_change: Option<LastChange>,
    pub(super) tracing: Option<trace::Reader>,
    /// What the last whole sweep of the connection table found.
    pub(super) usage: Option<Usage>,
    /// Inserts counted when the last whole sweep began, and the one under way.
    pub(super) swept_inserts: u64,
    pub(super) sweep_inserts: u64,
}

/// The agent's ends of the network watch.
pub(super) struct Ends {
    /// Whose next hops are wanted.
    pub(super) targets: watch::Sender<BTreeSet<IpAddr>>,
    /// The network as it is.
    pub(super) view: watch::Receiver<NetView>,
}

/// Counters of a second ago and now.
pub(super) struct Rates {
    pub(super) before: (Instant, Stats),
    pub(super) now: (Instant, Stats),
}

/// The last time the maps were changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastChange {
    pub(super) operations: usize,
    /// From knowing to the last map written.
    pub(super) took: Duration,
}

/// How the last reload ended.
#[derive(Clone, Debug)]
pub(super) struct LastReload {
    pub(super) at: SystemTime,
    pub(super) error: Option<String>,
}

impl Desired {
    /// Loads or adopts the data plane, fills it, and attaches it.
    pub(super) async fn start(
        config_path: PathBuf,
        config: Config,
        options: RunOptions,
        Ends { targets, view }: Ends,
        (routers, changes): (&Routers, Changes),
        outlets: Outlets,
    ) -> anyhow::Result<Self> {
        let now = SystemTime::now();
        let ipvs = Ipvs::new(&config.runtime_dir);
        let mut desired = Self {
            engines: Engines::default(),
            ipvs,
            config_path,
            config,
            options,
            targets,
            changes,
            paths: Paths::default(),
            peers: routers.peers(),
            view,
            datapath: None,
            started: now,
            last_reload: LastReload {
                at: now,
                error: None,
            },
            reloads: Reloads::default(),
            outlets,
            trouble: None,
        };
        desired.want_targets();
        if desired.needs_xdp()
            && let Err(error) = desired.open().await
        {
            desired.do_without_xdp(error)?;
        }
        if desired.config.datapath.engine == Engine::Ipvs {
            desired.ipvs.available()?;
        }
        desired.balance();
        Ok(desired)
    }

    /// Whether there is anything for XDP to do.
    pub(super) fn needs_xdp(&self) -> bool {
        self.engines.needs_xdp(&self.config)
    }

    /// XDP cannot be had: IPVS serves everything, if it may and can.
    ///
    /// # Errors
    /// It may not, or cannot, or the configuration names an interface that is not there: `error`.
    fn do_without_xdp(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let ours = error.downcast_ref::<hops::InterfaceError>().is_some();
        if ours || self.config.datapath.engine != Engine::Auto {
            return Err(error);
        }
        if let Err(neither) = self.ipvs.available() {
            return Err(error.context(format!("neither XDP nor IPVS can be had: {neither}")));
        }
        let reason = format!("{error:#}");
        tracing::warn!(reason, "XDP cannot be had; IPVS forwards in its place");
        self.engines.no_xdp = Some(in_short(&reason));
        Ok(())
    }

    /// Brings up the data plane.
    pub(super) async fn open(&mut self) -> anyhow::Result<()> {
        let pins = Pins::open(&self.config.bpffs_dir)?;
        let opened = self.open_on(pins.clone()).await;
        if opened.is_err() {
            pins.discard_unused();
        }
        opened
    }

    async fn open_on(&mut self, pins: Pins) -> anyhow::Result<()> {
        self.wait_for_view().await?;
        let interfaces = self.interfaces()?;
        let build = if self.options.trace_packets {
            Build::Trace
        } else {
            Build::Plain
        };
        let mut bpf = Bpf::open(pins, capacity(&self.engines.for_xdp(&self.config)), build)?;
        let reader = trace::Reader::open(&mut bpf, self.options.trace_packets)?;
        let sizes = bpf.capacity();
        let retired = bpf.retired();
        let ids = Ids::after(bpf.applied(), retired, sizes.services, sizes.backends);
        let counted = (Instant::now(), stats::read(&bpf));
        let mut datapath = Datapath {
            bpf,
            links: Links::default(),
            attached: BTreeMap::new(),
            ids,
            cache: RingCache::default(),
            rates: Rates {
                before: counted.clone(),
                now: counted,
            },
            last_change: None,
            tracing: reader,
            usage: None,
            swept_inserts: 0,
            sweep_inserts: 0,
        };
        let view = self.view.borrow().clone();
        datapath.bring_up_to_date(
            &self.engines.for_xdp(&self.config),
            &view,
            &interfaces,
            &Around {
                peers: &self.peers,
                changes: &self.changes,
                paths: self.paths.mtus(),
            },
        )?;
        self.datapath = Some(datapath);
        self.want_targets();
        Ok(())
    }

    /// Waits until every backend's next hop has been looked for. Those that do not answer are not
    /// waited for: they stay out until they do.
    async fn wait_for_view(&mut self) -> anyhow::Result<()> {
        let wanted = backend_addresses(&self.config);
        let complete =
            |view: &NetView| !view.links.is_empty() && hops::all_looked_up(view, &wanted);
        match tokio::time::timeout(VIEW_LIMIT, self.view.wait_for(complete)).await {
            Ok(Ok(_)) | Err(_) => Ok(()),
            Ok(Err(_)) => anyhow::bail!("the network watch ended before it had seen the network"),
        }
    }

    /// The configured interfaces as the kernel has them now.
    pub(super) fn interfaces(&self) -> anyhow::Result<Vec<hops::Interface>> {
        hops::interfaces(&self.config, &self.view.borrow()).context("cannot attach")
    }

    /// Number of services.
    pub(super) fn services(&self) -> usize {
        self.config.services.len()
    }

    /// Takes note of the other balancers.
    pub(super) fn meet(&mut self, peers: BTreeSet<IpAddr>) {
        if self.peers != peers {
            self.peers = peers;
            self.want_targets();
            self.reconcile();
        }
    }

    /// These backends are not as configured.
    pub(super) fn change(&mut self, changes: Changes) {
        if self.changes != changes {
            self.changes = changes;
            self.reconcile();
        }
    }

    /// A router says that a tunnelled packet did not fit.
    pub(super) fn narrow(&mut self, said: &TooBig) {
        let own = self.view.borrow().own_addresses.clone();
        if self.paths.learn(said, &self.config, &own, Instant::now()) {
            self.reconcile();
        }
    }

    /// Says whose next hops are wanted: those of configured backends, of removed ones that still have
    /// flows, and of peers; where there are any, also the way to anywhere else.
    pub(super) fn want_targets(&self) {
        let mut targets = backend_addresses(&self.config);
        if let Some(datapath) = &self.datapath {
            let backends = datapath.bpf.applied().backends.values();
            targets.extend(backends.map(|backend| backend.info.address));
        }
        if !self.peers.is_empty() {
            targets.extend(&self.peers);
            targets.extend(hops::ANYWHERE);
        }
        self.targets.send_if_modified(|old| {
            let modified = *old != targets;
            *old = targets;
            modified
        });
    }

    /// Once a second: rates, and what failed is tried again.
    pub(super) fn tick(&mut self) {
        if let Some(datapath) = &mut self.datapath {
            let counted = (Instant::now(), stats::read(&datapath.bpf));
            datapath.rates.before = std::mem::replace(&mut datapath.rates.now, counted);
            if let Some(reader) = &mut datapath.tracing {
                reader.flush();
            }
        }
        let ipvs_is_due = self.ipvs.is_due();
        let due = self
            .datapath
            .as_mut()
            .is_some_and(Datapath::look_after_flows);
        let wider = self.paths.expire(Instant::now());
        if due || wider || self.trouble.is_some() {
            self.reconcile();
        } else if ipvs_is_due {
            self.balance();
        }
    }

    /// The end. `clean`: nothing of ours stays in the kernel.
    pub(super) async fn stop(&mut self, clean: bool) {
        self.ipvs.stop(clean).await;
        let Some(mut datapath) = self.datapath.take() else {
            return;
        };
        if clean {
            datapath.links.detach_others(&datapath.bpf, &[]);
            datapath.bpf.remove_pins();
            tracing::info!("stopped: XDP detached, maps removed");
        } else {
            tracing::info!("stopped: the data plane goes on forwarding");
        }
    }
}

/// The clean end of an agent that was stopped before it had adopted what a predecessor left.
pub(super) async fn remove_left(config: &Config) {
    Ipvs::new(&config.runtime_dir).stop(true).await;
    match Pins::open(&config.bpffs_dir) {
        Ok(pins) => pins.remove_all(),
        // Then nothing can be pinned there.
        Err(error) => tracing::debug!(%error, "nothing is pinned"),
    }
    tracing::info!("stopped while it started");
}

/// The beginning of a reason: a verifier's runs to thousands of lines.
fn in_short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(REASON).collect();
    if short.len() < reason.len() {
        short.push('…');
    }
    short
}

/// Map sizes for a configuration: room to grow without a restart.
fn capacity(config: &Config) -> Capacity {
    let backends: usize = config
        .services
        .iter()
        .map(|service| service.backends.len() + usize::from(service.fallback.is_some()))
        .sum();
    let room = |count: usize, least: u32, most: usize| {
        let wanted = (count * HEADROOM).next_power_of_two().min(most);
        u32::try_from(wanted).unwrap_or(u32::MAX).max(least)
    };
    let arena = config.datapath.ring_memory.min(limits::MAX_ARENA);
    let table = u64::from(config.datapath.connection_table_size)
        .saturating_mul(limits::TABLE_BYTES_PER_FLOW)
        .next_power_of_two()
        .clamp(limits::MIN_TABLE, limits::MAX_TABLE);
    Capacity {
        table: u32::try_from(table).unwrap_or(u32::MAX),
        arena: u32::try_from(arena).unwrap_or(u32::MAX),
        services: room(config.services.len(), 64, limits::MAX_SERVICES),
        backends: room(backends, 256, limits::MAX_BACKENDS),
    }
}

/// Characters of a reason that `status` and the metrics have.
const REASON: usize = 300;
/// Maps are made for this many times what is configured.
const HEADROOM: usize = 4;
/// How long the start waits for next hops.
const VIEW_LIMIT: Duration = Duration::from_millis(1500);
