//! Gratuitous ARP and unsolicited neighbour advertisements, as they are captured.
//!
//! Read here once more, without Ballast's code, and strictly: what a switch or a host may overlook is none.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime},
};

use anyhow::Result;

use crate::{
    capture::{Capture, Captured},
    packet::{Frame, MacAddr},
    topology::Node,
};

/// One captured announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// When it was seen.
    pub at: SystemTime,
    /// What is announced.
    pub address: IpAddr,
    /// Where it is: the same in the frame's header and inside.
    pub mac: MacAddr,
}

/// Announcements of one address that came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// When the first was seen.
    pub start: SystemTime,
    /// How many they are.
    pub count: usize,
}

/// Watches the announcements that one node sends, at its port of the switch.
#[derive(Debug)]
pub struct Announcements(Capture);

impl Announcements {
    /// Starts.
    ///
    /// # Errors
    /// When the port is gone.
    pub fn of(node: &Node) -> Result<Self> {
        let (switch, port) = node.port.tap();
        Capture::start_for(switch, port, |frame| address(frame).is_some()).map(Self)
    }

    /// Those that the node has sent so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Announcement> {
        let frames = self.0.frames().into_iter();
        let sent = frames.filter(|frame| !frame.outgoing);
        sent.filter_map(|frame| Announcement::read(&frame))
            .collect()
    }

    /// The bursts of one address so far: what comes less than `apart` later belongs to the same.
    #[must_use]
    pub fn bursts(&self, address: IpAddr, apart: Duration) -> Vec<Burst> {
        let mut bursts: Vec<Burst> = Vec::new();
        let mut latest = None;
        for Announcement { at, .. } in self.sent().into_iter().filter(|a| a.address == address) {
            let since = latest.and_then(|latest| at.duration_since(latest).ok());
            match bursts.last_mut() {
                Some(burst) if since.is_none_or(|since| since < apart) => burst.count += 1,
                _ => bursts.push(Burst {
                    start: at,
                    count: 1,
                }),
            }
            latest = Some(at);
        }
        bursts
    }
}

impl Announcement {
    fn read(captured: &Captured) -> Option<Self> {
        Some(Self {
            at: captured.at,
            address: address(&captured.bytes)?,
            mac: captured.bytes.get(6..12)?.try_into().ok()?,
        })
    }
}

/// What a frame announces; `None`: it is no announcement, or not one that everybody believes.
fn address(frame: &[u8]) -> Option<IpAddr> {
    match frame.get(12..14)? {
        [0x08, 0x06] => gratuitous_arp(frame).map(IpAddr::V4),
        [0x86, 0xdd] => unsolicited_advertisement(frame).map(IpAddr::V6),
        _ => None,
    }
}

/// RFC 5227, section 3: a request, by broadcast, in which sender and target are one.
fn gratuitous_arp(frame: &[u8]) -> Option<Ipv4Addr> {
    let arp = frame.get(14..42)?;
    // Ethernet, IPv4, their lengths, request.
    let request = arp[..8] == [0, 1, 8, 0, 6, 4, 0, 1];
    let everybody = frame[..6] == [0xff; 6];
    let one_mac = arp[8..14] == frame[6..12];
    let one_address = arp[14..18] == arp[24..28];
    let sender: [u8; 4] = arp[14..18].try_into().ok()?;
    (request && everybody && one_mac && one_address).then(|| sender.into())
}

/// RFC 4861, section 7.2.6: to all nodes, not solicited, overriding, with the sender's MAC.
fn unsolicited_advertisement(frame: &[u8]) -> Option<Ipv6Addr> {
    let parsed = Frame::parse(frame)?;
    let ip = parsed.inner()?;
    let all_nodes: IpAddr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into();
    let body = frame.get(54..86)?;
    let advertisement = ip.protocol == 58 && body[..2] == [136, 0] && ip.ttl == 255;
    let everybody = ip.dst == all_nodes && frame[..6] == [0x33, 0x33, 0, 0, 0, 1];
    // Router, solicited, override.
    let flags = body[4] & 0x60 == 0x20;
    let one_mac = body[24..26] == [2, 1] && body[26..32] == frame[6..12];
    let target: [u8; 16] = body[8..24].try_into().ok()?;
    let good =
        advertisement && everybody && flags && one_mac && parsed.l4_checksum_ok == Some(true);
    good.then(|| target.into())
}

#[cfg(test)]
mod tests;
