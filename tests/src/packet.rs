//! Frames for tests, built layer by layer: `eth().vlan(10).ipv4(a, b).tcp(1234, 80).payload(b"x").build()`.
//!
//! Lengths, protocol numbers and checksums are right unless a test sets them: every field has a
//! setter, which changes the *latest* layer that has such a field. A setter without a fitting
//! layer panics, because the test is wrong then.

mod checksum;
mod layer;
mod view;

use std::fmt::Display;

use layer::{Eth, Ext, Icmp, Ipv4, Ipv6, Layer, Tcp, Udp, Vlan};

pub use checksum::{internet_checksum, pseudo_checksum};
pub use view::{Frame, Ip};

/// A MAC address, bytes in wire order.
pub type MacAddr = [u8; 6];

/// TCP flag bits (RFC 9293 section 3.1).
pub mod tcp_flags {
    /// No more data from sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push function.
    pub const PSH: u8 = 0x08;
    /// Acknowledgment field is significant.
    pub const ACK: u8 = 0x10;
    /// Urgent pointer field is significant.
    pub const URG: u8 = 0x20;
}

/// A frame under construction; `build` gives its bytes.
#[derive(Clone, Debug)]
#[must_use]
pub struct Packet {
    layers: Vec<Layer>,
    pad_to: usize,
    cut_to: usize,
}

/// Starts an Ethernet frame from 02:00:00:00:00:01 to 02:00:00:00:00:02.
pub fn eth() -> Packet {
    Packet::new(Layer::Eth(Eth::default()))
}

/// Starts with an IPv4 header, e.g. for what an ICMP error embeds.
pub fn ipv4(src: impl Display, dst: impl Display) -> Packet {
    Packet::new(Layer::Ipv4(Ipv4::new(&src, &dst)))
}

/// Starts with an IPv6 header, e.g. for what an ICMPv6 error embeds.
pub fn ipv6(src: impl Display, dst: impl Display) -> Packet {
    Packet::new(Layer::Ipv6(Ipv6::new(&src, &dst)))
}

/// Layers.
impl Packet {
    fn new(first: Layer) -> Self {
        Self {
            layers: vec![first],
            pad_to: 0,
            cut_to: usize::MAX,
        }
    }

    fn push(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// An 802.1Q tag (ethertype 0x8100) with VLAN `id`.
    pub fn vlan(self, id: u16) -> Self {
        self.push(Layer::Vlan(Vlan::new(0x8100, id)))
    }

    /// An 802.1ad service tag (ethertype 0x88a8) with VLAN `id`.
    pub fn service_vlan(self, id: u16) -> Self {
        self.push(Layer::Vlan(Vlan::new(0x88a8, id)))
    }

    /// An IPv4 header: TTL 64, DF set, no options. After another IP header: IP-in-IP.
    pub fn ipv4(self, src: impl Display, dst: impl Display) -> Self {
        self.push(Layer::Ipv4(Ipv4::new(&src, &dst)))
    }

    /// An IPv6 header: hop limit 64.
    pub fn ipv6(self, src: impl Display, dst: impl Display) -> Self {
        self.push(Layer::Ipv6(Ipv6::new(&src, &dst)))
    }

    /// An IPv6 hop-by-hop options header of 8 × (1 + `extra`) bytes, padded with PadN.
    pub fn hop_by_hop(self, extra: u8) -> Self {
        self.push(Layer::Ext(Ext::options(0, extra)))
    }

    /// An IPv6 destination options header of 8 × (1 + `extra`) bytes, padded with PadN.
    pub fn destination_options(self, extra: u8) -> Self {
        self.push(Layer::Ext(Ext::options(60, extra)))
    }

    /// An IPv6 routing header of type `kind` with `left` segments left and no addresses.
    pub fn routing(self, kind: u8, left: u8) -> Self {
        self.push(Layer::Ext(Ext::new(43, [0, kind, left, 0, 0, 0, 0])))
    }

    /// An IPv6 fragment header; `offset` in bytes (a multiple of 8), `more` the M bit.
    pub fn fragment(self, offset: u16, more: bool, id: u32) -> Self {
        let [high, low] = ((offset & !7) | u16::from(more)).to_be_bytes();
        let [a, b, c, d] = id.to_be_bytes();
        self.push(Layer::Ext(Ext::new(44, [0, high, low, a, b, c, d])))
    }

    /// A TCP header: SYN, sequence number 1, no options.
    pub fn tcp(self, src: u16, dst: u16) -> Self {
        self.push(Layer::Tcp(Tcp::new(src, dst)))
    }

    /// A UDP header.
    pub fn udp(self, src: u16, dst: u16) -> Self {
        self.push(Layer::Udp(Udp::new(src, dst)))
    }

    /// An ICMP (IPv4) header; `rest` is the second word, in host order.
    pub fn icmp(self, kind: u8, code: u8, rest: u32) -> Self {
        self.push(Layer::Icmp(Icmp::new(1, kind, code, rest)))
    }

    /// An ICMPv6 header; `rest` is the second word, in host order.
    pub fn icmpv6(self, kind: u8, code: u8, rest: u32) -> Self {
        self.push(Layer::Icmp(Icmp::new(58, kind, code, rest)))
    }

    /// Bytes as they are.
    pub fn payload(self, bytes: impl AsRef<[u8]>) -> Self {
        self.push(Layer::Raw(bytes.as_ref().to_vec()))
    }
}

/// The whole frame.
impl Packet {
    /// Zero bytes after everything, up to `len` bytes: Ethernet padding, in no length field.
    pub fn pad_to(mut self, len: usize) -> Self {
        self.pad_to = len;
        self
    }

