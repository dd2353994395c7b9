//! Networks: switches (a bridge in a host of its own) and the cables to them.
//!
//! Each cable is a veth pair: `eth0` in the host, a port named after the host at the switch. What
//! veth and XDP want is done here: no checksum or segmentation offload on the sending end, and an
//! XDP program on the switch's end, without which `XDP_TX` and redirect deliver nothing.

mod named;
mod pair;

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::OwnedFd,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use nix::net::if_::if_nametoindex;

use crate::{
    lab::Lab,
    netns::{Host, Inside},
    packet::MacAddr,
    require, sys,
    wait::wait_for,
};

pub use named::{Node, OneLb, TwoNetworks, VIP, VIP6, one_lb, two_networks};
pub use pair::{LBS, LBS6, VrrpPair, vrrp_pair};

/// A layer-2 network: one switch.
#[derive(Clone, Debug)]
pub struct Network {
    switch: Host,
    /// The XDP programs on the ports live as long as these.
    links: Arc<Mutex<Vec<OwnedFd>>>,
}

/// How a host is plugged in.
#[derive(Clone, Debug)]
#[must_use]
pub struct Nic {
    device: String,
    mac: Option<MacAddr>,
    addresses: Vec<IpNet>,
    mtu: u32,
}

impl Nic {
    /// A network interface called `device`, MTU 1500, no address.
    pub fn new(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            mac: None,
            addresses: Vec::new(),
            mtu: 1500,
        }
    }

    /// Adds an address, e.g. `10.0.0.1/24`.
    pub fn address(mut self, address: impl Into<IpNet>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Its MAC (default: made from the first IPv4 address, so that captures are easy to read).
    pub fn mac(mut self, mac: MacAddr) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Its MTU and that of the switch's port; at most 3506 for native XDP.
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    fn mac_or_default(&self) -> MacAddr {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let first = self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        self.mac
            .unwrap_or_else(|| match first.as_ref().map(Ipv4Addr::octets) {
                Some([a, b, c, d]) => [2, 0, a, b, c, d],
                None => {
                    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                    [2, 1, 0, 0, high, low]
                }
            })
    }
}

