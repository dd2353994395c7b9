//! One header each: its fields, what a test overrode (`Some`), and its bytes.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{
    MacAddr,
    checksum::{internet_checksum, pseudo_checksum},
    tcp_flags,
};

#[derive(Clone, Debug)]
pub(super) enum Layer {
    Eth(Eth),
    Vlan(Vlan),
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    Ext(Ext),
    Tcp(Tcp),
    Udp(Udp),
    Icmp(Icmp),
    Raw(Vec<u8>),
}

impl Layer {
    /// This header and what follows it (`body`, already emitted; `next` is its first layer).
    pub(super) fn emit(&self, before: &[Self], next: Option<&Self>, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Eth(h) => h.emit(next, body),
            Self::Vlan(h) => h.emit(next, body),
            Self::Ipv4(h) => h.emit(next, body),
            Self::Ipv6(h) => h.emit(next, body),
            Self::Ext(h) => h.emit(next, body),
            Self::Tcp(h) => h.emit(addresses(before), body),
            Self::Udp(h) => h.emit(addresses(before), body),
            Self::Icmp(h) => h.emit(addresses(before), body),
            Self::Raw(bytes) => [bytes, body].concat(),
        }
    }

    /// 0x88b5 is the ethertype for local experiments (IEEE 802).
    fn ethertype(&self) -> u16 {
        match self {
            Self::Vlan(h) => h.tpid,
            Self::Ipv4(_) => 0x0800,
            Self::Ipv6(_) => 0x86dd,
            _ => 0x88b5,
        }
    }

    /// 59 is "no next header" (RFC 8200); 253 is for experiments (RFC 3692).
    fn protocol(&self) -> u8 {
        match self {
            Self::Ipv4(_) => 4,
            Self::Ipv6(_) => 41,
            Self::Ext(h) => h.number,
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Icmp(h) => h.number,
            Self::Eth(_) | Self::Vlan(_) | Self::Raw(_) => 253,
        }
    }
}

/// The addresses of the innermost IP header so far, for the pseudo-header.
fn addresses(before: &[Layer]) -> Option<(IpAddr, IpAddr)> {
    before.iter().rev().find_map(|layer| match layer {
        Layer::Ipv4(h) => Some((h.src.into(), h.dst.into())),
        Layer::Ipv6(h) => Some((h.src.into(), h.dst.into())),
        _ => None,
    })
}

fn address<T: FromStr>(text: &dyn Display) -> T {
    let text = text.to_string();
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is no address of this family"))
}

fn length16(len: usize) -> u16 {
    u16::try_from(len).expect("a test packet is shorter than 64 KiB")
}

#[derive(Clone, Debug)]
pub(super) struct Eth {
    pub(super) src: MacAddr,
    pub(super) dst: MacAddr,
    pub(super) ethertype: Option<u16>,
}

impl Default for Eth {
    fn default() -> Self {
        Self {
            src: [2, 0, 0, 0, 0, 1],
            dst: [2, 0, 0, 0, 0, 2],
            ethertype: None,
        }
    }
}

