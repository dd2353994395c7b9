//! Pure: the document of `ballast status --json`. Fields are added, never renamed or removed; a
//! change that is more than that gets another `schema_version`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

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
    /// The kernel's balancer; `null` while no service needs it.
    #[serde(default)]
    pub ipvs: Option<Ipvs>,
    /// Virtual routers, in the order of the file.
    #[serde(default)]
    pub vrrp: Vec<VirtualRouter>,
    /// Virtual routers that move together.
    #[serde(default)]
    pub sync_groups: Vec<SyncGroup>,
    /// Adverts for no virtual router of ours, by reason.
    #[serde(default)]
    pub vrrp_unclaimed: BTreeMap<String, u64>,
    /// Why adverts may be late on a busy machine; `null`: they have real-time priority.
    #[serde(default)]
    pub vrrp_scheduling: Option<String>,
    /// What virtual routers track outside of the network.
    #[serde(default)]
    pub trackers: Vec<Tracker>,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// Dropped packets of services, by reason; every reason is there.
    pub drops: BTreeMap<String, u64>,
    /// What keeps the data plane from following; tried again every second.
    pub problem: Option<String>,
    /// How the health checks keep up.
    #[serde(default)]
    pub checks: CheckLoad,
    /// The listener for `/metrics` and `/api/status`; `null`: none is configured.
    #[serde(default)]
    pub listener: Option<Listener>,
    /// Those who tell of changes.
    #[serde(default)]
    pub alerts: Vec<AlertWay>,
}

impl Snapshot {
    /// The document as it is printed, with a line feed at the end.
    ///
    /// # Errors
    /// None that is known: every value has a JSON form.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// How the health checks keep up, since the agent's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckLoad {
    /// Different checks.
    pub checks: usize,
    /// Attempts under way.
    pub running: usize,
    /// Attempts that have ended.
    pub ended: u64,
    /// How late all attempts that were started were, together.
    pub late_ms: u64,
    /// How many started how late; each in one of these only.
    pub lateness: Vec<Late>,
}

/// Attempts that started alike late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Less than this; `null`: more than all others.
    pub under_ms: Option<u64>,
    /// So many.
    pub attempts: u64,
}

/// The listener for `/metrics` and `/api/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Where it is to listen.
    pub listen: SocketAddr,
    /// Why it does not; tried again every second.
    pub problem: Option<String>,
}

/// One who tells of changes, and what became of it since the agent's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertWay {
    /// `smtp` or `command`.
    pub by: String,
    /// Messages that arrived.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Changes that no message has room for any more: they came too fast. The next message says how many.
    pub left_out: u64,
    /// Changes that wait for the next message.
    pub waiting: usize,
    /// Why the last attempt failed; `null`: it did not.
    pub problem: Option<String>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigState {
    /// Its file.
    pub file: String,
    /// The last time it was read.
    pub last_reload: Reload,
    /// Readings since the agent's start, which is none itself.
    #[serde(default)]
    pub reloads: Reloads,
}

/// Readings of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloads {
    /// Those taken over.
    pub ok: u64,
    /// Those not.
    pub failed: u64,
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
    /// Where flows are remembered.
    #[serde(default)]
    pub connection_table: ConnectionTable,
}

/// The connection table, as the last whole sweep found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTable {
    /// Flows in it.
    pub flows: u64,
    /// Clients that persistence keeps with their backend; each takes a place like a flow.
    pub clients: u64,
    /// Places for either.
    pub places: u64,
    /// Its size.
    pub bytes: u64,
    /// How old the figures are; `null` before the first sweep.
    pub age_seconds: Option<u64>,
}

/// The kernel's balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipvs {
    /// Why it serves what XDP usually would; `null`: it does not.
    pub instead_of_xdp: Option<String>,
    /// What keeps it from following; tried again every second.
    pub problem: Option<String>,
    /// Settings of the kernel that are not as they should be.
    pub notices: Vec<String>,
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

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualRouter {
    /// Its name.
    pub name: String,
    /// Where it speaks.
    pub interface: String,
    /// Its number.
    pub virtual_router_id: u8,
    /// `init`, `backup`, `master` or `fault`.
    pub state: String,
    /// Why it has that role.
    pub reason: String,
    /// Configured priority.
    pub priority: u8,
    /// After tracking.
    pub effective_priority: u8,
    /// What tracking does: each contribution, each fault, and what is waited for.
    pub reasons: Vec<String>,
    /// Where its adverts come from.
    pub source: Option<IpAddr>,
    /// Who is master, as far as it knows.
    pub master: Option<IpAddr>,
    /// The master's priority.
    pub master_priority: Option<u8>,
    /// Since the master's last advert, its own included.
    pub last_advert_age_ms: Option<u64>,
    /// Time between its adverts.
    pub advertisement_interval_ms: u64,
    /// What it holds as master.
    pub virtual_addresses: Vec<IpAddr>,
    /// What the peer says to hold, where that is something else.
    pub peer_virtual_addresses: Option<Vec<IpAddr>>,
    /// Changes of role since the agent's start, which is none itself.
    pub transitions: u64,
    /// The last of them, the start included.
    pub last_transition: Option<RoleChange>,
    /// What keeps addresses or routes from being as they should.
    pub problem: Option<String>,
    /// Adverts.
    pub counters: AdvertCounters,
}

/// A change of role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
    /// Why.
    pub reason: String,
    /// Unix time, milliseconds.
    pub at_unix_ms: u64,
}

/// Adverts since the agent's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvertCounters {
    /// Sent.
    pub sent: u64,
    /// Not sent, for an error.
    pub send_errors: u64,
    /// Listened to.
    pub received: u64,
    /// Those of them that said: I step down.
    pub released: u64,
    /// Version 3 over IPv4: how those received were summed.
    pub checksum_forms: BTreeMap<String, u64>,
    /// Ignored, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Bursts of gratuitous ARP or unsolicited neighbour advertisements.
    pub announcements: u64,
    /// Virtual addresses put back that somebody else had removed.
    pub restored: u64,
}

