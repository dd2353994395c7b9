//! Pure: IPVS's table as values. Host byte order throughout.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::config::model::Family;

/// What identifies a virtual service to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets to an address and port.
    Address {
        /// The IP protocol's number.
        protocol: u16,
        /// Where clients connect to.
        address: IpAddr,
        /// The port; 0: all ports (we make no such service).
        port: u16,
    },
    /// Packets with a firewall mark; we make no such service.
    Mark {
        /// Of the packets.
        family: Family,
        /// The mark.
        mark: u32,
    },
}

impl ServiceKey {
    /// The family of its packets.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address),
            Self::Mark { family, .. } => family,
        }
    }
}

impl fmt::Display for ServiceKey {
    /// As in `status`: `10.0.0.1:80/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address {
                protocol,
                address,
                port,
            } => {
                let at = SocketAddr::new(*address, *port);
                match *protocol {
                    TCP => write!(f, "{at}/tcp"),
                    UDP => write!(f, "{at}/udp"),
                    other => write!(f, "{at}/{other}"),
                }
            }
            Self::Mark { family, mark } => write!(f, "mark {mark} ({family:?})"),
        }
    }
}

/// How a service behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The scheduler's name, such as `mh`; the kernel loads `ip_vs_NAME`.
    pub scheduler: String,
    /// Persistence, and the scheduler's own switches.
    pub flags: Flags,
    /// How long a client is remembered, seconds; the kernel's default is 360. Of use with
    /// [`Flags::PERSISTENT`] only.
    pub timeout: u32,
    /// Clients that share this many leading bits are one, 1–32 or 1–128.
    pub prefix_length: u8,
}

/// Flags of a service (`IP_VS_SVC_F_…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// Clients stay with their real server.
    pub const PERSISTENT: Self = Self(0x1);
    /// Every UDP packet is scheduled for itself.
    pub const ONE_PACKET: Self = Self(0x4);
    /// `sh` and `mh`: a server of weight 0 passes its clients on. Without it they are refused.
    pub const HASH_FALLBACK: Self = Self(0x8);
    /// `sh` and `mh`: the client's port is hashed, too.
    pub const HASH_PORT: Self = Self(0x10);
    /// Those that can be set from outside; the kernel shows others (`IP_VS_SVC_F_HASHED`).
    const SETTABLE: u32 = 0x1 | 0x4 | 0x8 | 0x10 | 0x20;

    /// From the kernel's bits; those that are its own business are dropped.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & Self::SETTABLE)
    }

    /// The kernel's bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What identifies a real server within its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// Its address.
    pub address: IpAddr,
    /// Its port; the service's unless masqueraded.
    pub port: u16,
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With a new destination address and port (`IP_VS_CONN_F_MASQ`).
    Masquerade,
    /// It is this host (`IP_VS_CONN_F_LOCALNODE`); the kernel finds that out for itself.
    Local,
    /// In an outer IP header (`IP_VS_CONN_F_TUNNEL`).
    Tunnel,
    /// With a new destination MAC (`IP_VS_CONN_F_DROUTE`).
    DirectRouting,
    /// Something else, by its number.
    Other(u32),
}

/// A real server's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// How packets reach it.
    pub method: Method,
    /// Its share of new connections; 0: none.
    pub weight: u32,
}

/// A virtual service and its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// How it behaves.
    pub settings: Settings,
    /// Who answers.
    pub destinations: BTreeMap<DestinationKey, Destination>,
}

/// All services.
pub type Table = BTreeMap<ServiceKey, Service>;

/// Counters since the entry was made, 64 bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; 0 where they do not come back through here.
    pub packets_out: u64,
    /// IP bytes from clients.
    pub bytes_in: u64,
    /// IP bytes to clients.
    pub bytes_out: u64,
    /// Packets from clients a second, as the kernel estimates them (over some seconds).
    pub packets_in_per_second: u64,
}

/// A real server as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenDestination {
    /// What was set.
    pub destination: Destination,
    /// Connections that are open.
    pub active: u32,
    /// Connections that are closing, or whose protocol has no state.
    pub inactive: u32,
    /// Clients that are remembered.
    pub persistent: u32,
    /// Counters.
    pub stats: Stats,
}

/// A service as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenService {
    /// What was set.
    pub settings: Settings,
    /// Counters.
    pub stats: Stats,
    /// Its real servers.
    pub destinations: BTreeMap<DestinationKey, SeenDestination>,
}

/// The kernel's table.
pub type Seen = BTreeMap<ServiceKey, SeenService>;

/// What was set of what is seen.
#[must_use]
pub fn without_counters(seen: &Seen) -> Table {
    let services = seen.iter().map(|(key, service)| {
        let destinations = service.destinations.iter();
        let service = Service {
            settings: service.settings.clone(),
            destinations: destinations
                .map(|(key, seen)| (*key, seen.destination))
                .collect(),
        };
        (*key, service)
    });
    services.collect()
}

/// One of the threads that copy connections to other balancers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncDaemon {
    /// What it does.
    pub role: SyncRole,
    /// Where it sends and receives.
    pub interface: String,
    /// Tells groups on one network apart, 0–255.
    pub id: u32,
}

/// What a sync daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncRole {
    /// Sends connections (`IP_VS_STATE_MASTER`).
    Send,
    /// Receives connections (`IP_VS_STATE_BACKUP`).
    Receive,
}

/// TCP's number.
pub const TCP: u16 = 6;
/// UDP's number.
pub const UDP: u16 = 17;
