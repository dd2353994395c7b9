//! The `datapath` section.

use std::net::IpAddr;

use ipnet::IpNet;

use super::words::words;
use crate::types::IfName;

/// How packets are forwarded, all services together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datapath {
    /// Where client traffic arrives, each once; empty only if there are no services.
    pub interfaces: Vec<IfName>,
    /// Which engine forwards.
    pub engine: Engine,
    /// How XDP is attached.
    pub xdp_mode: XdpMode,
    /// Flows remembered, all services together.
    pub connection_table_size: u32,
    /// Memory of all rings together, in bytes.
    pub ring_memory: u64,
    /// What keys the flow hash, the same on all balancers; `None`: derived from the service.
    pub hash_key: Option<String>,
    /// Outer source address of tunnels; `None`: the address of the route to the backend. Backends of the other family get that too.
    pub tunnel_source: Option<TunnelSource>,
    /// Whether the agent sets the sysctls that IPVS and forwarding need, and restores them when it stops.
    pub manage_sysctls: bool,
}

/// The outer source address of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelSource {
    /// One address for every flow.
    Address(IpAddr),
    /// An address of this network by the flow's hash, which spreads flows over the receive queues of real servers.
    Prefix(IpNet),
}

impl TunnelSource {
    /// The source as a network: a single address is one of full length.
    #[must_use]
    pub fn network(self) -> IpNet {
        match self {
            Self::Address(address) => IpNet::from(address),
            Self::Prefix(network) => network,
        }
    }
}

words! {
    /// Which engine forwards.
    Engine {
        /// XDP for direct routing and tunnel, IPVS for nat, IPVS for all where XDP cannot be had.
        Auto = "auto",
        /// XDP only.
        Xdp = "xdp",
        /// IPVS only.
        Ipvs = "ipvs",
    }

    /// How XDP is attached.
    XdpMode {
        /// In the driver where it can, else in the stack.
        Auto = "auto",
        /// In the driver, or not at all.
        Native = "native",
        /// In the stack.
        Generic = "generic",
    }
}