impl Eth {
    fn emit(&self, next: Option<&Layer>, body: &[u8]) -> Vec<u8> {
        let ethertype = self
            .ethertype
            .unwrap_or(next.map_or(0x88b5, Layer::ethertype));
        [&self.dst[..], &self.src, &ethertype.to_be_bytes(), body].concat()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Vlan {
    tpid: u16,
    id: u16,
    pub(super) ethertype: Option<u16>,
}

impl Vlan {
    pub(super) fn new(tpid: u16, id: u16) -> Self {
        Self {
            tpid,
            id,
            ethertype: None,
        }
    }

    fn emit(&self, next: Option<&Layer>, body: &[u8]) -> Vec<u8> {
        let ethertype = self
            .ethertype
            .unwrap_or(next.map_or(0x88b5, Layer::ethertype));
        [&self.id.to_be_bytes()[..], &ethertype.to_be_bytes(), body].concat()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ipv4 {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    pub(super) version: u8,
    pub(super) ihl: Option<u8>,
    pub(super) tos: u8,
    pub(super) total_length: Option<u16>,
    pub(super) id: u16,
    pub(super) dont_fragment: bool,
    pub(super) more: bool,
    pub(super) offset: u16,
    pub(super) ttl: u8,
    pub(super) protocol: Option<u8>,
    pub(super) checksum: Option<u16>,
    pub(super) options: Vec<u8>,
}

impl Ipv4 {
    pub(super) fn new(src: &dyn Display, dst: &dyn Display) -> Self {
        Self {
            src: address(src),
            dst: address(dst),
            version: 4,
            ihl: None,
            tos: 0,
            total_length: None,
            id: 0,
            dont_fragment: true,
            more: false,
            offset: 0,
            ttl: 64,
            protocol: None,
            checksum: None,
            options: Vec::new(),
        }
    }

    fn emit(&self, next: Option<&Layer>, body: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let ihl = self
            .ihl
            .unwrap_or(u8::try_from(header / 4).expect("at most 40 option bytes"));
        let total = self
            .total_length
            .unwrap_or_else(|| length16(header + body.len()));
        let fragment =
            u16::from(self.dont_fragment) << 14 | u16::from(self.more) << 13 | (self.offset / 8);
        let protocol = self.protocol.unwrap_or(next.map_or(253, Layer::protocol));

        let mut bytes = vec![self.version << 4 | ihl & 0xf, self.tos];
        bytes.extend(total.to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([self.ttl, protocol, 0, 0]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(&self.options);
        let checksum = self.checksum.unwrap_or_else(|| internet_checksum(&bytes));
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.extend(body);
        bytes
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ipv6 {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    pub(super) version: u8,
    pub(super) traffic_class: u8,
    pub(super) flow_label: u32,
    pub(super) payload_length: Option<u16>,
    pub(super) next_header: Option<u8>,
    pub(super) hop_limit: u8,
}

impl Ipv6 {
    pub(super) fn new(src: &dyn Display, dst: &dyn Display) -> Self {
        Self {
            src: address(src),
            dst: address(dst),
            version: 6,
            traffic_class: 0,
            flow_label: 0,
            payload_length: None,
            next_header: None,
            hop_limit: 64,
        }
    }

    fn emit(&self, next: Option<&Layer>, body: &[u8]) -> Vec<u8> {
        let first = u32::from(self.version) << 28
            | u32::from(self.traffic_class) << 20
            | self.flow_label & 0xf_ffff;
        let length = self.payload_length.unwrap_or_else(|| length16(body.len()));
        let next_header = self.next_header.unwrap_or(next.map_or(59, Layer::protocol));

        let mut bytes = first.to_be_bytes().to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend([next_header, self.hop_limit]);
        bytes.extend(self.src.octets());
        bytes.extend(self.dst.octets());
        bytes.extend(body);
        bytes
    }
}

/// An IPv6 extension header: next header, then `content`.
#[derive(Clone, Debug)]
pub(super) struct Ext {
    number: u8,
    content: Vec<u8>,
    pub(super) next_header: Option<u8>,
}

impl Ext {
    pub(super) fn new(number: u8, content: impl Into<Vec<u8>>) -> Self {
        Self {
            number,
            content: content.into(),
            next_header: None,
        }
    }

    /// Hop-by-hop or destination options filled with PadN options (type 1) of at most 8 bytes.
    pub(super) fn options(number: u8, extra: u8) -> Self {
        let mut content = vec![extra, 1, 4, 0, 0, 0, 0];
        for _ in 0..extra {
            content.extend([1, 6, 0, 0, 0, 0, 0, 0]);
        }
        Self::new(number, content)
    }

    fn emit(&self, next: Option<&Layer>, body: &[u8]) -> Vec<u8> {
        let next_header = self.next_header.unwrap_or(next.map_or(59, Layer::protocol));
        [&[next_header][..], &self.content, body].concat()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tcp {
    src: u16,
    dst: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) data_offset: Option<u8>,
    pub(super) flags: u8,
    pub(super) checksum: Option<u16>,
    pub(super) options: Vec<u8>,
}

impl Tcp {
    pub(super) fn new(src: u16, dst: u16) -> Self {
        Self {
            src,
            dst,
            seq: 1,
            ack: 0,
            data_offset: None,
            flags: tcp_flags::SYN,
            checksum: None,
            options: Vec::new(),
        }
    }

    fn emit(&self, addresses: Option<(IpAddr, IpAddr)>, body: &[u8]) -> Vec<u8> {
        let words = u8::try_from(5 + self.options.len() / 4).expect("at most 40 option bytes");
        let data_offset = self.data_offset.unwrap_or(words);

        let mut bytes = self.src.to_be_bytes().to_vec();
        bytes.extend(self.dst.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        bytes.extend([data_offset << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.extend(body);
        let checksum = self
            .checksum
            .unwrap_or_else(|| l4_checksum(addresses, 6, &bytes));
        bytes[16..18].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

#[derive(Clone, Debug)]
pub(super) struct Udp {
    src: u16,
    dst: u16,
    pub(super) length: Option<u16>,
    pub(super) checksum: Option<u16>,
}

impl Udp {
    pub(super) fn new(src: u16, dst: u16) -> Self {
        Self {
            src,
            dst,
            length: None,
            checksum: None,
        }
    }

    fn emit(&self, addresses: Option<(IpAddr, IpAddr)>, body: &[u8]) -> Vec<u8> {
        let length = self.length.unwrap_or_else(|| length16(8 + body.len()));
        let mut bytes = self.src.to_be_bytes().to_vec();
        bytes.extend(self.dst.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        // 0 means "no checksum" (RFC 768), so a sum of 0 is sent as all ones.
        let computed = match l4_checksum(addresses, 17, &bytes) {
            0 => 0xffff,
            sum => sum,
        };
        let checksum = self.checksum.unwrap_or(computed);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

#[derive(Clone, Debug)]
pub(super) struct Icmp {
    number: u8,
    kind: u8,
    code: u8,
    rest: u32,
    pub(super) checksum: Option<u16>,
}

impl Icmp {
    pub(super) fn new(number: u8, kind: u8, code: u8, rest: u32) -> Self {
        Self {
            number,
            kind,
            code,
            rest,
            checksum: None,
        }
    }

    fn emit(&self, addresses: Option<(IpAddr, IpAddr)>, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest.to_be_bytes());
        bytes.extend(body);
        let computed = match self.number {
            1 => internet_checksum(&bytes),
            number => l4_checksum(addresses, number, &bytes),
        };
        let checksum = self.checksum.unwrap_or(computed);
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// Without an IP header around it a segment has no checksum: 0.
fn l4_checksum(addresses: Option<(IpAddr, IpAddr)>, protocol: u8, segment: &[u8]) -> u16 {
    addresses.map_or(0, |(src, dst)| pseudo_checksum(src, dst, protocol, segment))
}
