//! Where a flow would go: asked of the arena itself, by the code that the XDP program runs.

use std::net::SocketAddr;

use lb_common::{
    addr::Addr,
    backend::{BackendEntry, ForwardMode},
    connections::{State, TICK_SHIFT},
    decide,
    flow::{self, FlowKey},
    steer::{Explained, Why},
    verdict::DropReason,
};

use super::{
    checks::HealthChecks,
    desired::{Datapath, Desired},
    flows,
};
use crate::{
    control::proto::{Explanation, Protocol, Reply, Verdict},
    dataplane::{
        compose,
        image::{BackendId, ServiceId},
    },
};

impl Desired {
    /// The answer to `ballast explain`.
    pub(super) fn explain(
        &self,
        checks: &HealthChecks,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Reply {
        if source.is_ipv4() != destination.is_ipv4() {
            return Reply::refused("source and destination must be of one address family");
        }
        let pass = Explanation {
            protocol,
            source,
            destination,
            verdict: Verdict::Pass,
            reason: "no service has this address, port and protocol".to_owned(),
            service: None,
            backend: None,
            backend_address: None,
            hash: None,
            slot: None,
            ring_slots: None,
            notes: Vec::new(),
        };
        let key = FlowKey {
            source: Addr::from(source.ip()),
            destination: Addr::from(destination.ip()),
            source_port: source.port(),
            destination_port: destination.port(),
            protocol: match protocol {
                Protocol::Tcp => flow::TCP,
                Protocol::Udp => flow::UDP,
            },
        };
        let explanation = match &self.datapath {
            None => pass,
            Some(datapath) => {
                let memory = datapath.bpf.remembered();
                match decide::explain_flow(datapath.bpf.arena(), &memory, &key) {
                    None => pass,
                    Some((service, hash, outcome)) => {
                        let image = datapath.bpf.applied();
                        let service = image.services.get(&ServiceId(service));
                        let found = Explanation {
                            service: service.map(|service| service.name.clone()),
                            hash: Some(hash),
                            notes: self.notes(checks, &key),
                            ..pass
                        };
                        with_outcome(found, datapath, outcome)
                    }
                }
            }
        };
        Reply::Explained(explanation)
    }

    /// What else decides where a flow goes.
    fn notes(&self, checks: &HealthChecks, flow: &FlowKey) -> Vec<String> {
        let front = flow::ServiceKey::new(flow.destination, flow.destination_port, flow.protocol);
        let mut services = self.config.services.iter();
        services
            .find(|service| compose::service_key(service) == front)
            .map(|service| checks.notes(service))
            .unwrap_or_default()
    }
}

fn with_outcome(
    found: Explanation,
    datapath: &Datapath,
    outcome: Result<Explained<'_>, DropReason>,
) -> Explanation {
    let explained = match outcome {
        Ok(explained) => explained,
        Err(reason) => {
            let reason = format!("dropped: {}", reason.name());
            return Explanation {
                verdict: Verdict::Drop,
                reason,
                ..found
            };
        }
    };
    let backends = &datapath.bpf.applied().backends;
    let info = |entry: &BackendEntry| backends.get(&BackendId(entry.id)).map(|b| &b.info);
    let backend = info(explained.backend);
    let (verdict, what) = verdict(explained.backend);
    Explanation {
        verdict,
        reason: format!(
            "slot {} of {}{}: {what}",
            explained.slot,
            explained.slots,
            history(datapath, &explained)
        ),
        backend: backend.map(|info| info.name.clone()),
        backend_address: backend.map(|info| SocketAddr::new(info.address, info.port)),
        slot: Some(explained.slot),
        ring_slots: Some(explained.slots),
        ..found
    }
}

/// What there is to say of a slot that has moved, or of a flow that is remembered.
fn history(datapath: &Datapath, explained: &Explained<'_>) -> String {
    let backends = &datapath.bpf.applied().backends;
    let name = |entry: Option<&BackendEntry>| {
        let backend = entry.and_then(|entry| backends.get(&BackendId(entry.id)));
        backend.map_or_else(|| "nobody".to_owned(), |b| b.info.name.clone())
    };
    let clock = flows::clock();
    let mut text = String::new();
    if let (Some(moved_at), Some(previous)) = (explained.moved_at, explained.previous) {
        let ago = clock.boot.saturating_sub(moved_at);
        let (from, to) = (name(Some(previous)), name(explained.owner));
        text = format!(" moved {ago} s ago from {from} to {to}, and older flows stay with {from}");
    }
    match explained.why {
        Why::Owner | Why::Previous => {}
        Why::Turn => text += "; a new flow goes to whose turn it is",
        Why::Remembered(value) => {
            let entry = backends.get(&BackendId(u32::from(value.id())));
            let lifetimes = entry.and_then(|b| {
                let lifetimes = datapath.cache.lifetimes().get(&b.info.service_id)?;
                let state = State::from_byte(value.state_byte())?;
                Some((state, lifetimes.of(state)))
            });
            if let Some((state, lifetime)) = lifetimes {
                // A tick is a little more than a second.
                let left = lifetime.saturating_sub(value.idle(clock.tick));
                let left = (u64::from(left) << TICK_SHIFT) / 1_000_000_000;
                text += &format!(
                    "; this flow ({state:?}) is remembered on {} for another {left} s",
                    name(Some(explained.backend))
                )
                .to_lowercase();
            }
        }
    }
    text
}

fn verdict(backend: &BackendEntry) -> (Verdict, String) {
    let forward = |how: &str| (Verdict::Forward, format!("forwarded by {how}"));
    match ForwardMode::from_byte(backend.mode) {
        Some(ForwardMode::DirectRouting) => forward("direct routing"),
        Some(ForwardMode::TunnelV4) => forward("tunnel over IPv4"),
        Some(ForwardMode::TunnelV6) => forward("tunnel over IPv6"),
        Some(ForwardMode::Local) => (Verdict::Local, "the backend is this host".to_owned()),
        Some(ForwardMode::Unresolved) | None => (
            Verdict::Drop,
            format!("dropped: {}", DropReason::NextHopUnresolved.name()),
        ),
    }
}
