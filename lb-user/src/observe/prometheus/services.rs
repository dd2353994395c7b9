//! Services and their backends.

use std::fmt;

use super::{Labels, Page, seconds, yes};
use crate::observe::snapshot::{Attempts, Backend, BackendState, Service, Snapshot, Traffic};

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let named = named(snapshot);
    services(page, &named)?;
    let backends = || {
        snapshot.services.iter().flat_map(|service| {
            let backends = service.backends.iter();
            backends.map(|backend| (labels(service, backend), backend))
        })
    };
    standing(page, backends)?;
    traffic_of_backends(page, backends)?;
    health(page, backends)
}

/// All services, ready for their labels.
pub(super) fn named(snapshot: &Snapshot) -> Vec<Named<'_>> {
    snapshot.services.iter().map(Named::of).collect()
}

/// A service, and its address and port as labels want them.
pub(super) struct Named<'a> {
    pub(super) service: &'a Service,
    address: String,
    port: String,
}

impl<'a> Named<'a> {
    fn of(service: &'a Service) -> Self {
        Self {
            service,
            address: service.address.to_string(),
            port: service.port.to_string(),
        }
    }

    pub(super) fn labels(&self) -> Labels<'_, 4> {
        [
            ("service", &self.service.name),
            ("vip", &self.address),
            ("port", &self.port),
            ("proto", &self.service.protocol),
        ]
    }
}

pub(super) fn labels<'a>(service: &'a Service, backend: &'a Backend) -> Labels<'a, 2> {
    [("service", &service.name), ("backend", &backend.name)]
}

fn services(page: &mut Page<'_>, named: &[Named<'_>]) -> fmt::Result {
    let mut traffic = |name: &str, help: &str, of: fn(&Traffic) -> u64| {
        let samples = named
            .iter()
            .map(|one| (one.labels(), of(&one.service.traffic)));
        page.counters(name, help, samples)
    };
    traffic(
        "ballast_service_packets",
        "Packets of a service that were forwarded, since its maps were made.",
        |traffic| traffic.packets,
    )?;
    traffic(
        "ballast_service_bytes",
        "IP lengths of the packets of a service that were forwarded.",
        |traffic| traffic.bytes,
    )?;
    traffic(
        "ballast_service_new_flows",
        "TCP connections opened to a service.",
        |traffic| traffic.new_flows,
    )?;
    page.gauges(
        "ballast_service_engine",
        "Who forwards for a service, one series for each engine there is; why it is IPVS is in status.",
        named.iter().flat_map(|one| {
            ENGINES.map(|engine| {
                let [service, vip, port, proto] = one.labels();
                let labels = [service, vip, port, proto, ("engine", engine)];
                (labels, yes(one.service.engine == engine))
            })
        }),
    )?;
    page.gauges(
        "ballast_service_ring_slots",
        "Slots of a service's ring; 0 while it is not in the data plane.",
        named
            .iter()
            .map(|one| (one.labels(), one.service.ring_slots)),
    )?;
    page.gauges(
        "ballast_service_backends",
        "Backends of a service, by what they get.",
        named.iter().flat_map(|one| {
            BackendState::ALL.map(|state| {
                let [service, vip, port, proto] = one.labels();
                let backends = one.service.backends.iter();
                let count = backends.filter(|backend| backend.state == state).count();
                ([service, vip, port, proto, ("state", state.name())], count)
            })
        }),
    )?;
    quorum(page, named)
}

fn quorum(page: &mut Page<'_>, named: &[Named<'_>]) -> fmt::Result {
    let known = || {
        named.iter().filter_map(|one| {
            let quorum = one.service.quorum.as_ref()?;
            Some((one.labels(), quorum))
        })
    };
    page.gauges(
        "ballast_service_quorum_up",
        "Whether the weight that serves reaches the quorum.",
        known().map(|(labels, quorum)| (labels, yes(quorum.up))),
    )?;
    page.gauges(
        "ballast_service_serving_weight",
        "Weight of a service's backends that serve, or would but for the fallback.",
        known().map(|(labels, quorum)| (labels, quorum.weight)),
    )?;
    page.gauges(
        "ballast_service_quorum",
        "Weight that a service needs.",
        known().map(|(labels, quorum)| (labels, quorum.needed)),
    )?;
    page.gauges(
        "ballast_service_fallback_serving",
        "Whether the fallback server gets a service's packets.",
        named.iter().filter_map(|one| {
            let fallback = one.service.fallback.as_ref()?;
            Some((one.labels(), yes(fallback.serves)))
        }),
    )
}

