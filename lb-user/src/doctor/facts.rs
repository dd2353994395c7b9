//! What was seen of a host. Plain data: no judgement is made here, and nobody is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use super::firewall::Ruleset;
use crate::ipvs::sysctl::Wanted;
pub use crate::net::knock::Answer;
use crate::{
    config::model::{Family, Forwarding, Protocol},
    net::{XdpPlace, neighbour::NeighbourKey, nexthop::Tables},
    types::{IfName, Mac},
    vrrp::wire::{Advert, AdvertError},
};

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen(pub String);

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fact, or why it is none.
pub type Seen<T> = Result<T, Unseen>;

/// Everything that the checks look at.
#[derive(Debug)]
pub struct Facts {
    /// The machine and what runs on it.
    pub host: Host,
    /// What rtnetlink says.
    pub network: Seen<Tables>,
    /// The interfaces that the configuration names, those there are.
    pub devices: BTreeMap<IfName, Device>,
    /// Who answered for the next hops to the backends.
    pub stations: BTreeMap<NeighbourKey, Seen<BTreeSet<Mac>>>,
    /// Who, other than this host, answered for the virtual addresses.
    pub claims: Vec<Claim>,
    /// What the real servers said through the data path.
    pub servers: Vec<Server>,
    /// Adverts heard, by interface and family.
    pub heard: BTreeMap<(IfName, Family), Seen<Vec<Heard>>>,
    /// The packet filter.
    pub firewall: Firewall,
}

/// The machine and what runs on it.
#[derive(Clone, Debug)]
pub struct Host {
    /// Those an agent needs and this process lacks.
    pub missing_capabilities: Vec<&'static str>,
    /// Major and minor number of the kernel.
    pub kernel: Seen<(u32, u32)>,
    /// How much memory may be locked, in bytes; `None`: any.
    pub locked_memory: Seen<Option<u64>>,
    /// Where maps are to be pinned.
    pub bpffs: Bpffs,
    /// Whether the kernel holds its clock for synchronised.
    pub clock_synchronised: Seen<bool>,
    /// Connections tracked and the limit; `None`: they are not tracked.
    pub conntrack: Option<(u64, u64)>,
    /// Process ids of keepalived in this network namespace.
    pub keepalived: Seen<Vec<u32>>,
    /// Process ids of agents in this network namespace, but for that of this configuration.
    pub agents: Seen<Vec<u32>>,
    /// Programs of the configuration that may not be run: where, and why.
    pub unfit: Vec<(String, String)>,
    /// `net.ipv4.ip_forward`, `net.ipv6.conf.all.forwarding`.
    pub forwards: [Seen<bool>; 2],
    /// Whether IPVS is in the kernel or can be loaded.
    pub ipvs: Seen<bool>,
    /// Settings of IPVS that its services want otherwise, and what they are; none while it is not loaded.
    pub ipvs_settings: Vec<(Wanted, String)>,
    /// Whether there is a program `nft`.
    pub nft: bool,
    /// Gateways of the host's default routes, of each family; `None` for one without gateway.
    pub default_routes: [Seen<Vec<Option<IpAddr>>>; 2],
}

/// What is at `bpffs_dir`, or at the nearest directory above that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bpffs {
    /// Fine.
    Writable,
    /// Something else than a BPF file system.
    NotBpffs(PathBuf),
    /// A BPF file system that is read-only, or not ours to write to.
    ReadOnly(PathBuf),
}

/// One interface, beyond what is in the tables.
#[derive(Clone, Debug)]
pub struct Device {
    /// Multicast works on it (`IFF_MULTICAST`).
    pub multicast: Seen<bool>,
    /// The driver of the hardware, where there is any.
    pub driver: Option<String>,
    /// What is switched on in it.
    pub offloads: Seen<Offloads>,
    /// What its driver can do (`NETDEV_XDP_ACT_…`).
    pub xdp_features: Seen<u64>,
    /// The XDP program on it.
    pub xdp: Seen<Option<XdpProgram>>,
    /// On the other end of a veth, where that is in this namespace: whether it runs a program.
    pub peer_xdp: Option<bool>,
    /// The stronger of the host's and the interface's `rp_filter`.
    pub rp_filter: Seen<u8>,
    /// A daemon that configures it.
    pub manager: Option<Manager>,
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Where it runs.
    pub place: XdpPlace,
    /// The kernel's number and the program's name, where known.
    pub name: String,
    /// It is there by a link that an agent pinned.
    pub ours: bool,
}

/// Features of an interface that are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// `rx-lro`
    pub lro: bool,
    /// `rx-gro-hw`
    pub gro_hw: bool,
    /// `tx-checksum-…`
    pub tx_checksum: bool,
}

/// A daemon that holds an interface for its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name.
    pub name: &'static str,
    /// Where that was seen.
    pub evidence: String,
}

/// One of the addresses that only balancers may claim, on one interface.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The address.
    pub address: IpAddr,
    /// Where it was asked for.
    pub interface: IfName,
    /// This host has it.
    pub ours: bool,
    /// Who else said to have it.
    pub holders: Seen<BTreeSet<Mac>>,
}

/// One real server, asked the way packets reach it.
#[derive(Clone, Debug)]
pub struct Server {
    /// The service's name.
    pub service: String,
    /// Its address and port.
    pub vip: SocketAddr,
    /// Its protocol; the question is TCP's always.
    pub protocol: Protocol,
    /// The backend's name.
    pub backend: String,
    /// Its own address.
    pub address: IpAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// What it said to a SYN for the service's address.
    pub at_vip: Seen<Answer>,
    /// What it said to a SYN for its own.
    pub at_own: Seen<Answer>,
}

/// One packet of protocol 112.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who sent it.
    pub source: IpAddr,
    /// The time to live left.
    pub ttl: u8,
    /// What it says.
    pub advert: Result<Advert, AdvertError>,
}

/// Rules that packets of this host meet.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    /// Those that were read.
    pub rules: Ruleset,
    /// Why some were not.
    pub unseen: Vec<Unseen>,
}
