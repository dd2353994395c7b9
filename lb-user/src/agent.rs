//! The agent: builds the rooms, joins their ends, and keeps the data plane as the configuration and
//! the network say.
//!
//! One task owns everything that changes ([`desired::Desired`]) and is the only caller of the map
//! writer; other tasks (netlink watch, control socket, signals) hand it values, and the virtual routers
//! run on a thread of their own, which waits for nobody. Dropping [`run`] leaves the data plane
//! forwarding: links and maps are pinned.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Config},
    control,
    net::{NetView, Watch, too_big::TooBigs},
    vrrp::task::HandOver,
};

mod checks;
mod comeback;
mod desired;
mod engine;
mod explain;
mod flows;
mod foreign;
mod hops;
mod ipvs;
mod operate;
mod outlets;
mod overrides;
mod paths;
mod permission;
mod quorums;
mod reconcile;
mod reload;
mod roles;
mod routers;
mod signals;
mod status;
mod supervise;
mod trace;
mod trackers;
mod withdraw;

pub(crate) use comeback::is_expected_back;
pub(crate) use foreign::program_name;
pub use permission::NotPermitted;
pub(crate) use permission::{may_change_the_network, missing_capabilities};
pub use withdraw::{Withdrawn, withdraw};

use checks::HealthChecks;
use desired::Desired;
use outlets::Outlets;
use routers::{Event, Routers};
use supervise::Tasks;

/// What the command line adds to the configuration.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Load the build that logs packets.
    pub trace_packets: bool,
    /// Leave programs and maps in the kernel at the end.
    pub keep_datapath: bool,
    /// Where to listen for commands, if not in `runtime_dir`.
    pub socket: Option<PathBuf>,
}

/// Runs until told to stop.
///
/// Start-up order: configuration, permissions, signals, control socket (so that a second agent stops here),
/// network watch, maps, first complete view of the network, contents, and only then the interfaces:
/// no packet meets a program that does not know its services yet. VRRP comes last, unless a restart
/// goes on with a role. The end is the other way round: roles are handed over first, and packets are
/// forwarded until a peer has them. That is so whatever ends the agent: a signal, at any time from the
/// first on, a failure, a panic in any task or in the agent itself.
///
/// # Errors
///
/// Whatever keeps the agent from starting, or from going on. Nothing is left half attached.
pub async fn run(config_path: PathBuf, options: RunOptions) -> anyhow::Result<()> {
    let loaded = config::load_and_validate(&config_path)?;
    reload::accept(&loaded)?;
    permission::check()?;
    // Before anything speaks: a stop hands over from the first advert on.
    let mut signals = signals::Signals::open()?;
    std::fs::create_dir_all(&loaded.config.runtime_dir)
        .with_context(|| format!("cannot make `{}`", loaded.config.runtime_dir.display()))?;
    let listener = match &options.socket {
        Some(socket) => control::server::bind_at(&loaded.config.runtime_dir, socket)?,
        None => control::server::bind(&loaded.config.runtime_dir)?,
    };

    let cancel = CancellationToken::new();
    let mut tasks = Tasks::new(cancel.clone());
    let (targets, wanted_targets) = watch::channel(backend_addresses(&loaded.config));
    let (view_out, view) = watch::channel(NetView::default());
    let network = Watch::open().context("cannot open netlink")?;
    let watch_cancel = cancel.clone();
    tasks.start("network watch", async move {
        network
            .run(wanted_targets, view_out, watch_cancel)
            .await
            .map_err(Into::into)
    });
    let (requests_in, requests) = mpsc::channel(REQUESTS);
    let control_cancel = cancel.clone();
    tasks.start("control socket", async move {
        control::server::serve(listener, requests_in, control_cancel)
            .await
            .map_err(Into::into)
    });

    let outlets = Outlets::start(&mut tasks, &cancel, &loaded.config);
    let alarms = outlets.alarms();
    let mut routers = Routers::new(&loaded.config, alarms.clone());
    let config = loaded.config.clone();
    let keep_datapath = options.keep_datapath;
    let begin = async {
        // The data plane of the run before goes on forwarding: whoever was master may speak at once.
        if Routers::can_resume(&config) {
            routers.apply(&config).await?;
        }
        // Before the data plane: whom the operator took out gets nothing from the first packet on.
        let mut checks = HealthChecks::start(&mut tasks, cancel.clone(), &config, alarms).await?;
        let ends = desired::Ends { targets, view };
        let desired = Desired::start(
            config_path,
            loaded.config,
            options,
            ends,
            (&routers, checks.standings(&config)),
            outlets,
        )
        .await?;
        if config.vrrp_instances.is_empty() {
            withdraw(&config.runtime_dir)
                .await
                .context("cannot remove what VRRP left behind")?;
        }
        // Announced only now: whoever follows the announcement is forwarded.
        routers.apply(&config).await?;
        routers.observe(checks.quorums(&config));
        checks.run_commands(&config);
        Ok::<_, anyhow::Error>((desired, checks))
    };
    let begun = tokio::select! {
        biased;
        () = signals.stop() => Ok(None),
        begun = supervise::caught(begin) => begun.map(Some),
    };
    let (parts, served) = match begun {
        Err(error) => (None, Err(error)),
        Ok(None) => (None, Ok(())),
        Ok(Some((mut desired, mut checks))) => {
            comeback::expect(&config.runtime_dir);
            let ends = Ends {
                requests,
                tasks: &mut tasks,
                signals: &mut signals,
            };
            let served = serve(&mut desired, &mut routers, &mut checks, ends);
            let served = supervise::caught(served).await;
            (Some((desired, checks)), served)
        }
    };
    comeback::forget(&config.runtime_dir);
    supervise::stopping(routers.stop_limit());
    // Whatever happened, a peer takes over now, and not when it notices.
    let handed_over = routers.hand_over().await;
    let served = match handed_over {
        HandOver::Failed => served.and_then(|()| Err(anyhow::anyhow!("VRRP did not hand over"))),
        _ => served,
    };
    let clean = served.is_ok() && !keep_datapath;
    let desired = match parts {
        None => None,
        Some((desired, checks)) => {
            checks.finish().await;
            Some(desired)
        }
    };
    if clean && handed_over == HandOver::Taken {
        // For those whose caches have not heard of it yet.
        tokio::time::sleep(FORWARD_ON).await;
    }
    match desired {
        Some(mut desired) => desired.stop(clean).await,
        // Stopped before it had looked at what a predecessor left.
        None if clean => desired::remove_left(&config).await,
        None => {}
    }
    cancel.cancel();
    served.and(tasks.join(STOP_LIMIT).await)
}

