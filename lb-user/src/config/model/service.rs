//! The `services` section.

use std::{
    fmt,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use super::{Command, HealthCheck, OnFailure, words::words};
use crate::types::{BackendName, ServiceName, Weight};

/// One address, port and protocol, and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique among the services.
    pub name: ServiceName,
    /// A unicast address.
    pub address: IpAddr,
    /// In host byte order.
    pub port: NonZeroU16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// How packets reach backends that say nothing else; `Nat` if and only if it is every backend's.
    pub forwarding: Forwarding,
    /// What only NAT knows.
    pub nat: NatOptions,
    /// Who gets a new flow.
    pub scheduler: Scheduler,
    /// Slots of the ring, to be rounded up to the next size there is; `None`: by the number of backends and their weights.
    pub ring_size: Option<NonZeroU32>,
    /// How long flows older than a move are looked after (TCP).
    pub grace: Duration,
    /// The same for UDP; zero: the owner at once.
    pub udp_grace: Duration,
    /// New flows remembered per second.
    pub new_flow_budget: u32,
    /// How long idle flows are remembered.
    pub timeouts: Timeouts,
    /// Clients that stay with their backend; `None`: no.
    pub persistence: Option<Persistence>,
    /// How much must be up for the service to be up.
    pub quorum: Quorum,
    /// Who answers below quorum.
    pub fallback: Option<Fallback>,
    /// What a failed check does to a backend.
    pub on_failure: OnFailure,
    /// Who answers; no two have one name, or one address and port. May be empty.
    pub backends: Vec<Backend>,
}

impl Service {
    /// What identifies the service to the data plane.
    #[must_use]
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            address: self.address,
            port: self.port,
            protocol: self.protocol,
        }
    }

    /// The fallback as one more backend, of weight 0; `None`: there is none, or it is among the backends anyway.
    #[must_use]
    pub fn fallback_backend(&self) -> Option<Backend> {
        let fallback = self.fallback.as_ref()?;
        if self.backends.iter().any(|one| one.key() == fallback.key()) {
            return None;
        }
        let taken = |name: &BackendName| self.backends.iter().any(|one| one.name == *name);
        let name = "fallback".parse().ok();
        let name = name.filter(|name| !taken(name));
        Some(Backend {
            name: name.unwrap_or_else(|| fallback.address.into()),
            address: fallback.address,
            port: fallback.port,
            weight: Weight::ZERO,
            forwarding: self.forwarding,
            health_check: HealthCheck::Off,
        })
    }
}

/// What identifies a service to the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The service's address.
    pub address: IpAddr,
    /// The service's port, in host byte order.
    pub port: NonZeroU16,
    /// The service's protocol.
    pub protocol: Protocol,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = std::net::SocketAddr::new(self.address, self.port.get());
        write!(f, "{at}/{}", self.protocol)
    }
}

/// One real server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Unique within the service.
    pub name: BackendName,
    /// A unicast address; of the service's family, unless tunnelled.
    pub address: IpAddr,
    /// In host byte order; differs from the service's only under NAT.
    pub port: NonZeroU16,
    /// Its share of new flows.
    pub weight: Weight,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// How it is checked, the service's defaults already applied.
    pub health_check: HealthCheck,
}

impl Backend {
    /// What identifies the backend within its service.
    #[must_use]
    pub fn key(&self) -> BackendKey {
        BackendKey {
            address: self.address,
            port: self.port,
        }
    }
}

/// What identifies a backend within its service: never its name, nor its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    /// The backend's address.
    pub address: IpAddr,
    /// The backend's port, in host byte order.
    pub port: NonZeroU16,
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port.get()).fmt(f)
    }
}

/// The server that answers while a service is below quorum. It is reached by the service's own forwarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// A unicast address; of the service's family, unless tunnelled.
    pub address: IpAddr,
    /// In host byte order; differs from the service's only under NAT.
    pub port: NonZeroU16,
}

impl Fallback {
    /// What identifies it among the backends of its service.
    #[must_use]
    pub fn key(&self) -> BackendKey {
        BackendKey {
            address: self.address,
            port: self.port,
        }
    }
}

/// What only NAT knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatOptions {
    /// Whether the client's address is replaced, too.
    pub masquerade: bool,
}

/// How long idle flows are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, until the handshake is done.
    pub syn: Duration,
    /// TCP, after it.
    pub established: Duration,
    /// TCP, after a FIN or RST.
    pub closing: Duration,
    /// UDP.
    pub udp: Duration,
}

/// Clients that stay with their backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// How long after a client's last flow.
    pub timeout: Duration,
    /// Clients that share this many leading bits are one client.
    pub prefix_length: u8,
}

/// How much weight must be up for the service to be up: it comes up at `up + hysteresis` and goes down below `up - hysteresis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The sum of the weights of backends that are up; at least 1.
    pub up: u32,
    /// Less than `up`.
    pub hysteresis: u32,
    /// Run when the service comes up.
    pub on_up: Option<Command>,
    /// Run when it goes down.
    pub on_down: Option<Command>,
}

words! {
    /// The transport protocol of a service.
    Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }

    /// How packets reach a backend.
    Forwarding {
        /// A new destination MAC, nothing else.
        DirectRouting = "direct_routing",
        /// Inside an outer IP header.
        Tunnel = "tunnel",
        /// With a new destination address, by IPVS.
        Nat = "nat",
    }

    /// Who gets a new flow.
    Scheduler {
        /// Maglev hashing.
        Maglev = "maglev",
        /// Round robin.
        Rr = "rr",
        /// Weighted round robin.
        Wrr = "wrr",
        /// Least connections.
        Lc = "lc",
        /// Weighted least connections.
        Wlc = "wlc",
        /// Shortest expected delay.
        Sed = "sed",
        /// Never queue.
        Nq = "nq",
        /// By source address.
        Sh = "sh",
        /// By destination address.
        Dh = "dh",
    }
}