    /// Cuts the finished frame to `len` bytes; lengths and checksums stay those of the whole.
    pub fn cut_to(mut self, len: usize) -> Self {
        self.cut_to = len;
        self
    }

    /// The bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for at in (0..self.layers.len()).rev() {
            bytes = self.layers[at].emit(&self.layers[..at], self.layers.get(at + 1), &bytes);
        }
        if bytes.len() < self.pad_to {
            bytes.resize(self.pad_to, 0);
        }
        bytes.truncate(self.cut_to);
        bytes
    }
}

/// Ethernet and VLAN fields.
impl Packet {
    /// Source MAC.
    pub fn src_mac(mut self, mac: MacAddr) -> Self {
        self.eth_mut("src_mac").src = mac;
        self
    }

    /// Destination MAC.
    pub fn dst_mac(mut self, mac: MacAddr) -> Self {
        self.eth_mut("dst_mac").dst = mac;
        self
    }

    /// Ethertype after the MACs or the latest tag (default: what follows; 0x88b5 for raw bytes).
    pub fn ethertype(mut self, value: u16) -> Self {
        let slot = self.latest("ethertype", |layer| match layer {
            Layer::Eth(h) => Some(&mut h.ethertype),
            Layer::Vlan(h) => Some(&mut h.ethertype),
            _ => None,
        });
        *slot = Some(value);
        self
    }
}

/// IP fields.
impl Packet {
    /// TTL or hop limit.
    pub fn ttl(mut self, value: u8) -> Self {
        *self.latest("ttl", |layer| match layer {
            Layer::Ipv4(h) => Some(&mut h.ttl),
            Layer::Ipv6(h) => Some(&mut h.hop_limit),
            _ => None,
        }) = value;
        self
    }

    /// The byte of DSCP and ECN: IPv4 TOS or IPv6 traffic class.
    pub fn tos(mut self, value: u8) -> Self {
        *self.latest("tos", |layer| match layer {
            Layer::Ipv4(h) => Some(&mut h.tos),
            Layer::Ipv6(h) => Some(&mut h.traffic_class),
            _ => None,
        }) = value;
        self
    }

    /// The version nibble.
    pub fn ip_version(mut self, value: u8) -> Self {
        *self.latest("ip_version", |layer| match layer {
            Layer::Ipv4(h) => Some(&mut h.version),
            Layer::Ipv6(h) => Some(&mut h.version),
            _ => None,
        }) = value;
        self
    }

    /// IPv4 protocol or IPv6 (or extension header's) next header.
    pub fn protocol(mut self, value: u8) -> Self {
        *self.latest("protocol", |layer| match layer {
            Layer::Ipv4(h) => Some(&mut h.protocol),
            Layer::Ipv6(h) => Some(&mut h.next_header),
            Layer::Ext(h) => Some(&mut h.next_header),
            _ => None,
        }) = Some(value);
        self
    }

