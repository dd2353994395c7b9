//! Packets for the virtual address that reach a balancer, whoever should have them.

use anyhow::Result;

use super::Pair;
use crate::{
    capture::Capture,
    gap::ECHO_PORT,
    packet,
    topology::{Node, VIP},
    vrrp::forged::send,
};

impl Pair<'_> {
    /// Sends a packet of a client's for the echo service from `from` to the MAC of a balancer.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn send_stray(&self, from: &Node, index: usize) -> Result<()> {
        let frame = packet::eth()
            .src_mac(from.port.mac())
            .dst_mac(self.net.lbs[index].port.mac())
            .ipv4(self.net.client.v4, VIP)
            .udp(STRAY_PORT, ECHO_PORT)
            .payload(b"stray")
            .build();
        send(&from.host, &frame)
    }

    /// Watches a balancer for [`forwarded`](Strays::forwarded) packets.
    ///
    /// # Errors
    /// When it has no power.
    pub fn watch_strays(&self, index: usize) -> Result<Strays> {
        let (switch, port) = self.net.lbs[index].port.tap();
        Capture::start_for(switch, port, is_stray).map(Strays)
    }
}

/// See [`Pair::watch_strays`].
#[derive(Debug)]
pub struct Strays(Capture);

impl Strays {
    /// How many the balancer has sent on so far, to whomever.
    #[must_use]
    pub fn forwarded(&self) -> usize {
        let frames = self.0.frames();
        frames.iter().filter(|frame| !frame.outgoing).count()
    }

    /// How many have come to it so far.
    #[must_use]
    pub fn arrived(&self) -> usize {
        let frames = self.0.frames();
        frames.iter().filter(|frame| frame.outgoing).count()
    }
}

/// Ours by its source port, tunnelled or not.
fn is_stray(frame: &[u8]) -> bool {
    packet::Frame::parse(frame).is_some_and(|frame| frame.ports == Some((STRAY_PORT, ECHO_PORT)))
}

const STRAY_PORT: u16 = 4242;
