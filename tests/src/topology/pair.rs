//! Two balancers on one network.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::{Network, Node, named::plug_in};
use crate::lab::Lab;

/// The balancers' addresses.
pub const LBS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)];
/// The same for IPv6.
pub const LBS6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3),
];

/// One network `10.0.0.0/24`, `fd00::/64`: a client (.44), two balancers (.2 and .3) of which neither
/// has the virtual addresses yet, and web servers (.101, .102, …). Each is a host of its own on a
/// cable of its own.
#[derive(Debug)]
pub struct VrrpPair {
    /// The switch.
    pub network: Network,
    /// Sends requests.
    pub client: Node,
    /// `lb1`, `lb2`.
    pub lbs: [Node; 2],
    /// `web1`, `web2`, …
    pub webs: Vec<Node>,
}

/// Makes [`VrrpPair`] with `webs` web servers.
///
/// # Errors
/// When a host or cable cannot be made.
pub fn vrrp_pair(lab: &Lab, webs: usize) -> Result<VrrpPair> {
    let network = Network::new(lab, "switch")?;
    let client = plug_in(&network, lab.host("client")?, "eth0", 0, 44)?;
    let lbs = [balancer(lab, &network, 0)?, balancer(lab, &network, 1)?];
    let webs = (1..=u16::try_from(webs)?)
        .map(|n| plug_in(&network, lab.host(&format!("web{n}"))?, "eth0", 0, 100 + n))
        .collect::<Result<_>>()?;
    Ok(VrrpPair {
        network,
        client,
        lbs,
        webs,
    })
}

impl VrrpPair {
    /// Power off: the carrier goes first, then every process at once, then the interface with the
    /// XDP program on it. Nothing of the balancer can speak or forward after the first of these.
    ///
    /// # Errors
    /// When it does not die.
    pub fn power_off(&self, index: usize) -> Result<()> {
        let Node { host, port, .. } = &self.lbs[index];
        port.cut()?;
        host.kill_power()?;
        port.unplug()
    }

    /// Another machine in the place of one that was powered off: same name, MAC and addresses,
    /// nothing running.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn power_on(&mut self, lab: &Lab, index: usize) -> Result<()> {
        self.lbs[index] = balancer(lab, &self.network, index)?;
        Ok(())
    }
}

fn balancer(lab: &Lab, network: &Network, index: usize) -> Result<Node> {
    let host = lab.host(&format!("lb{}", index + 1))?;
    plug_in(network, host, "eth0", 0, u16::try_from(index)? + 2)
}
