//! The networks that several tests share.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Network, Nic, Port};
use crate::{lab::Lab, netns::Host};

/// The virtual address of the labs, in the front network.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 125);
/// The same for IPv6.
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x125);

/// A host with one cable and its addresses on that network.
#[derive(Clone, Debug)]
pub struct Node {
    /// The machine.
    pub host: Host,
    /// Its cable.
    pub port: Port,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

/// One network `10.0.0.0/24`, `fd00::/64`: a client (.44), a balancer (.2) that has the virtual
/// addresses on `eth0`, and web servers (.101, .102, …).
#[derive(Debug)]
pub struct OneLb {
    /// The switch.
    pub network: Network,
    /// Sends requests.
    pub client: Node,
    /// Runs the agent.
    pub lb: Node,
    /// `web1`, `web2`, …
    pub webs: Vec<Node>,
}

/// Makes [`OneLb`] with `webs` web servers.
///
/// # Errors
/// When a host or cable cannot be made.
pub fn one_lb(lab: &Lab, webs: usize) -> Result<OneLb> {
    let network = Network::new(lab, "switch")?;
    let node = |name: &str, number| plug_in(&network, lab.host(name)?, "eth0", 0, number);
    let client = node("client", 44)?;
    let lb = node("lb1", 2)?;
    let webs = (1..=webs)
        .map(|n| node(&format!("web{n}"), 100 + u16::try_from(n)?))
        .collect::<Result<_>>()?;
    own_vips(&lb.host)?;
    Ok(OneLb {
        network,
        client,
        lb,
        webs,
    })
}

/// Two networks, `10.0.0.0/24` in front and `10.1.0.0/24` (`fd00:0:0:1::/64`) behind; the balancer has
/// `eth0` in front and `eth1` behind. Web servers have `eth0` behind, where the balancer reaches
/// them, and `eth1` in front, where their replies go straight to the client.
#[derive(Debug)]
pub struct TwoNetworks {
    /// The front switch.
    pub front: Network,
    /// The back switch.
    pub back: Network,
    /// Sends requests from the front network.
    pub client: Node,
    /// The balancer's front side.
    pub lb: Node,
    /// The balancer's back side (the same host).
    pub lb_back: Node,
    /// The web servers' back side.
    pub webs: Vec<Node>,
    /// The web servers' front side (the same hosts).
    pub webs_front: Vec<Node>,
}

/// Makes [`TwoNetworks`] with `webs` web servers.
///
/// # Errors
/// When a host or cable cannot be made.
pub fn two_networks(lab: &Lab, webs: usize) -> Result<TwoNetworks> {
    let front = Network::new(lab, "front")?;
    let back = Network::new(lab, "back")?;
    let client = plug_in(&front, lab.host("client")?, "eth0", 0, 44)?;
    let lb = plug_in(&front, lab.host("lb1")?, "eth0", 0, 2)?;
    let lb_back = plug_in(&back, lb.host.clone(), "eth1", 1, 2)?;
    own_vips(&lb.host)?;
    let mut two = TwoNetworks {
        front,
        back,
        client,
        lb,
        lb_back,
        webs: Vec::new(),
        webs_front: Vec::new(),
    };
    for n in 1..=u16::try_from(webs)? {
        let web = plug_in(&two.back, lab.host(&format!("web{n}"))?, "eth0", 1, 100 + n)?;
        let web_front = plug_in(&two.front, web.host.clone(), "eth1", 0, 100 + n)?;
        two.webs.push(web);
        two.webs_front.push(web_front);
    }
    Ok(two)
}

/// Plugs `host` into `network`, as number `number` of subnet `subnet`: 10.SUBNET.0.NUMBER and
/// fd00:0:0:SUBNET::NUMBER, where the digits of the decimal number are the hexadecimal ones.
pub(super) fn plug_in(
    network: &Network,
    host: Host,
    device: &str,
    subnet: u8,
    number: u16,
) -> Result<Node> {
    let v4 = Ipv4Addr::new(10, subnet, 0, u8::try_from(number)?);
    let tail = u16::from_str_radix(&number.to_string(), 16)?;
    let v6 = Ipv6Addr::new(0xfd00, 0, 0, subnet.into(), 0, 0, 0, tail);
    let nic = Nic::new(device)
        .address(IpNet::from(Ipv4Net::new(v4, 24)?))
        .address(IpNet::from(Ipv6Net::new(v6, 64)?));
    let port = network.connect(&host, &nic)?;
    Ok(Node { host, port, v4, v6 })
}

/// The virtual addresses on the balancer: someone has to answer ARP for them.
fn own_vips(lb: &Host) -> Result<()> {
    lb.sh(&format!("ip address add {VIP}/32 dev eth0"))?;
    // Deprecated (RFC 4862), or the kernel would take it as the source of the balancer's own packets.
    lb.sh(&format!(
        "ip address add {VIP6}/128 dev eth0 nodad preferred_lft 0"
    ))?;
    Ok(())
}
