//! Adverts as they are captured: who says so, where, and when.
//!
//! Read here once more, without Ballast's codec: what the tests believe must not come from what they test.

use std::{net::IpAddr, time::SystemTime};

use anyhow::Result;

use crate::{
    capture::{Capture, Captured},
    packet::{Frame, MacAddr},
    topology::Node,
};

/// One captured advert.
#[derive(Clone, Debug)]
pub struct Advert {
    /// When it was seen.
    pub at: SystemTime,
    /// Its source MAC.
    pub mac: MacAddr,
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Its version.
    pub version: u8,
    /// The virtual router it is about.
    pub id: u8,
    /// The sender's priority; 0: it steps down.
    pub priority: u8,
    /// How many addresses it lists.
    pub addresses: u8,
    /// Everything after the IP header.
    pub message: Vec<u8>,
}

impl Advert {
    fn read(captured: &Captured) -> Option<Self> {
        let frame = Frame::parse(&captured.bytes)?;
        let ip = frame.inner()?;
        let at = if ip.src.is_ipv4() {
            ETHERNET + usize::from(captured.bytes.get(ETHERNET)? & 0xf) * 4
        } else {
            ETHERNET + 40
        };
        // Short frames are padded; the IP header knows better.
        let end = ETHERNET + ip.length;
        let message = captured.bytes.get(at..end)?;
        let payload = message.get(..4)?;
        Some(Self {
            at: captured.at,
            mac: frame.src_mac,
            source: ip.src,
            destination: ip.dst,
            ttl: ip.ttl,
            version: payload[0] >> 4,
            id: payload[1],
            priority: payload[2],
            addresses: payload[3],
            message: message.to_vec(),
        })
    }
}

/// Whether a frame is an untagged VRRP packet, IPv4 or IPv6.
#[must_use]
pub fn is_advert(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(ETHERNET + 9) == Some(&VRRP),
        Some([0x86, 0xdd]) => frame.get(ETHERNET + 6) == Some(&VRRP),
        _ => false,
    }
}

/// Watches the adverts that one node sends, at its port of the switch.
#[derive(Debug)]
pub struct Adverts(Capture);

impl Adverts {
    /// Starts.
    ///
    /// # Errors
    /// When the port is gone.
    pub fn of(node: &Node) -> Result<Self> {
        let (switch, port) = node.port.tap();
        // What the host sends is what the switch's end receives; the other direction is filtered out below.
        Capture::start_for(switch, port, is_advert).map(Self)
    }

    /// Those that the node has sent so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Advert> {
        self.seen(false)
    }

    /// Those that the network brought to it so far.
    #[must_use]
    pub fn received(&self) -> Vec<Advert> {
        self.seen(true)
    }

    fn seen(&self, outgoing: bool) -> Vec<Advert> {
        self.0
            .frames()
            .iter()
            .filter(|frame| frame.outgoing == outgoing)
            .filter_map(Advert::read)
            .collect()
    }

    /// How many were seen so far, sent and received together: cheap, to wait for more.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

const ETHERNET: usize = 14;
/// The protocol number (RFC 9568, 5.1.1.4).
const VRRP: u8 = 112;

#[cfg(test)]
mod tests;