/// What [`Service::engine`] can be.
const ENGINES: [&str; 2] = ["xdp", "ipvs"];

fn standing<'a, I>(page: &mut Page<'_>, backends: impl Fn() -> I) -> fmt::Result
where
    I: Iterator<Item = (Labels<'a, 2>, &'a Backend)>,
{
    page.gauges(
        "ballast_backend_up",
        "Whether a backend gets packets.",
        backends().map(|(labels, backend)| {
            let up = matches!(
                backend.state,
                BackendState::Up | BackendState::Local | BackendState::NoNewFlows
            );
            (labels, yes(up))
        }),
    )?;
    page.gauges(
        "ballast_backend_status",
        "What a backend gets, one series for each state there is.",
        backends().flat_map(|([service, name], backend)| {
            BackendState::ALL.map(|state| {
                let labels = [service, name, ("state", state.name())];
                (labels, yes(state == backend.state))
            })
        }),
    )?;
    page.gauges(
        "ballast_backend_weight",
        "Weight of a backend.",
        backends().map(|(labels, backend)| (labels, u32::from(backend.weight))),
    )?;
    page.gauges(
        "ballast_backend_ring_slots",
        "Slots of its service's ring that a backend owns.",
        backends().map(|(labels, backend)| (labels, backend.slots)),
    )
}

fn traffic_of_backends<'a, I>(page: &mut Page<'_>, backends: impl Fn() -> I) -> fmt::Result
where
    I: Iterator<Item = (Labels<'a, 2>, &'a Backend)>,
{
    let mut traffic = |name: &str, help: &str, of: fn(&Traffic) -> u64| {
        let samples = backends().map(|(labels, backend)| (labels, of(&backend.traffic)));
        page.counters(name, help, samples)
    };
    traffic(
        "ballast_backend_packets",
        "Packets forwarded to a backend, since the maps were made.",
        |traffic| traffic.packets,
    )?;
    traffic(
        "ballast_backend_bytes",
        "IP lengths of the packets forwarded to a backend.",
        |traffic| traffic.bytes,
    )?;
    traffic(
        "ballast_backend_new_flows",
        "TCP connections opened to a backend.",
        |traffic| traffic.new_flows,
    )
}

/// Only of backends that are checked.
fn health<'a, I>(page: &mut Page<'_>, backends: impl Fn() -> I) -> fmt::Result
where
    I: Iterator<Item = (Labels<'a, 2>, &'a Backend)>,
{
    let checked = || {
        backends().filter_map(|(labels, backend)| {
            let health = backend.health.as_ref()?;
            Some((labels, health))
        })
    };
    page.gauges(
        "ballast_backend_check_state",
        "What the checks of a backend say: up, down, or held (it answers, but fell too often lately).",
        checked().flat_map(|([service, name], health)| {
            ["up", "down", "held"].map(|state| {
                let labels = [service, name, ("state", state)];
                (labels, yes(state == health.state))
            })
        }),
    )?;
    page.gauges(
        "ballast_backend_check_duration_seconds",
        "How long the last attempt of a backend's check took.",
        checked().filter_map(|(labels, health)| Some((labels, seconds(health.last_took_ms?)))),
    )?;
    page.counters(
        "ballast_backend_checks",
        "Attempts of a backend's check, by how they ended; inconclusive: a failure of ours.",
        checked().flat_map(|([service, name], health)| {
            let Attempts {
                good,
                bad,
                inconclusive,
            } = health.attempts;
            [
                ("ok", good),
                ("failed", bad),
                ("inconclusive", inconclusive),
            ]
            .map(|(result, count)| ([service, name, ("result", result)], count))
        }),
    )
}