/// Virtual routers that move together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// The role of all.
    pub state: String,
    /// Its members.
    pub members: Vec<String>,
}

/// Something tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    /// What: `script NAME`, `process NAME`, `file PATH`.
    pub name: String,
    /// `unknown`, `good`, `bad`, `missing`, or a file's number.
    pub state: String,
    /// What was last seen.
    pub text: String,
    /// How long it has been so.
    pub for_seconds: u64,
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
    /// Who forwards for it: `xdp` or `ipvs`.
    #[serde(default)]
    pub engine: String,
    /// Why it is IPVS.
    #[serde(default)]
    pub engine_reason: Option<String>,
    /// Slots of its ring; 0 while it is not in the data plane, and with IPVS.
    pub ring_slots: u32,
    /// Slots that have moved lately: flows that are older than the move are looked after.
    #[serde(default)]
    pub moved_slots: u32,
    /// What became of its flows at the connection table.
    #[serde(default)]
    pub flows: ServiceFlows,
    /// What went through it.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Whether enough of it serves.
    #[serde(default)]
    pub quorum: Option<Quorum>,
    /// Who serves below quorum; `null`: there is nobody.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// In the order of the file.
    pub backends: Vec<Backend>,
}

/// Whether enough of a service serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Whether it does.
    pub up: bool,
    /// How long it has been so.
    pub for_seconds: u64,
    /// The weight that serves, or would but for the fallback.
    pub weight: u64,
    /// `quorum.up` of the file.
    pub needed: u32,
    /// `quorum.hysteresis` of the file.
    pub hysteresis: u32,
}

/// The server that serves below quorum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fallback {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether it serves.
    pub serves: bool,
    /// The station frames go to.
    pub next_hop: Option<NextHop>,
    /// What went to it.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// What the operator said about a backend at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// `enabled`, `drained` or `disabled`.
    pub mode: String,
    /// In place of the configured weight.
    pub weight: Option<u16>,
    /// Unix time, seconds.
    pub since_unix: u64,
    /// How long it has been so.
    pub for_seconds: u64,
}

/// Remembered flows of a service. The first three are of the last sweep, removed backends' included; the
/// others count since the maps were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFlows {
    /// Flows in the table.
    pub remembered: u64,
    /// Clients in the table.
    pub clients: u64,
    /// Flows among them that are with backends which are configured no more.
    pub with_removed: u64,
    /// Packets of remembered flows.
    pub hits: u64,
    /// Packets of others, where the table was asked.
    pub misses: u64,
    /// Flows that got a free place.
    pub inserts: u64,
    /// Flows that got the place of a weaker entry.
    pub evictions: u64,
    /// Flows not remembered because the budget of the second was spent.
    pub over_budget: u64,
    /// Flows not remembered because every place they may have was an established flow's.
    pub table_full: u64,
    /// Packets of unremembered flows that went to a slot's previous owner.
    pub to_previous: u64,
}

/// Remembered flows of a backend, as the last whole sweep found them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendFlows {
    /// Established.
    pub active: u32,
    /// Opening, or of which one packet was seen.
    pub new: u32,
    /// After a FIN or RST.
    pub closing: u32,
    /// Clients that persistence keeps with it.
    pub clients: u32,
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
    /// What the operator said at run time; `null`: nothing, or all was taken back.
    #[serde(default, rename = "override")]
    pub said: Option<Override>,
    /// How packets reach it.
    pub forwarding: String,
    /// Whether it gets packets.
    pub state: BackendState,
    /// Why it does not, or not all.
    pub reason: Option<String>,
    /// What its checks say; `null` where it has none.
    #[serde(default)]
    pub health: Option<Health>,
    /// The station frames go to.
    pub next_hop: Option<NextHop>,
    /// Bytes of IP that get to it, the outer header of a tunnel included; 0 while its next hop is not known.
    #[serde(default)]
    pub path_mtu: u32,
    /// Slots of the ring that it owns.
    pub slots: u32,
    /// Connections, where IPVS keeps them.
    #[serde(default)]
    pub connections: Option<Connections>,
    /// Its remembered flows. A service on a ring remembers those that a change would have moved.
    #[serde(default)]
    pub flows: BackendFlows,
    /// What went to it.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Connections that IPVS keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Open ones.
    pub active: u32,
    /// Those that are closing, and all of UDP.
    pub inactive: u32,
    /// Clients that are remembered.
    pub persistent: u32,
}

/// What the checks of a backend say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `up`, `down`, or `held` (it answers again, but fell too often lately).
    pub state: String,
    /// How long it has been so.
    pub for_seconds: u64,
    /// How the last attempt ended.
    pub last_result: Option<String>,
    /// How long that took.
    pub last_took_ms: Option<u64>,
    /// Good attempts in a row.
    pub good_in_a_row: u32,
    /// Bad attempts in a row.
    pub bad_in_a_row: u32,
    /// All attempts.
    #[serde(default)]
    pub attempts: Attempts,
}

/// Attempts of a check, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The backend answered as it should.
    pub good: u64,
    /// It did not.
    pub bad: u64,
    /// Something of ours failed.
    pub inconclusive: u64,
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
    /// No: it fails its checks, or was taken out.
    Down,
}

impl BackendState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Up,
        Self::Unresolved,
        Self::Local,
        Self::NoNewFlows,
        Self::Down,
    ];

    /// As in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unresolved => "unresolved",
            Self::Local => "local",
            Self::NoNewFlows => "no_new_flows",
            Self::Down => "down",
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
