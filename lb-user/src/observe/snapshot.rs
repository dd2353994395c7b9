//! Pure: the document of `ballast status --json`. Fields are added, never renamed or removed; a
//! change that is more than that gets another `schema_version`.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

/// [`Snapshot::schema_version`] of this build.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything there is to see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// The agent's version.
    pub version: String,
    /// This node's name.
    pub router_id: String,
    /// The agent's process.
    pub pid: u32,
    /// Since the agent's start.
    pub uptime_seconds: u64,
    /// The configuration in force.
    pub config: ConfigState,
    /// The data plane; `null` while no service needs it.
    pub datapath: Option<Datapath>,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// Dropped packets of services, by reason; every reason is there.
    pub drops: BTreeMap<String, u64>,
    /// What keeps the data plane from following; tried again every second.
    pub problem: Option<String>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigState {
    /// Its file.
    pub file: String,
    /// The last time it was read.
    pub last_reload: Reload,
}

/// How a reading of the configuration ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Whether it was taken over.
    pub ok: bool,
    /// Why not; one line a mistake.
    pub error: Option<String>,
    /// Unix time, seconds.
    pub at_unix: u64,
}

/// The data plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datapath {
    /// Where XDP is attached.
    pub interfaces: Vec<Interface>,
    /// Version of the maps' layout.
    pub layout: u32,
    /// The kernel's id of the program.
    pub program_id: Option<u32>,
    /// Whether the build that logs packets is loaded.
    pub trace: bool,
    /// The last change of the maps.
    #[serde(default)]
    pub last_change: Option<LastChange>,
    /// Memory of rings and tables.
    pub ring_memory: Memory,
}

/// A change of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// Steps that it took.
    pub operations: usize,
    /// From knowing what is wanted to the last map written.
    pub microseconds: u64,
}

/// An interface with XDP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// `native` or `generic`; `null` where the kernel does not tell.
    pub mode: Option<String>,
    /// Why it has that mode, where there is something to say.
    pub reason: Option<String>,
}

/// Memory, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In use.
    pub used: u64,
    /// In all.
    pub total: u64,
}

/// Counters since the maps were made; they outlive the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets forwarded.
    pub packets: u64,
    /// Their IP lengths.
    pub bytes: u64,
    /// TCP connections opened.
    pub new_flows: u64,
    /// Over the last second.
    pub packets_per_second: f64,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// How packets reach backends that say nothing else.
    pub forwarding: String,
    /// Who gets a new flow.
    pub scheduler: String,
    /// Slots of its ring; 0 while it is not in the data plane.
    pub ring_slots: u32,
    /// What went through it.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// In the order of the file.
    pub backends: Vec<Backend>,
}

/// A backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Configured weight.
    pub weight: u16,
    /// How packets reach it.
    pub forwarding: String,
    /// Whether it gets packets.
    pub state: BackendState,
    /// Why it does not, or not all.
    pub reason: Option<String>,
    /// The station frames go to.
    pub next_hop: Option<NextHop>,
    /// Slots of the ring that it owns.
    pub slots: u32,
    /// What went to it.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Whether a backend gets packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendState {
    /// It does.
    Up,
    /// No: the way to it is not known.
    Unresolved,
    /// It does, and it is this host.
    Local,
    /// Only those of present flows.
    NoNewFlows,
}

impl BackendState {
    /// As in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unresolved => "unresolved",
            Self::Local => "local",
            Self::NoNewFlows => "no_new_flows",
        }
    }
}

/// The station that a backend's frames go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Its Ethernet address.
    pub mac: String,
    /// Output interface.
    pub interface: String,
}
