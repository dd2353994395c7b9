//! Answers to the control socket, `status` above all.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use lb_common::{backend::ForwardMode, limits::LAYOUT, verdict::DropReason};

use super::{
    checks::HealthChecks,
    desired::{Datapath, Desired, Rates},
    flows,
    ipvs::status::Row,
    operate, outlets,
    overrides::Kept,
    roles,
    routers::Routers,
    trackers::Seen,
};
use crate::{
    config::{self, model::Forwarding},
    control::{
        proto::{Reloaded, Reply, Request},
        server::Pending,
    },
    dataplane::{
        attach::How,
        compose,
        image::{BackendId, BackendImage, ServiceId, ServiceImage},
        stats::{self, Stats, Traffic},
        sweep::Usage,
    },
    health::{
        Load, Report, Subject,
        service::{Member, ServiceHealth, Standing},
    },
    ipvs::table::Seen as SeenTable,
    net::{self, NetView, NextHop, XdpPlace},
    observe::snapshot::{self, BackendState, Snapshot},
    types::{IfIndex, Weight},
    vrrp::view::View,
};

impl Desired {
    /// Does what is asked, and says how it went.
    pub(super) async fn answer(
        &mut self,
        pending: Pending,
        routers: &mut Routers,
        checks: &mut HealthChecks,
    ) {
        let reply = match pending.request {
            Request::Status => Reply::Status(Box::new(self.status(routers, checks).await)),
            Request::Reload => match self.reload(routers, checks).await {
                Ok(change) => Reply::Reloaded(Reloaded {
                    added: change.services.added.len(),
                    removed: change.services.removed.len(),
                    changed: change.services.changed.len(),
                    unchanged: change.services.unchanged.len(),
                }),
                Err(error) => Reply::Refused {
                    errors: error.lines(),
                },
            },
            Request::Explain {
                protocol,
                source,
                destination,
            } => self.explain(checks, protocol, source, destination),
            Request::Backend {
                service,
                backend,
                change,
            } => self.operate((&service, &backend), change, checks, routers),
        };
        // A client that has gone away wants no reply.
        drop(pending.reply.send(reply));
    }

    /// Everything there is to see.
    pub(super) async fn status(&self, routers: &Routers, checks: &HealthChecks) -> Snapshot {
        let (reports, load) = checks.report().await;
        self.snapshot(&Around {
            vrrp: routers.view().await,
            tracked: routers.tracked(),
            reports,
            load,
            checks,
        })
    }

    fn snapshot(&self, seen: &Around<'_>) -> Snapshot {
        let vrrp = &seen.vrrp;
        let view = self.view.borrow();
        let figures = self.datapath.as_ref().map(Figures::of);
        let figures = figures.as_ref();
        let table = self.ipvs.seen();
        let reload = &self.last_reload;
        let since = self.started.elapsed().unwrap_or_default();
        Snapshot {
            schema_version: snapshot::SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            router_id: outlets::node(&self.config),
            pid: std::process::id(),
            uptime_seconds: since.as_secs(),
            config: snapshot::ConfigState {
                file: self.config_path.display().to_string(),
                last_reload: snapshot::Reload {
                    ok: reload.error.is_none(),
                    error: reload.error.clone(),
                    at_unix: unix(reload.at),
                },
                reloads: self.reloads,
            },
            datapath: self
                .datapath
                .as_ref()
                .map(|datapath| datapath.state(self.options.trace_packets, &view)),
            ipvs: self.ipvs.state(&self.config, &self.engines),
            vrrp: vrrp.routers.iter().map(roles::router).collect(),
            sync_groups: vrrp.groups.iter().map(roles::group).collect(),
            vrrp_unclaimed: roles::named(&vrrp.unclaimed),
            vrrp_scheduling: vrrp.ordinary_scheduling.clone(),
            trackers: seen.tracked.iter().map(roles::tracker).collect(),
            services: self
                .config
                .services
                .iter()
                .map(|s| {
                    let mut row = service(s, figures, &view, seen);
                    if self.engines.by_ipvs(&self.config, s) {
                        self.by_ipvs(&mut row, s, table.as_ref(), seen);
                    }
                    row
                })
                .collect(),
            drops: drops(figures),
            problem: self.trouble.clone(),
            checks: check_load(&seen.load),
            listener: self.outlets.listener(),
            alerts: self.outlets.alerts(),
        }
    }
}