    /// IPv4 total length or IPv6 payload length, in bytes.
    pub fn ip_length(mut self, value: u16) -> Self {
        *self.latest("ip_length", |layer| match layer {
            Layer::Ipv4(h) => Some(&mut h.total_length),
            Layer::Ipv6(h) => Some(&mut h.payload_length),
            _ => None,
        }) = Some(value);
        self
    }

    /// IPv6 flow label (20 bits).
    pub fn flow_label(mut self, value: u32) -> Self {
        self.latest("flow_label", |layer| match layer {
            Layer::Ipv6(h) => Some(h),
            _ => None,
        })
        .flow_label = value;
        self
    }

    /// IPv4 header length in 32-bit words, as written (the options are not changed).
    pub fn ihl(mut self, words: u8) -> Self {
        self.v4_mut("ihl").ihl = Some(words);
        self
    }

    /// IPv4 options; a multiple of 4 bytes.
    pub fn ip_options(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.v4_mut("ip_options").options = bytes.as_ref().to_vec();
        self
    }

    /// IPv4 identification.
    pub fn ip_id(mut self, value: u16) -> Self {
        self.v4_mut("ip_id").id = value;
        self
    }

    /// IPv4 "don't fragment" (set by default).
    pub fn dont_fragment(mut self, set: bool) -> Self {
        self.v4_mut("dont_fragment").dont_fragment = set;
        self
    }

    /// Makes the IPv4 packet a fragment; `offset` in bytes, a multiple of 8. Clears DF.
    pub fn ip_fragment(mut self, offset: u16, more: bool) -> Self {
        let header = self.v4_mut("ip_fragment");
        header.offset = offset;
        header.more = more;
        header.dont_fragment = false;
        self
    }

    /// IPv4 header checksum.
    pub fn ip_checksum(mut self, value: u16) -> Self {
        self.v4_mut("ip_checksum").checksum = Some(value);
        self
    }
}

/// TCP, UDP and ICMP fields.
impl Packet {
    /// TCP flags, see [`tcp_flags`].
    pub fn flags(mut self, value: u8) -> Self {
        self.tcp_mut("flags").flags = value;
        self
    }

    /// TCP sequence and acknowledgment numbers.
    pub fn seq(mut self, seq: u32, ack: u32) -> Self {
        let header = self.tcp_mut("seq");
        header.seq = seq;
        header.ack = ack;
        self
    }

    /// TCP data offset in 32-bit words, as written (the options are not changed).
    pub fn data_offset(mut self, words: u8) -> Self {
        self.tcp_mut("data_offset").data_offset = Some(words);
        self
    }

    /// TCP options; a multiple of 4 bytes.
    pub fn tcp_options(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.tcp_mut("tcp_options").options = bytes.as_ref().to_vec();
        self
    }

    /// UDP length in bytes.
    pub fn udp_length(mut self, value: u16) -> Self {
        self.latest("udp_length", |layer| match layer {
            Layer::Udp(h) => Some(h),
            _ => None,
        })
        .length = Some(value);
        self
    }

    /// TCP, UDP or ICMP checksum.
    pub fn l4_checksum(mut self, value: u16) -> Self {
        *self.latest("l4_checksum", |layer| match layer {
            Layer::Tcp(h) => Some(&mut h.checksum),
            Layer::Udp(h) => Some(&mut h.checksum),
            Layer::Icmp(h) => Some(&mut h.checksum),
            _ => None,
        }) = Some(value);
        self
    }
}

impl Packet {
    fn latest<'a, T>(
        &'a mut self,
        setter: &str,
        pick: impl Fn(&'a mut Layer) -> Option<&'a mut T>,
    ) -> &'a mut T {
        self.layers
            .iter_mut()
            .rev()
            .find_map(pick)
            .unwrap_or_else(|| panic!("no layer for `{setter}` in this packet"))
    }

    fn eth_mut(&mut self, setter: &str) -> &mut Eth {
        self.latest(setter, |layer| match layer {
            Layer::Eth(h) => Some(h),
            _ => None,
        })
    }

    fn v4_mut(&mut self, setter: &str) -> &mut Ipv4 {
        self.latest(setter, |layer| match layer {
            Layer::Ipv4(h) => Some(h),
            _ => None,
        })
    }

    fn tcp_mut(&mut self, setter: &str) -> &mut Tcp {
        self.latest(setter, |layer| match layer {
            Layer::Tcp(h) => Some(h),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
