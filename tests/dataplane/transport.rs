//! TCP and UDP headers, good and bad. What is carried inside them is nobody's business here.

use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth, tcp_flags};

use crate::{
    forwarding::sent,
    harness::{Expect, cases},
    world::{CLIENT_PORT, Family, Protocol, TUNNEL4, TUNNEL6, WEB},
};

fn ip(before: Packet, family: Family, ttl: u8) -> Packet {
    family
        .header(before, family.client(), family.vip())
        .ttl(ttl)
}

#[test]
fn a_cut_tcp_header_is_truncated() {
    cases(|bench| {
        for family in Family::BOTH {
            let header = ip(eth(), family, 64)
                .tcp(CLIENT_PORT, WEB.port())
                .build()
                .split_off(14 + family.header_length());
            for length in 0..20 {
                // An IP packet that says how short it is.
                let packet = ip(eth(), family, 64).protocol(6).payload(&header[..length]);
                let name = format!("{family:?}, {length} bytes of TCP");
                bench.drops(&name, &packet, DropReason::Truncated)?;
                // The frame goes on, the packet does not: padding is no header.
                if length >= 4 {
                    let padded = packet.pad_to(100);
                    bench.drops(name + ", padded", &padded, DropReason::Truncated)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_data_offset_below_five_or_beyond_the_packet_is_bad() {
    cases(|bench| {
        for family in Family::BOTH {
            let packet = |words| {
                ip(eth(), family, 64)
                    .tcp(CLIENT_PORT, WEB.port())
                    .tcp_options([1; 8])
                    .data_offset(words)
            };
            for words in (0..5).chain(8..16) {
                // Padding does not make it longer.
                let packet = packet(words).pad_to(200);
                let name = format!("{family:?}, data offset {words}");
                bench.drops(name, &packet, DropReason::BadTransportHeader)?;
            }
            for words in 5..8 {
                let (frame, mut sent) = sent(family, Protocol::Tcp, WEB, |before, ttl| {
                    ip(before, family, ttl)
                        .tcp(CLIENT_PORT, WEB.port())
                        .tcp_options([1; 8])
                        .data_offset(words)
                });
                sent.new_flow = true;
                let name = format!("{family:?}, data offset {words}");
                bench.case(name, &frame, &Expect::Send(sent))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_bad_checksum_is_the_backends_business() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for way in [WEB, TUNNEL4, TUNNEL6] {
                    for checksum in [0, 0xdead, 0xffff] {
                        let (frame, mut sent) = sent(family, protocol, way, |before, ttl| {
                            protocol
                                .header(ip(before, family, ttl), way)
                                .l4_checksum(checksum)
                                .payload(b"x")
                        });
                        sent.new_flow = protocol == Protocol::Tcp;
                        let name = format!("{family:?} {protocol:?} {checksum:#06x} by {way:?}");
                        bench.case(name, &frame, &Expect::Send(sent))?;
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_cut_udp_header_is_truncated() {
    cases(|bench| {
        for family in Family::BOTH {
            let header = ip(eth(), family, 64)
                .udp(CLIENT_PORT, WEB.port())
                .build()
                .split_off(14 + family.header_length());
            for length in 0..8 {
                let packet = ip(eth(), family, 64)
                    .protocol(17)
                    .payload(&header[..length]);
                let name = format!("{family:?}, {length} bytes of UDP");
                bench.drops(&name, &packet, DropReason::Truncated)?;
                if length >= 4 {
                    let padded = packet.pad_to(100);
                    bench.drops(name + ", padded", &padded, DropReason::Truncated)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_udp_length_that_cannot_be_is_bad() {
    cases(|bench| {
        for family in Family::BOTH {
            for length in [0, 1, 7, 19, 20, 1000, 65535] {
                let packet = ip(eth(), family, 64)
                    .udp(CLIENT_PORT, WEB.port())
                    .udp_length(length)
                    .payload([0; 10])
                    .pad_to(100);
                let name = format!("{family:?}, UDP length {length} of 18");
                bench.drops(name, &packet, DropReason::BadTransportHeader)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_udp_length_under_the_packet_is_possible() {
    cases(|bench| {
        for family in Family::BOTH {
            for length in [8, 17] {
                let (frame, sent) = sent(family, Protocol::Udp, WEB, |before, ttl| {
                    ip(before, family, ttl)
                        .udp(CLIENT_PORT, WEB.port())
                        .udp_length(length)
                        .payload([0; 10])
                });
                let name = format!("{family:?}, UDP length {length} of 18");
                bench.case(name, &frame, &Expect::Send(sent))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_broken_header_to_no_service_is_passed() {
    cases(|bench| {
        for family in Family::BOTH {
            let to = |port| ip(eth(), family, 64).tcp(CLIENT_PORT, port);
            bench.passes("data offset 0", &to(9999).data_offset(0))?;
            let udp = ip(eth(), family, 64).udp(CLIENT_PORT, 9999);
            bench.passes("UDP length 0", &udp.udp_length(0))?;
            let null = to(9999).flags(0);
            bench.passes("no flag", &null)?;
            bench.passes("a reset", &to(9999).flags(tcp_flags::RST))?;
        }
        Ok(())
    });
}