impl Desired {
    /// Fills in what IPVS says of a service that it serves.
    fn by_ipvs(
        &self,
        row: &mut snapshot::Service,
        service: &config::model::Service,
        table: Option<&SeenTable>,
        seen: &Around<'_>,
    ) {
        let ipvs = Row::of(service, table);
        row.engine = "ipvs".to_owned();
        row.engine_reason = Some(self.engines.reason(&self.config, service));
        row.traffic = ipvs.traffic();
        let members = seen.checks.members(service.key());
        for (row, backend) in row.backends.iter_mut().zip(&service.backends) {
            (row.state, row.reason) = ipvs.standing(backend, members.get(&backend.key()).copied());
            (row.traffic, row.connections) = ipvs.counted(backend.key());
        }
        if let (Some(row), Some(fallback)) = (&mut row.fallback, &service.fallback) {
            row.traffic = ipvs.counted(fallback.key()).0;
        }
    }
}

impl Datapath {
    fn state(&self, trace: bool, view: &NetView) -> snapshot::Datapath {
        let (used, total) = self.bpf.ring_memory();
        let interfaces = self.attached.iter().map(|(index, how)| {
            let (mode, reason) = mode(*index, how);
            snapshot::Interface {
                name: interface_name(view, *index),
                ifindex: index.get(),
                mode: mode.map(str::to_owned),
                reason,
            }
        });
        snapshot::Datapath {
            interfaces: interfaces.collect(),
            layout: LAYOUT,
            program_id: self.bpf.program_info().map(|(id, _)| id),
            trace,
            last_change: self.last_change.map(|change| snapshot::LastChange {
                operations: change.operations,
                microseconds: u64::try_from(change.took.as_micros()).unwrap_or(u64::MAX),
            }),
            ring_memory: snapshot::Memory {
                used: used.into(),
                total: total.into(),
            },
            connection_table: self.connection_table(),
        }
    }
}

/// Mode of an attachment, and why it is that.
fn mode(index: IfIndex, how: &How) -> (Option<&'static str>, Option<String>) {
    match how {
        How::Native => (Some("native"), None),
        How::Generic(reason) => (Some("generic"), Some(reason.clone())),
        How::TakenOver => {
            let place = net::xdp_attachment(index)
                .ok()
                .flatten()
                .map(|found| found.place);
            let mode = match place {
                Some(XdpPlace::Native) => Some("native"),
                Some(XdpPlace::Generic) => Some("generic"),
                Some(XdpPlace::Other) | None => None,
            };
            (mode, Some("as the run before left it".to_owned()))
        }
    }
}

