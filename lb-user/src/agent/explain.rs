//! Where a flow would go: asked of the arena itself, by the code that the XDP program runs.

use std::net::SocketAddr;

use lb_common::{
    addr::Addr,
    backend::{BackendEntry, ForwardMode},
    decide,
    flow::{self, FlowKey},
    ring::Selection,
    verdict::DropReason,
};

use super::desired::Desired;
use crate::{
    config::model::{self, Service},
    control::proto::{Explanation, Protocol, Reply, Verdict},
    dataplane::image::{BackendId, Image, ServiceId},
    ipvs::compose,
};

impl Desired {
    /// The answer to `ballast explain`.
    pub(super) fn explain(
        &self,
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
        };
        if let Some(service) = self.ipvs_service(protocol, destination) {
            let scheduler = compose::scheduler(service.scheduler).0;
            return Reply::Explained(Explanation {
                verdict: Verdict::Forward,
                reason: format!(
                    "IPVS's scheduler {scheduler} decides ({}); `ipvsadm -Lnc` lists its connections",
                    self.engines.reason(&self.config, service)
                ),
                service: Some(service.name.to_string()),
                ..pass
            });
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
            Some(datapath) => match decide::select_flow(datapath.bpf.arena(), &key) {
                None => pass,
                Some((service, hash, outcome)) => {
                    let image = datapath.bpf.applied();
                    let service = image.services.get(&ServiceId(service));
                    let found = Explanation {
                        service: service.map(|service| service.name.clone()),
                        hash: Some(hash),
                        ..pass
                    };
                    with_outcome(found, image, outcome)
                }
            },
        };
        Reply::Explained(explanation)
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
    image: &Image,
    outcome: Result<Selection<'_>, DropReason>,
) -> Explanation {
    let selection = match outcome {
        Ok(selection) => selection,
        Err(reason) => {
            let reason = format!("dropped: {}", reason.name());
            return Explanation {
                verdict: Verdict::Drop,
                reason,
                ..found
            };
        }
    };
    let backend = image
        .backends
        .get(&BackendId(selection.backend.id))
        .map(|backend| &backend.info);
    let (verdict, what) = verdict(selection.backend);
    Explanation {
        verdict,
        reason: format!("slot {} of {}: {what}", selection.slot, selection.slots),
        backend: backend.map(|info| info.name.clone()),
        backend_address: backend.map(|info| SocketAddr::new(info.address, info.port)),
        slot: Some(selection.slot),
        ring_slots: Some(selection.slots),
        ..found
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
