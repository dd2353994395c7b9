//! IPVS's services in the words of `status`.

use super::Ipvs;
use crate::{
    agent::{checks::HealthChecks, engine::Engines},
    config::{
        Config,
        model::{Backend, Service},
    },
    health::service::Standing,
    ipvs::{
        compose,
        table::{DestinationKey, Seen, SeenDestination, SeenService, Stats},
    },
    observe::snapshot::{self, BackendState},
};

impl Ipvs {
    /// The part of the document that is about IPVS itself; `None` while it has nothing to do.
    pub(in crate::agent) fn state(
        &self,
        config: &Config,
        engines: &Engines,
    ) -> Option<snapshot::Ipvs> {
        let used = !engines.for_ipvs(config).is_empty() || config.ipvs_sync.is_some();
        used.then(|| snapshot::Ipvs {
            instead_of_xdp: engines.no_xdp.clone(),
            problem: self.trouble.clone(),
            notices: self.notices.clone(),
        })
    }
}

/// What IPVS itself adds to a service's row.
pub(in crate::agent) struct Row<'a> {
    service: &'a Service,
    seen: Option<&'a SeenService>,
}

impl<'a> Row<'a> {
    pub(in crate::agent) fn of(service: &'a Service, table: Option<&'a Seen>) -> Self {
        let key = compose::key(service.key());
        Self {
            service,
            seen: table.and_then(|table| table.get(&key)),
        }
    }

    pub(in crate::agent) fn traffic(&self) -> snapshot::Traffic {
        self.seen
            .map(|seen| traffic(&seen.stats))
            .unwrap_or_default()
    }

    fn destination(&self, backend: &Backend) -> Option<&'a SeenDestination> {
        let key = DestinationKey {
            address: backend.address,
            port: backend.port.get(),
        };
        self.seen?.destinations.get(&key)
    }

    /// Counters and connections of a backend.
    pub(in crate::agent) fn counted(
        &self,
        backend: &Backend,
    ) -> (snapshot::Traffic, Option<snapshot::Connections>) {
        let Some(seen) = self.destination(backend) else {
            return Default::default();
        };
        let connections = snapshot::Connections {
            active: seen.active,
            inactive: seen.inactive,
            persistent: seen.persistent,
        };
        (traffic(&seen.stats), Some(connections))
    }

    /// Whether a backend gets packets, by what the kernel has of it; why not, by what the checks say.
    pub(in crate::agent) fn standing(
        &self,
        backend: &Backend,
        checks: &HealthChecks,
    ) -> (BackendState, Option<String>) {
        let member = checks.member(self.service.key(), backend.key());
        let why = member.and_then(|member| member.standing.why());
        let said = member.and_then(|member| member.verdict.as_ref());
        let reason = why.map(|why| match said {
            Some(verdict) if matches!(member.map(|m| m.standing), Some(Standing::Out(_))) => {
                format!("{}: {}", why.word(), verdict.reason)
            }
            _ => why.word().to_owned(),
        });
        match (self.seen, self.destination(backend)) {
            (None, _) => (
                BackendState::Down,
                Some("the service is not in IPVS's table".to_owned()),
            ),
            (Some(_), None) => {
                let reason = reason.unwrap_or_else(|| "not in IPVS's table yet".to_owned());
                (BackendState::Down, Some(reason))
            }
            (Some(_), Some(seen)) if seen.destination.weight == 0 => {
                let reason = reason.unwrap_or_else(|| "its weight is 0".to_owned());
                (BackendState::NoNewFlows, Some(reason))
            }
            (Some(_), Some(_)) => (BackendState::Up, None),
        }
    }
}

fn traffic(stats: &Stats) -> snapshot::Traffic {
    // Exact: no link carries 2^32 packets a second.
    let rate = u32::try_from(stats.packets_in_per_second).unwrap_or(u32::MAX);
    snapshot::Traffic {
        packets: stats.packets_in,
        bytes: stats.bytes_in,
        new_flows: stats.connections,
        packets_per_second: rate.into(),
    }
}
