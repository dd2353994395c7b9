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
    /// `ok`: nothing was lost, every backend was used, and both ways to read counters agree.
    pub(super) fn new(
        requests: &Report,
        counters: &ByBackend,
        config: &Config,
        agent_kill: Interruption,
        restart: Interruption,
        counters_agree: bool,
    ) -> Self {
        let by_server = requests.by_server();
        let configured = || config.services.iter().flat_map(|service| &service.backends);
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
        let all_used = backends
            .iter()
            .all(|backend| backend.requests > 0 && backend.packets > 0);
        Self {
            ok: lost == 0 && all_used && counters_agree,
            requests: Requests {
                sent: requests.sent(),
                failed: requests.failed(),
            },
            backends,
            forwarding,
            agent_kill,
            restart,
        }
    }
}
