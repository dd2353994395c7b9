//! Single packets.

use lb_tests::packet::{Packet, eth, tcp_flags};

use super::Generator;
use crate::world::{Family, NO_SERVICE, OUR_MAC, PEER_MAC};

/// Flags that connections have.
const FLAGS: [u8; 8] = [
    tcp_flags::SYN,
    tcp_flags::SYN,
    tcp_flags::ACK,
    tcp_flags::ACK | tcp_flags::PSH,
    tcp_flags::FIN | tcp_flags::ACK,
    tcp_flags::RST,
    tcp_flags::RST | tcp_flags::ACK,
    tcp_flags::SYN | tcp_flags::FIN,
];

impl Generator {
    /// A packet that is mostly right.
    pub(super) fn packet(&mut self, family: Family) -> Packet {
        let (source, source_port) = self.client(family);
        let ip = self.ip(family, &source);
        let port = self.port();
        let random = &mut self.random;
        let packet = match random.index(13) {
            0 if family == Family::V4 => ip.icmp(random.byte(), random.byte(), 0),
            0 => ip.icmpv6(random.byte(), random.byte(), 0),
            1..=6 => self.tcp(ip.tcp(source_port, port)),
            _ if random.rarely(20) => ip.udp(source_port, port).udp_length(random.word()),
            _ => ip.udp(source_port, port),
        };
        let payload = self.payload();
        packet.payload(payload)
    }

    /// Some service's port.
    pub(super) fn port(&mut self) -> u16 {
        if self.random.rarely(20) {
            return NO_SERVICE;
        }
        self.random.pick(&self.ways).port()
    }

    /// Short, or about what a packet can be.
    fn payload(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let length = match random.index(12) {
            0 => 1380 + random.index(120),
            1 => random.index(2000),
            _ => random.index(64),
        };
        random.bytes(length)
    }

    /// An address and a port: of a client that comes back, or any.
    pub(super) fn client(&mut self, family: Family) -> (String, u16) {
        let random = &mut self.random;
        if random.rarely(8) {
            return (self.source(family), self.random.word());
        }
        let number = random.index(self.clients);
        let (high, low) = (number >> 8, number & 0xff);
        let source = match family {
            Family::V4 => format!("198.18.{high}.{low}"),
            Family::V6 => format!("2001:db8:c::{number:x}"),
        };
        let port = u16::try_from(1000 + number % 7).expect("a port");
        (source, port)
    }

    /// Any address, those that cannot be among them.
    pub(super) fn source(&mut self, family: Family) -> String {
        let random = &mut self.random;
        if random.rarely(6) {
            let martians: &[&str] = match family {
                Family::V4 => &[
                    "127.0.0.1",
                    "0.1.2.3",
                    "239.1.1.1",
                    "255.255.255.255",
                    family.vip(),
                    family.own(),
                ],
                Family::V6 => &[
                    "::",
                    "::1",
                    "ff02::1",
                    "::ffff:1.2.3.4",
                    family.vip(),
                    family.own(),
                ],
            };
            return random.pick(martians).to_owned();
        }
        let [a, b, c, d, ..] = random.next().to_le_bytes();
        match family {
            Family::V4 => format!("{}.{b}.{c}.{d}", a % 223 + 1),
            Family::V6 => format!("2001:db8:{a:x}{b:02x}::{c:x}:{d:x}"),
        }
    }

    /// A frame up to its tags.
    pub(super) fn ethernet(&mut self) -> Packet {
        let random = &mut self.random;
        let mac = match random.index(30) {
            0 => [0xff; 6],
            1 => PEER_MAC,
            _ => OUR_MAC,
        };
        let packet = eth().dst_mac(mac);
        let packet = if random.rarely(20) {
            packet.src_mac(PEER_MAC)
        } else {
            packet
        };
        match random.index(6) {
            0 => packet.vlan(random.word()),
            1 => packet.service_vlan(random.word()).vlan(random.word()),
            2 if random.rarely(2) => packet.vlan(random.word()).vlan(random.word()),
            3 if random.rarely(8) => packet.vlan(1).vlan(2).vlan(3),
            _ => packet,
        }
    }

    /// A frame up to the transport header.
    pub(super) fn ip(&mut self, family: Family, source: &str) -> Packet {
        let packet = self.ethernet();
        let random = &mut self.random;
        let ttl = match random.index(20) {
            0 => random.pick(&[0, 1]),
            _ => random.byte().max(2),
        };
        let ip = family
            .header(packet, source, family.vip())
            .ttl(ttl)
            .tos(random.byte());
        match family {
            Family::V4 => self.v4(ip),
            Family::V6 => self.v6(ip),
        }
    }

    fn v4(&mut self, ip: Packet) -> Packet {
        let random = &mut self.random;
        let ip = ip.ip_id(random.word()).dont_fragment(random.rarely(2));
        match random.index(30) {
            0 => ip.ip_fragment(random.pick(&[0, 8, 1480]), random.rarely(2)),
            1 => ip.ip_checksum(random.word()),
            2 => ip.ip_length(random.word() % 1600),
            3 => ip.ihl(random.byte() & 15),
            4..=6 => {
                let words = 1 + random.index(10);
                let options = random.bytes(4 * words);
                ip.ip_options(options)
            }
            _ => ip,
        }
    }

    fn v6(&mut self, ip: Packet) -> Packet {
        let random = &mut self.random;
        let mut ip = ip.flow_label(u32::from(random.word()));
        if random.rarely(30) {
            ip = ip.ip_length(random.word() % 1600);
        }
        if !random.rarely(4) {
            return ip;
        }
        for _ in 0..1 + random.index(8) {
            ip = self.extension(ip);
        }
        if self.random.rarely(8) {
            // No next header, authentication, mobility, a tunnel.
            ip = ip.protocol(self.random.pick(&[59, 51, 135, 4]));
        }
        ip
    }

    /// One more extension header.
    pub(super) fn extension(&mut self, ip: Packet) -> Packet {
        let random = &mut self.random;
        match random.index(8) {
            0 | 1 => ip.hop_by_hop(random.byte() & 3),
            2 | 3 => ip.routing(random.byte() & 3, u8::from(random.rarely(8))),
            4 => {
                let offset = random.pick(&[0, 0, 0, 8]);
                ip.fragment(offset, random.rarely(8), u32::from(random.word()))
            }
            _ => ip.destination_options(random.byte() & 3),
        }
    }

    /// What can be said in a TCP header.
    pub(super) fn tcp(&mut self, tcp: Packet) -> Packet {
        let random = &mut self.random;
        let flags = if random.rarely(4) {
            random.byte()
        } else {
            random.pick(&FLAGS)
        };
        let tcp = tcp.flags(flags);
        match random.index(15) {
            0 => tcp.data_offset(random.byte() & 15),
            1 => tcp.tcp_options([1; 12]),
            2 => tcp.l4_checksum(random.word()),
            _ => tcp,
        }
    }
}
