//! Reads a captured frame as far as tests ask: MACs, VLAN tags, IP headers from the outside in, ports, payload.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::MacAddr;

/// One IP header of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The protocol after this header and its extension headers.
    pub protocol: u8,
    /// Length of the packet from this header on, as the header says.
    pub length: usize,
}

/// A parsed frame. What cannot be read is left out, so a malformed frame has fewer parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Destination MAC.
    pub dst_mac: MacAddr,
    /// Source MAC.
    pub src_mac: MacAddr,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// Ethertype after the tags.
    pub ethertype: u16,
    /// IP headers, outermost first; two of them in a tunnelled packet.
    pub ip: Vec<Ip>,
    /// TCP or UDP ports (source, destination).
    pub ports: Option<(u16, u16)>,
    /// TCP flags.
    pub tcp_flags: Option<u8>,
    /// Whether the TCP, UDP or ICMP checksum is right; `None` for other protocols and fragments.
    pub l4_checksum_ok: Option<bool>,
    /// What follows the TCP, UDP or ICMP header (8 bytes for ICMP).
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads `bytes`; `None` when even the Ethernet header is cut.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut frame = Self {
            dst_mac: bytes.get(0..6)?.try_into().ok()?,
            src_mac: bytes.get(6..12)?.try_into().ok()?,
            vlans: Vec::new(),
            ethertype: be16(bytes, 12)?,
            ip: Vec::new(),
            ports: None,
            tcp_flags: None,
            l4_checksum_ok: None,
            payload: Vec::new(),
        };
        let mut rest = bytes.get(14..)?;
        while matches!(frame.ethertype, 0x8100 | 0x88a8) {
            frame.vlans.push(be16(rest, 0)? & 0xfff);
            frame.ethertype = be16(rest, 2)?;
            rest = rest.get(4..)?;
        }
        let family = match frame.ethertype {
            0x0800 => 4,
            0x86dd => 41,
            _ => return Some(frame),
        };
        frame.read_ip(family, rest);
        Some(frame)
    }

    /// The innermost IP header.
    #[must_use]
    pub fn inner(&self) -> Option<&Ip> {
        self.ip.last()
    }

    fn read_ip(&mut self, family: u8, bytes: &[u8]) -> Option<()> {
        let (ip, body, is_fragment) = if family == 4 {
            ipv4(bytes)?
        } else {
            ipv6(bytes)?
        };
        let protocol = ip.protocol;
        let (src, dst) = (ip.src, ip.dst);
        self.ip.push(ip);
        match protocol {
            4 | 41 => return self.read_ip(protocol, body),
            6 => {
                self.ports = Some((be16(body, 0)?, be16(body, 2)?));
                self.tcp_flags = body.get(13).copied();
                let header = usize::from(*body.get(12)? >> 4) * 4;
                self.payload = body.get(header..)?.to_vec();
            }
            17 => {
                self.ports = Some((be16(body, 0)?, be16(body, 2)?));
                self.payload = body.get(8..)?.to_vec();
            }
            1 | 58 => self.payload = body.get(8..)?.to_vec(),
            _ => return None,
        }
        if !is_fragment {
            let sum = match protocol {
                1 => super::internet_checksum(body),
                _ => super::pseudo_checksum(src, dst, protocol, body),
            };
            let unused = protocol == 17 && be16(body, 6)? == 0;
            self.l4_checksum_ok = Some(sum == 0 || unused);
        }
        Some(())
    }
}

/// The header, its payload (without Ethernet padding), and whether it is a fragment.
fn ipv4(bytes: &[u8]) -> Option<(Ip, &[u8], bool)> {
    let header = usize::from(bytes.first()? & 0xf) * 4;
    let length = usize::from(be16(bytes, 2)?);
    let ip = Ip {
        src: Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(12..16)?).ok()?).into(),
        dst: Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(16..20)?).ok()?).into(),
        ttl: *bytes.get(8)?,
        protocol: *bytes.get(9)?,
        length,
    };
    let is_fragment = be16(bytes, 6)? & 0x3fff != 0;
    Some((ip, bytes.get(header..length.min(bytes.len()))?, is_fragment))
}

fn ipv6(bytes: &[u8]) -> Option<(Ip, &[u8], bool)> {
    let length = 40 + usize::from(be16(bytes, 4)?);
    let mut body = bytes.get(40..length.min(bytes.len()))?;
    let mut protocol = *bytes.get(6)?;
    let mut is_fragment = false;
    // Hop-by-hop, routing, destination options, fragment: the ones the builder makes.
    while matches!(protocol, 0 | 43 | 44 | 60) {
        let units = if protocol == 44 {
            0
        } else {
            usize::from(*body.get(1)?)
        };
        is_fragment |= protocol == 44 && be16(body, 2)? & 0xfff9 != 0;
        protocol = *body.first()?;
        body = body.get(8 + 8 * units..)?;
    }
    let ip = Ip {
        src: Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).into(),
        dst: Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(24..40)?).ok()?).into(),
        ttl: *bytes.get(7)?,
        protocol,
        length,
    };
    Some((ip, body, is_fragment))
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