impl Network {
    /// A switch without ports, in a host called `name`.
    ///
    /// # Errors
    /// When the host or its bridge cannot be made.
    pub fn new(lab: &Lab, name: &str) -> Result<Self> {
        let switch = lab.host(name)?;
        // No multicast snooping: VRRP and neighbour discovery reach everybody, as on a plain switch.
        switch.sh("ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        switch.sh("ip link set br0 up")?;
        Ok(Self {
            switch,
            links: Arc::default(),
        })
    }

    /// The switch, whose ports see every frame: XDP on a host hides frames from captures there.
    #[must_use]
    pub fn switch(&self) -> &Host {
        &self.switch
    }

    /// Plugs a host in and configures its interface.
    ///
    /// # Errors
    /// When one of the steps is refused.
    pub fn connect(&self, host: &Host, nic: &Nic) -> Result<Port> {
        let mac = nic.mac_or_default();
        let port = Port {
            switch: self.switch.clone(),
            name: host.name().to_owned(),
            host: host.clone(),
            device: nic.device.clone(),
            mac,
        };
        self.cable(host, nic, &port.name)
            .with_context(|| format!("cannot plug {} into {}", host.name(), self.switch.name()))?;
        port.set_mac(mac)?;
        // Senders on veth leave checksums and segmentation to hardware that is not there.
        let device = &nic.device;
        host.sh(&format!(
            "ethtool -K {device} tx off tso off gso off gro off"
        ))?;
        for address in &nic.addresses {
            let nodad = if address.addr().is_ipv6() {
                " nodad"
            } else {
                ""
            };
            host.sh(&format!("ip address add {address} dev {device}{nodad}"))?;
        }
        Ok(port)
    }

    fn cable(&self, host: &Host, nic: &Nic, port: &str) -> Result<()> {
        let Nic { device, mtu, .. } = nic;
        let pid = host.pid();
        let add =
            format!("link add {port} mtu {mtu} type veth peer name {device} mtu {mtu} netns {pid}");
        // Inside the switch's network only, where the host's pid means what it means to us.
        let output = self.switch.run_in(Inside::Network, || {
            Ok(Command::new("ip")
                .args(add.split(' '))
                .env("PATH", require::search_path())
                .output()?)
        })?;
        ensure!(
            output.status.success(),
            "ip {add}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        host.sh(&format!("ip link set {device} up"))?;
        self.switch
            .sh(&format!("ip link set {port} master br0 up"))?;
        self.switch
            .sh(&format!("ethtool -K {port} tx off tso off gso off gro off"))?;
        let link = self.switch.run(|| attach_xdp_pass(port))?;
        self.links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(link);
        // Carrier events are handled in batches, up to a second later.
        wait_for(
            &format!("the cable of {port}"),
            Duration::from_secs(10),
            || {
                let forwarding = self
                    .switch
                    .read(format!("/sys/class/net/{port}/brport/state"))?;
                let state = host.read(format!("/sys/class/net/{device}/operstate"))?;
                ensure!(
                    forwarding.trim() == "3" && state.trim() == "up",
                    "{device} is {state}"
                );
                Ok(())
            },
        )?;
        Ok(())
    }
}

/// One cable: a host's interface and its port at the switch.
#[derive(Clone, Debug)]
pub struct Port {
    switch: Host,
    name: String,
    host: Host,
    device: String,
    mac: MacAddr,
}

impl Port {
    /// The MAC it was plugged in with, or got by [`Port::change_mac`].
    #[must_use]
    pub fn mac(&self) -> MacAddr {
        self.mac
    }

    /// The switch and the name of the port there: the place to capture.
    #[must_use]
    pub fn tap(&self) -> (&Host, &str) {
        (&self.switch, &self.name)
    }

    /// Pulls the cable: the host loses its carrier, the network loses the host.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn cut(&self) -> Result<()> {
        self.switch.run(|| Ok(sys::set_link_down(&self.name)?))
    }

    /// Keeps frames between isolated ports from each other; all others hear and reach both. A partition
    /// in which nobody loses the carrier.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn isolate(&self, isolated: bool) -> Result<()> {
        let state = if isolated { "on" } else { "off" };
        let set = format!(
            "ip link set {} type bridge_slave isolated {state}",
            self.name
        );
        self.switch.sh(&set).map(drop)
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn mend(&self) -> Result<()> {
        self.switch
            .sh(&format!("ip link set {} up", self.name))
            .map(drop)
    }

    /// Takes the cable away with both its ends: what is attached to the host's interface is gone.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn unplug(&self) -> Result<()> {
        self.switch
            .sh(&format!("ip link del {}", self.name))
            .map(drop)
    }

    /// Gives the host's interface another MAC, as a replaced card does: nobody is told.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn change_mac(&mut self, mac: MacAddr) -> Result<()> {
        self.set_mac(mac)?;
        self.mac = mac;
        Ok(())
    }

    fn set_mac(&self, mac: MacAddr) -> Result<()> {
        let text = mac_text(mac);
        self.host
            .sh(&format!("ip link set {} address {text}", self.device))
            .map(drop)
    }
}

/// Attaches a program called `lab_pass`, which passes every frame, natively to `device` of the calling
/// thread's network; it stays until the returned link is closed.
///
/// # Errors
/// When there is no such device, or it has a program.
pub fn attach_xdp_pass(device: &str) -> Result<OwnedFd> {
    Ok(sys::attach_xdp_pass(if_nametoindex(device)?)?)
}

/// `02:00:0a:00:00:02`.
#[must_use]
pub fn mac_text(mac: MacAddr) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// An address as a network of its own: `/32` or `/128`.
#[must_use]
pub fn host_prefix(address: IpAddr) -> IpNet {
    IpNet::from(address)
}