/// What the data plane says, arranged to be looked up.
struct Figures<'a> {
    services: HashMap<lb_common::flow::ServiceKey, (ServiceId, &'a ServiceImage)>,
    backends: HashMap<(ServiceId, IpAddr, u16), (BackendId, &'a BackendImage)>,
    now: Stats,
    rates: &'a Rates,
    usage: Option<&'a Usage>,
}

impl<'a> Figures<'a> {
    fn of(datapath: &'a Datapath) -> Self {
        let image = datapath.bpf.applied();
        let services = image.services.iter();
        let backends = image.backends.iter();
        Self {
            services: services
                .map(|(id, service)| (service.key, (*id, service)))
                .collect(),
            backends: backends
                .map(|(id, b)| ((b.info.service_id, b.info.address, b.info.port), (*id, b)))
                .collect(),
            now: stats::read(&datapath.bpf),
            rates: &datapath.rates,
            usage: datapath.usage.as_ref(),
        }
    }

    fn traffic(&self, of: impl Fn(&Stats) -> Option<&Traffic>) -> snapshot::Traffic {
        let total = of(&self.now).copied().unwrap_or_default();
        let (before_at, before) = &self.rates.before;
        let (now_at, now) = &self.rates.now;
        let packets = |stats| of(stats).map_or(0, |traffic| traffic.packets);
        // Saturating: an index that was given anew starts from zero.
        let more = packets(now).saturating_sub(packets(before));
        snapshot::Traffic {
            packets: total.packets,
            bytes: total.bytes,
            new_flows: total.new_flows,
            packets_per_second: per_second(more, now_at.duration_since(*before_at)),
        }
    }
}

/// Every reason; nothing is dropped where there is no data plane.
fn drops(figures: Option<&Figures<'_>>) -> BTreeMap<String, u64> {
    let count = |reason| figures.and_then(|figures| figures.now.drops.get(reason).copied());
    let all = DropReason::ALL.iter();
    all.map(|reason| (reason.name().to_owned(), count(reason).unwrap_or(0)))
        .collect()
}

/// How the checks keep up.
fn check_load(load: &Load) -> snapshot::CheckLoad {
    let lateness = load.lateness.buckets().map(|(under, attempts)| {
        let bounded = (under < Duration::MAX).then_some(under);
        snapshot::Late {
            under_ms: bounded.map(millis),
            attempts,
        }
    });
    snapshot::CheckLoad {
        checks: load.checks,
        running: load.running,
        ended: load.ended,
        late_ms: millis(load.lateness.sum()),
        lateness: lateness.collect(),
    }
}

/// What the checks say of a backend.
fn checked(report: &Report) -> snapshot::Health {
    snapshot::Health {
        state: report.verdict.health.word().to_owned(),
        for_seconds: report.verdict.since.elapsed().as_secs(),
        last_result: report
            .last
            .as_ref()
            .map(|last| format!("{}: {}", last.outcome.word(), last.outcome.text())),
        last_took_ms: report.last.as_ref().map(|last| millis(last.took)),
        good_in_a_row: report.streak.good,
        bad_in_a_row: report.streak.bad,
        attempts: snapshot::Attempts {
            good: report.attempts.good,
            bad: report.attempts.bad,
            inconclusive: report.attempts.inconclusive,
        },
    }
}

/// What the operator said about a backend.
fn said(kept: Kept) -> snapshot::Override {
    snapshot::Override {
        mode: operate::mode(kept.asked.mode).to_owned(),
        weight: kept.asked.weight.map(Weight::get),
        since_unix: kept.since_unix,
        for_seconds: unix(SystemTime::now()).saturating_sub(kept.since_unix),
    }
}

/// Whether enough of a service serves.
fn quorum(service: &config::model::Service, health: &ServiceHealth) -> snapshot::Quorum {
    let now = health.quorum();
    snapshot::Quorum {
        up: now.up,
        for_seconds: now.since.elapsed().as_secs(),
        weight: now.weight,
        needed: service.quorum.up,
        hysteresis: service.quorum.hysteresis,
    }
}

/// What the status needs from other rooms.
struct Around<'a> {
    vrrp: View,
    tracked: Vec<Seen>,
    reports: BTreeMap<Subject, Report>,
    load: Load,
    checks: &'a HealthChecks,
}

