//! Where a flow would go: asked of the arena itself, by the code that the XDP program runs.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

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
    config::model::{self, Service},
    control::proto::{Explanation, Moved, Protocol, Remembered, Reply, Verdict},
    dataplane::{
        compose,
        image::{BackendId, ServiceId},
    },
    ipvs,
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
            decided_by: None,
            moved: None,
            remembered: None,
        };
        if let Some(service) = self.ipvs_service(protocol, destination) {
            let scheduler = ipvs::compose::scheduler(service.scheduler).0;
            return Reply::Explained(Box::new(Explanation {
                verdict: Verdict::Forward,
                reason: format!(
                    "IPVS's scheduler {scheduler} decides ({}); `ipvsadm -Lnc` lists its connections",
                    self.engines.reason(&self.config, service)
                ),
                service: Some(service.name.to_string()),
                notes: checks.notes(service),
                ..pass
            }));
        }
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
        Reply::Explained(Box::new(explanation))
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

impl Desired {
    /// The service at `destination`, if IPVS serves it.
    fn ipvs_service(&self, protocol: Protocol, destination: SocketAddr) -> Option<&Service> {
        let protocol = match protocol {
            Protocol::Tcp => model::Protocol::Tcp,
            Protocol::Udp => model::Protocol::Udp,
        };
        let mut services = self.engines.for_ipvs(&self.config).into_iter();
        services.find(|service| {
            SocketAddr::new(service.address, service.port.get()) == destination
                && service.protocol == protocol
        })
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
    let moved = moved(datapath, &explained);
    let remembered = remembered(datapath, &explained);
    Explanation {
        verdict,
        reason: format!(
            "slot {} of {}{}: {what}",
            explained.slot,
            explained.slots,
            history(datapath, &explained, moved.as_ref(), remembered.as_ref())
        ),
        backend: backend.map(|info| info.name.clone()),
        backend_address: backend.map(|info| SocketAddr::new(info.address, info.port)),
        slot: Some(explained.slot),
        ring_slots: Some(explained.slots),
        decided_by: Some(word(explained.why).to_owned()),
        moved,
        remembered,
        ..found
    }
}

/// The name of a backend.
fn name(datapath: &Datapath, entry: Option<&BackendEntry>) -> String {
    let backends = &datapath.bpf.applied().backends;
    let backend = entry.and_then(|entry| backends.get(&BackendId(entry.id)));
    backend.map_or_else(|| "nobody".to_owned(), |b| b.info.name.clone())
}

/// The slot's last move, if it matters to this flow.
fn moved(datapath: &Datapath, explained: &Explained<'_>) -> Option<Moved> {
    let (owner, previous) = (explained.owner, explained.previous?);
    // With a ring of another size before, every slot counts as moved.
    if owner.is_some_and(|owner| owner.id == previous.id) {
        return None;
    }
    Some(Moved {
        seconds_ago: flows::clock().boot.saturating_sub(explained.moved_at?),
        from: name(datapath, Some(previous)),
        to: name(datapath, owner),
    })
}

/// What is remembered of the flow, or of its client.
fn remembered(datapath: &Datapath, explained: &Explained<'_>) -> Option<Remembered> {
    let (Why::Remembered(value) | Why::Client(value)) = explained.why else {
        return None;
    };
    let id = BackendId(u32::from(value.id()));
    let service = datapath.bpf.applied().backends.get(&id)?.info.service_id;
    let state = State::from_byte(value.state_byte())?;
    let lifetime = datapath.cache.lifetimes().get(&service)?.of(state);
    let left = lifetime.saturating_sub(value.idle(flows::clock().tick));
    Some(Remembered {
        state: format!("{state:?}").to_lowercase(),
        // A tick is a little more than a second.
        seconds_left: (u64::from(left) << TICK_SHIFT) / 1_000_000_000,
    })
}

/// What there is to say of a slot that has moved, or of a flow that is remembered.
fn history(
    datapath: &Datapath,
    explained: &Explained<'_>,
    moved: Option<&Moved>,
    remembered: Option<&Remembered>,
) -> String {
    let mut text = String::new();
    if let Some(Moved {
        seconds_ago,
        from,
        to,
    }) = moved
    {
        text = format!(
            " moved {seconds_ago} s ago from {from} to {to}, and flows that are older stay with {from}"
        );
    }
    let backend = name(datapath, Some(explained.backend));
    let until = remembered.map_or_else(String::new, |known| {
        let at = SystemTime::now() + Duration::from_secs(known.seconds_left);
        let at = humantime::format_rfc3339_seconds(at);
        format!(
            " until {at} (in {} s) if nothing more is seen",
            known.seconds_left
        )
    });
    let state = remembered.map_or("", |known| known.state.as_str());
    match explained.why {
        Why::Owner => {}
        Why::Previous => text += "; it is not remembered, and UDP does not tell whether it is new",
        Why::Turn => text += "; a new flow goes to whose turn it is",
        Why::Remembered(_) => {
            text += &format!("; this flow ({state}) is remembered on {backend}{until}");
        }
        Why::Client(_) => {
            text += &format!("; new flows of this client ({state}) go to {backend}{until}");
        }
    }
    text
}

fn word(why: Why) -> &'static str {
    match why {
        Why::Owner => "owner",
        Why::Turn => "turn",
        Why::Remembered(_) => "remembered",
        Why::Client(_) => "client",
        Why::Previous => "previous",
    }
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
