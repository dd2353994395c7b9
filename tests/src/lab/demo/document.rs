//! The JSON document of `demo --json`: a contract with scripts, only ever added to.

use serde::Serialize;

use super::ByBackend;
use crate::{ballast::Config, client::Report};

#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) ok: bool,
    requests: Requests,
    backends: Vec<Backend>,
    forwarding: Vec<String>,
    agent_kill: Interruption,
    restart: Interruption,
    failover: Failover,
    stop: Stop,
    backend_death: BackendDeath,
    imported: Imported,
}

/// The published how-to, as imported.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Imported {
    /// Lines that `import` wrote on stderr.
    pub(super) warnings: usize,
    /// With persistence, one client got one page.
    pub(super) sticks: bool,
    /// Without, the pages alternated.
    pub(super) alternates: bool,
    /// From the master's end to the first page through the other one.
    pub(super) failover_ms: u64,
}

/// A web server was killed and started again.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct BackendDeath {
    /// From the kill to the last new connection that still went to it.
    pub(super) last_new_connection_ms: f64,
    /// From its start to its first answer.
    pub(super) returned_ms: f64,
    /// Requests without an answer; those that went to it meanwhile.
    pub(super) requests_lost: usize,
}

/// The master lost its power.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failover {
    pub(super) cause: &'static str,
    /// The longest silence of the 1 kHz probes.
    pub(super) gap_ms: f64,
    /// HTTP requests without an answer.
    pub(super) requests_lost: usize,
    /// Probes without an answer.
    pub(super) probes_lost: usize,
    pub(super) forwarded_by: ForwardedBy,
}

/// Whose MAC brought the probes to the real servers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ForwardedBy {
    pub(super) before: String,
    pub(super) after: String,
}

/// The master was stopped in good order.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stop {
    /// The longest silence of the 1 kHz probes; 1 ms is none.
    pub(super) gap_ms: f64,
    /// HTTP requests without an answer.
    pub(super) requests_lost: usize,
    /// Probes without an answer.
    pub(super) probes_lost: usize,
}

/// The parts in which something happened to an agent.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) imported: Imported,
    pub(super) agent_kill: Interruption,
    pub(super) restart: Interruption,
    pub(super) backend_death: BackendDeath,
    pub(super) stop: Stop,
    pub(super) failover: Failover,
}

#[derive(Debug, Serialize)]
struct Requests {
    sent: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Backend {
    name: String,
    /// Answers the client got from it.
    requests: usize,
    /// Packets of those requests that the balancer forwarded, and their bytes.
    packets: u64,
    bytes: u64,
}

/// A part in which something happened to the agent.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Interruption {
    pub(super) sent: usize,
    pub(super) lost: usize,
}

impl Document {
    /// `ok`: nothing was lost that need not be, the other balancer took over, every backend was
    /// used, and both ways to read counters agree.
    pub(super) fn new(
        requests: &Report,
        counters: &ByBackend,
        config: &Config,
        events: Events,
        counters_agree: bool,
    ) -> Self {
        let Events {
            imported,
            agent_kill,
            restart,
            backend_death,
            stop,
            failover,
        } = events;
        let by_server = requests.by_server();
        let web = config.services.iter().find(|service| service.name == "web");
        let configured = || web.into_iter().flat_map(|service| &service.backends);
        let backends: Vec<_> = configured()
            .map(|backend| {
                let traffic = counters.get(&backend.name).copied().unwrap_or_default();
                Backend {
                    name: backend.name.clone(),
                    requests: by_server
                        .get(backend.name.as_str())
                        .copied()
                        .unwrap_or_default(),
                    packets: traffic.packets,
                    bytes: traffic.bytes,
                }
            })
            .collect();
        let mut forwarding: Vec<_> = configured().map(|b| b.forwarding.to_string()).collect();
        forwarding.sort();
        forwarding.dedup();
        let lost = requests.failed() + agent_kill.lost + restart.lost;
        let lost = lost + stop.requests_lost + stop.probes_lost;
        let ForwardedBy { before, after } = &failover.forwarded_by;
        let moved = before == "lb1" && after == "lb2";
        let all_used = backends
            .iter()
            .all(|backend| backend.requests > 0 && backend.packets > 0);
        Self {
            ok: lost == 0 && moved && all_used && counters_agree,
            requests: Requests {
                sent: requests.sent(),
                failed: requests.failed(),
            },
            backends,
            forwarding,
            agent_kill,
            restart,
            failover,
            stop,
            backend_death,
            imported,
        }
    }
}