/// To a tenth; 0 before the first second is over.
fn per_second(count: u64, time: Duration) -> f64 {
    let tenths = count
        .saturating_mul(10_000)
        .checked_div(millis(time))
        .unwrap_or(0);
    // Exact: no link carries 2^32 packets in a tenth of a second.
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

fn service(
    service: &config::model::Service,
    figures: Option<&Figures<'_>>,
    view: &NetView,
    seen: &Around<'_>,
) -> snapshot::Service {
    let key = compose::service_key(service);
    let known = figures.and_then(|f| f.services.get(&key).map(|(id, image)| (f, *id, *image)));
    let health = seen.checks.service(service.key());
    let mut slots: HashMap<BackendId, u32> = HashMap::new();
    if let Some((_, _, image)) = known {
        for owner in image.ring.slots.iter().map(|slot| slot.owner()) {
            if let Some(id) = image.ring.locals.get(usize::from(owner)) {
                *slots.entry(*id).or_default() += 1;
            }
        }
    }
    let members = seen.checks.members(service.key());
    let backends = service.backends.iter().map(|backend| {
        let found = known.and_then(|(figures, id, _)| {
            let key = (id, backend.address, backend.port.get());
            figures
                .backends
                .get(&key)
                .map(|(id, image)| (figures, *id, *image))
        });
        let subject = Subject {
            service: service.key(),
            backend: backend.key(),
        };
        let member = members.get(&subject.backend).copied();
        let (state, reason) = state(backend, found.map(|(_, _, image)| image), view, member);
        snapshot::Backend {
            name: backend.name.to_string(),
            address: backend.address,
            port: backend.port.get(),
            weight: backend.weight.get(),
            said: seen.checks.said(subject).map(said),
            forwarding: backend.forwarding.to_string(),
            state,
            reason,
            health: seen.reports.get(&subject).map(checked),
            next_hop: next_hop(backend.address, view),
            connections: None,
            path_mtu: found.map_or(0, |(_, _, image)| image.entry.mtu.into()),
            slots: found
                .and_then(|(_, id, _)| slots.get(&id).copied())
                .unwrap_or(0),
            flows: found
                .map(|(figures, id, _)| flows::of_backend(figures.usage, id))
                .unwrap_or_default(),
            traffic: found
                .map(|(figures, id, _)| figures.traffic(|stats| stats.backends.get(&id)))
                .unwrap_or_default(),
        }
    });
    snapshot::Service {
        name: service.name.to_string(),
        address: service.address,
        port: service.port.get(),
        protocol: service.protocol.to_string(),
        forwarding: service.forwarding.to_string(),
        scheduler: service.scheduler.to_string(),
        engine: "xdp".to_owned(),
        engine_reason: None,
        ring_slots: known
            .and_then(|(_, _, image)| u32::try_from(image.ring.slots.len()).ok())
            .unwrap_or(0),
        moved_slots: known.map_or(0, |(_, _, image)| flows::moved_slots(image)),
        flows: known
            .map(|(figures, id, _)| {
                let listed = service
                    .backends
                    .iter()
                    .map(|b| (id, b.address, b.port.get()));
                let listed = listed.filter_map(|key| Some(figures.backends.get(&key)?.0));
                let everyone = figures.backends.values();
                let everyone = everyone.filter(|(_, backend)| backend.info.service_id == id);
                let everyone = everyone.map(|(id, _)| *id);
                let events = figures.now.flows.get(&id).copied().unwrap_or_default();
                flows::of_service(figures.usage, events, listed, everyone)
            })
            .unwrap_or_default(),
        traffic: known
            .map(|(figures, id, _)| figures.traffic(|stats| stats.services.get(&id)))
            .unwrap_or_default(),
        quorum: health.map(|health| quorum(service, health)),
        fallback: service.fallback.as_ref().map(|fallback| {
            let found = known.and_then(|(figures, id, _)| {
                let key = (id, fallback.address, fallback.port.get());
                figures.backends.get(&key).map(|(id, _)| (figures, *id))
            });
            snapshot::Fallback {
                address: fallback.address,
                port: fallback.port.get(),
                serves: health.is_some_and(ServiceHealth::fallback_serves),
                next_hop: next_hop(fallback.address, view),
                traffic: found
                    .map(|(figures, id)| figures.traffic(|stats| stats.backends.get(&id)))
                    .unwrap_or_default(),
            }
        }),
        backends: backends.collect(),
    }
}

/// Whether a backend gets packets, by what the data plane has of it; why not, by what the network
/// says.
fn state(
    backend: &config::model::Backend,
    image: Option<&BackendImage>,
    view: &NetView,
    member: Option<&Member>,
) -> (BackendState, Option<String>) {
    let why_not = member.and_then(Member::why_not);
    let standing = member.map(|member| member.standing);
    if let Some(Standing::Out(_)) = standing {
        return (BackendState::Down, why_not);
    }
    let mode = image.and_then(|image| ForwardMode::from_byte(image.entry.mode));
    match mode {
        None | Some(ForwardMode::Unresolved) => {
            let reason = match view.next_hops.get(&backend.address) {
                Some(NextHop::Unresolved { reason }) => reason.to_string(),
                None => "not looked up yet".to_owned(),
                Some(NextHop::Resolved { source: None, .. }) if backend.forwarding == Forwarding::Tunnel => {
                    "this host has no address of its family to send the tunnel from; give it one, or set \
                     `datapath.tunnel_source`"
                        .to_owned()
                }
                Some(_) => "not in the data plane yet".to_owned(),
            };
            (BackendState::Unresolved, Some(reason))
        }
        Some(_) if why_not.is_some() => (BackendState::NoNewFlows, why_not),
        Some(ForwardMode::Local) => (
            BackendState::Local,
            Some("its address is this host's".to_owned()),
        ),
        Some(_) => (BackendState::Up, None),
    }
}

fn next_hop(address: IpAddr, view: &NetView) -> Option<snapshot::NextHop> {
    match view.next_hops.get(&address)? {
        NextHop::Resolved { mac, interface, .. } => Some(snapshot::NextHop {
            mac: mac.to_string(),
            interface: interface_name(view, *interface),
        }),
        _ => None,
    }
}

fn interface_name(view: &NetView, index: IfIndex) -> String {
    view.links
        .get(&index)
        .map_or_else(|| format!("#{index}"), |link| link.name.to_string())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
