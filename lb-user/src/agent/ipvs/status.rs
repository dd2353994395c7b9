//! IPVS's services in the words of `status`.

use super::Ipvs;
use crate::{
    agent::engine::Engines,
    config::{
        Config,
        model::{Backend, BackendKey, Service},
    },
    health::service::Member,
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
    seen: Option<&'a SeenService>,
}

impl<'a> Row<'a> {
    pub(in crate::agent) fn of(service: &Service, table: Option<&'a Seen>) -> Self {
        let key = compose::key(service.key());
        Self {
            seen: table.and_then(|table| table.get(&key)),
        }
    }

    pub(in crate::agent) fn traffic(&self) -> snapshot::Traffic {
        self.seen
            .map(|seen| traffic(&seen.stats))
            .unwrap_or_default()
    }

    fn destination(&self, backend: BackendKey) -> Option<&'a SeenDestination> {
        let key = DestinationKey {
            address: backend.address,
            port: backend.port.get(),
        };
        self.seen?.destinations.get(&key)
    }

    /// Counters and connections of a backend.
    pub(in crate::agent) fn counted(
        &self,
        backend: BackendKey,
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
        member: Option<&Member>,
    ) -> (BackendState, Option<String>) {
        let reason = member.and_then(Member::why_not);
        match (self.seen, self.destination(backend.key())) {
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