/// Where the agent's loop hears of things to do.
struct Ends<'a> {
    requests: mpsc::Receiver<control::server::Pending>,
    tasks: &'a mut Tasks,
    signals: &'a mut signals::Signals,
}

/// The agent's loop: whatever happened last decides what is done next.
async fn serve(
    desired: &mut Desired,
    routers: &mut Routers,
    checks: &mut HealthChecks,
    ends: Ends<'_>,
) -> anyhow::Result<()> {
    let Ends {
        mut requests,
        tasks,
        signals,
    } = ends;
    let too_bigs = TooBigs::open().context("cannot listen to ICMP (needs CAP_NET_RAW)")?;
    let mut watchdog = supervise::Watchdog::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    supervise::ready(desired.services());
    tracing::info!(services = desired.services(), "ballast is running");
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                signals::Signal::Stop => return Ok(()),
                signals::Signal::Reload => {
                    // Reported in the log by `reload`; there is nobody else to tell.
                    drop(desired.reload(routers, checks).await);
                }
            },
            Some(request) = requests.recv() => desired.answer(request, routers, checks).await,
            asked = desired.outlets.asked() => {
                asked.answer(desired.status(routers, checks).await);
            }
            changed = desired.view.changed() => {
                changed.context("the network watch ended")?;
                checks.network_changed(&desired.view.borrow());
                desired.reconcile();
            }
            () = checks.changed() => {
                desired.change(checks.standings(&desired.config));
                routers.observe(checks.quorums(&desired.config));
            }
            () = desired.ipvs.changed() => desired.balance(),
            said = too_bigs.next() => desired.narrow(&said.context("cannot listen to ICMP")?),
            event = routers.next() => match event {
                Event::Notice(notice) => routers.tell(&notice),
                Event::Roles => desired.meet(routers.peers()),
                Event::Ended(error) => return Err(error),
            },
            _ = tick.tick() => {
                desired.tick();
                watchdog.kick();
            }
            ended = tasks.ended() => return Err(ended),
        }
    }
}

/// Whose next hops are needed to forward.
fn backend_addresses(config: &Config) -> BTreeSet<IpAddr> {
    let services = config.services.iter();
    let addresses = services.flat_map(|service| {
        let backends = service.backends.iter().map(|backend| backend.address);
        backends.chain(service.fallback.as_ref().map(|fallback| fallback.address))
    });
    addresses.collect()
}

/// Requests that wait for the agent at one time.
const REQUESTS: usize = 16;
/// How often rates are worked out and a failed step is tried again.
const TICK: Duration = Duration::from_secs(1);
/// How long packets are forwarded after another balancer has taken over.
const FORWARD_ON: Duration = Duration::from_secs(2);
/// How long tasks may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(3);
