//! Packets that have to do with others: errors about them, their fragments, the packets of a connection.

use lb_tests::packet::{Packet, eth, ipv4, ipv6, tcp_flags};

use super::Generator;
use crate::world::{Family, NO_SERVICE};

impl Generator {
    /// An ICMP error, mostly about something that a service has sent.
    pub(super) fn error(&mut self, family: Family) -> Vec<u8> {
        let mut about = self.sent_by_a_service(family);
        if self.random.rarely(8) {
            about = self.message(bare(family, family.vip(), family.client()), family, &about);
        }
        if self.random.rarely(3) {
            let length = self.random.index(60);
            about.truncate(length);
        }
        let (source, _) = self.client(family);
        let ip = self.ip(family, &source);
        self.message(ip, family, &about)
    }

    /// An ICMP message after an IP header.
    fn message(&mut self, ip: Packet, family: Family, about: &[u8]) -> Vec<u8> {
        let random = &mut self.random;
        let rest = u32::from(random.word());
        let (kinds, kind): (&[u8], _) = match family {
            Family::V4 => (&[3, 3, 11, 12, 5, 4], random.byte()),
            Family::V6 => (&[1, 2, 3, 4, 5, 128], random.byte()),
        };
        let kind = if random.rarely(8) {
            kind
        } else {
            random.pick(kinds)
        };
        let code = random.byte() & 7;
        let message = match family {
            Family::V4 => ip.icmp(kind, code, rest),
            Family::V6 => ip.icmpv6(kind, code, rest),
        };
        message.payload(about).build()
    }

    /// A packet from a service's address to a client: what an error can be about.
    fn sent_by_a_service(&mut self, family: Family) -> Vec<u8> {
        let (client, client_port) = self.client(family);
        let port = self.port();
        let random = &mut self.random;
        let (from, to) = match random.index(20) {
            0 => (family.own(), client.as_str()),
            1 => (client.as_str(), family.vip()),
            _ => (family.vip(), client.as_str()),
        };
        let mut ip = bare(family, from, to);
        ip = match (family, random.index(20)) {
            (Family::V4, 0) => ip.ip_fragment(8 * u16::from(random.byte()), true),
            (Family::V4, 1) => ip.ip_options([1; 12]),
            (Family::V4, 2) => ip.ihl(random.byte() & 15),
            (Family::V6, 0) => ip.fragment(0, true, 1),
            (Family::V6, 1) => ip.destination_options(0),
            (_, 3) => ip.ip_version(random.byte() & 15),
            _ => ip,
        };
        let packet = match random.index(8) {
            0 => ip.protocol(random.byte()).payload([0; 12]),
            1..=4 => ip.tcp(port, client_port).flags(tcp_flags::ACK),
            _ => ip.udp(port, client_port),
        };
        let length = match random.index(12) {
            0 => 1400 + random.index(100),
            _ => random.index(40),
        };
        packet.payload(vec![0x55; length]).build()
    }

    /// The fragments of a packet, in some order.
    pub(super) fn fragments(&mut self, family: Family) -> Vec<Vec<u8>> {
        let (source, source_port) = self.client(family);
        let port = self.port();
        let id = self.random.word();
        let tcp = self.random.rarely(2);
        let first = self.fragment(family, &source, (0, true), id);
        let payload = self.piece();
        let first = match tcp {
            true => self.tcp(first.tcp(source_port, port)),
            false => first.udp(source_port, port).udp_length(4000),
        };
        let mut frames = vec![first.payload(payload).build()];
        for _ in 0..1 + self.random.index(3) {
            // Now and then of another packet.
            let id = id.wrapping_add(u16::from(self.random.rarely(12)));
            let offset = 8 * (1 + self.random.word() % 180);
            let more = self.random.rarely(2);
            let later = self.fragment(family, &source, (offset, more), id);
            let payload = self.piece();
            let protocol = if tcp { 6 } else { 17 };
            frames.push(later.protocol(protocol).payload(payload).build());
        }
        match self.random.index(4) {
            0 => frames.reverse(),
            1 => frames.swap(0, 1),
            _ => {}
        }
        frames
    }

    /// What a fragment carries.
    fn piece(&mut self) -> Vec<u8> {
        let length = match self.random.index(8) {
            0 => 1400 + self.random.index(120),
            _ => self.random.index(64),
        };
        self.random.bytes(length)
    }

    /// The IP header of a fragment.
    fn fragment(
        &mut self,
        family: Family,
        source: &str,
        (offset, more): (u16, bool),
        id: u16,
    ) -> Packet {
        let ip = family.header(self.ethernet(), source, family.vip());
        match family {
            Family::V4 => {
                // Nothing is sent with both, but it can be received.
                let dont_fragment = self.random.rarely(2);
                ip.ip_id(id)
                    .ip_fragment(offset, more)
                    .dont_fragment(dont_fragment)
            }
            Family::V6 => {
                let before = self.random.rarely(6);
                let ip = if before { ip.hop_by_hop(0) } else { ip };
                ip.fragment(offset, more, id.into())
            }
        }
    }

    /// Packets of one connection or exchange, in their order.
    pub(super) fn conversation(&mut self, family: Family) -> Vec<Vec<u8>> {
        let (source, source_port) = self.client(family);
        let port = match self.port() {
            NO_SERVICE => self.ways[0].port(),
            port => port,
        };
        let ip = || family.header(eth(), &source, family.vip());
        if self.random.rarely(3) {
            let one = ip().udp(source_port, port).payload(b"?").build();
            return vec![one; 2];
        }
        let tcp = |flags| ip().tcp(source_port, port).flags(flags).build();
        let mut frames = vec![tcp(tcp_flags::SYN), tcp(tcp_flags::ACK)];
        if self.random.rarely(4) {
            frames.push(tcp(tcp_flags::FIN | tcp_flags::ACK));
            frames.push(tcp(tcp_flags::ACK));
        }
        if self.random.rarely(4) {
            frames.push(tcp(tcp_flags::SYN));
        }
        frames
    }
}

/// An IP header with nothing in front.
fn bare(family: Family, from: &str, to: &str) -> Packet {
    match family {
        Family::V4 => ipv4(from, to),
        Family::V6 => ipv6(from, to),
    }
}
