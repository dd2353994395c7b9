//! ICMP errors: about a service's flow, to the backend of that flow; about anything else, up the stack.

use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth, ipv4, ipv6};

use crate::{
    forwarding::sent,
    harness::{Expect, cases},
    world::{CLIENT_PORT, Family, NO_SERVICE, Protocol, TUNNEL4, TUNNEL6, WEB, Way},
};

const ERRORS4: [(u8, u8); 6] = [(3, 0), (3, 1), (3, 3), (3, 4), (11, 0), (12, 0)];
const ERRORS6: [(u8, u8); 5] = [(1, 0), (1, 4), (2, 0), (3, 0), (4, 1)];
const ROUTERS: [&str; 2] = ["203.0.113.9", "2001:db8:f::9"];

/// What the backend sent to the client, from the service's port.
fn embedded(family: Family, protocol: Protocol, port: u16) -> Vec<u8> {
    let ip = match family {
        Family::V4 => ipv4(family.vip(), family.client()),
        Family::V6 => ipv6(family.vip(), family.client()),
    };
    let packet = match protocol {
        Protocol::Tcp => ip.tcp(port, CLIENT_PORT).flags(0x10),
        Protocol::Udp => ip.udp(port, CLIENT_PORT),
    };
    packet.payload(b"an answer").build()
}

/// An error of a router on the way.
fn error(family: Family, before: Packet, (kind, code): (u8, u8), about: &[u8]) -> Packet {
    let router = ROUTERS[family as usize];
    let ip = family.header(before, router, family.vip());
    let message = match family {
        Family::V4 => ip.icmp(kind, code, 1400),
        Family::V6 => ip.icmpv6(kind, code, 1400),
    };
    message.payload(about)
}

fn errors(family: Family) -> &'static [(u8, u8)] {
    match family {
        Family::V4 => &ERRORS4,
        Family::V6 => &ERRORS6,
    }
}

/// IP header and 8 bytes more: the least that is sent back.
fn least(family: Family) -> usize {
    family.header_length() + 8
}

#[test]
fn an_error_goes_to_the_backend_of_the_flow_it_is_about() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for way in [WEB, TUNNEL4, TUNNEL6] {
                    for error_type in errors(family) {
                        let about = embedded(family, protocol, way.port());
                        for about in [&about[..], &about[..least(family)]] {
                            let (frame, sent) = sent(family, protocol, way, |before, ttl| {
                                // The outer TTL is a hop's, too.
                                let packet = error(family, before, *error_type, about);
                                packet.ttl(ttl)
                            });
                            let name = format!(
                                "{family:?} {error_type:?} about {protocol:?} by {way:?}, {} bytes",
                                about.len()
                            );
                            bench.case(name, &frame, &Expect::Send(sent))?;
                        }
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn an_error_about_something_else_is_passed() {
    cases(|bench| {
        for family in Family::BOTH {
            let unreachable = errors(family)[0];
            let mut passes = |name: &str, about: &[u8]| {
                let packet = error(family, eth(), unreachable, about);
                bench.passes(format!("{family:?}, {name}"), &packet)
            };
            passes(
                "no service's port",
                &embedded(family, Protocol::Tcp, NO_SERVICE),
            )?;
            // From the client to us: nothing that a backend has sent.
            let forth = match family {
                Family::V4 => ipv4(family.client(), family.vip()),
                Family::V6 => ipv6(family.client(), family.vip()),
            };
            passes(
                "the other direction",
                &forth.tcp(WEB.port(), CLIENT_PORT).build(),
            )?;
            let echo = match family {
                Family::V4 => ipv4(family.vip(), family.client()).icmp(8, 0, 1),
                Family::V6 => ipv6(family.vip(), family.client()).icmpv6(128, 0, 1),
            };
            passes("a ping", &echo.build())?;
            let twice = match family {
                Family::V4 => ipv4(family.vip(), family.client()).icmp(3, 1, 0),
                Family::V6 => ipv6(family.vip(), family.client()).icmpv6(1, 0, 0),
            };
            let inner = embedded(family, Protocol::Tcp, WEB.port());
            passes("another error", &twice.payload(inner).build())?;
            let whole = embedded(family, Protocol::Tcp, WEB.port());
            for length in [0, 4, family.header_length(), family.header_length() + 3] {
                passes(&format!("{length} bytes"), &whole[..length])?;
            }
            let mut version = whole.clone();
            version[0] ^= 0x30;
            passes("another IP version", &version)?;
        }
        let later = ipv4(Family::V4.vip(), Family::V4.client())
            .ip_fragment(72, true)
            .protocol(17)
            .payload([0, 80, 0, 80, 0, 0, 0, 0]);
        let packet = error(Family::V4, eth(), (3, 1), &later.build());
        bench.passes("the middle of a packet", &packet)?;
        let short = {
            let mut bytes = embedded(Family::V4, Protocol::Udp, WEB.port());
            bytes[0] = 0x44;
            bytes
        };
        bench.passes("IHL 4", &error(Family::V4, eth(), (3, 1), &short))
    });
}

#[test]
fn messages_that_are_no_errors_about_a_flow_are_passed() {
    cases(|bench| {
        let about = embedded(Family::V4, Protocol::Tcp, WEB.port());
        // Source quench is long gone (RFC 6633), a redirect is for this host's own routes.
        for kind in [0, 4, 5, 8, 9, 10, 13, 17, 255] {
            let packet = error(Family::V4, eth(), (kind, 0), &about);
            bench.passes(format!("ICMP {kind}"), &packet)?;
        }
        let about = embedded(Family::V6, Protocol::Tcp, WEB.port());
        for kind in [0, 5, 100, 127, 128, 133, 137, 255] {
            let packet = error(Family::V6, eth(), (kind, 0), &about);
            bench.passes(format!("ICMPv6 {kind}"), &packet)?;
        }
        Ok(())
    });
}

#[test]
fn a_fragment_of_an_error_is_passed() {
    cases(|bench| {
        let about = embedded(Family::V4, Protocol::Tcp, WEB.port());
        let packet = Family::V4.packet().ip_fragment(0, true);
        bench.passes("IPv4", &packet.icmp(3, 4, 1400).payload(about))?;
        let about = embedded(Family::V6, Protocol::Tcp, WEB.port());
        let packet = Family::V6.packet().fragment(0, true, 1);
        bench.passes("IPv6", &packet.icmpv6(2, 0, 1400).payload(about))
    });
}

#[test]
fn an_error_that_is_itself_unfit_is_dropped_by_name() {
    cases(|bench| {
        for family in Family::BOTH {
            let about = embedded(family, Protocol::Tcp, WEB.port());
            let packet = || error(family, eth(), errors(family)[0], &about);
            let expired = packet().ttl(1);
            bench.drops(
                format!("{family:?}, TTL 1"),
                &expired,
                DropReason::TtlExpired,
            )?;
            let cut = packet().ip_length(900);
            bench.drops(format!("{family:?}, cut"), &cut, DropReason::Truncated)?;
            let martian = family.header(eth(), family.own(), family.vip());
            let martian = match family {
                Family::V4 => martian.icmp(3, 1, 0),
                Family::V6 => martian.icmpv6(1, 0, 0),
            };
            let martian = martian.payload(&about);
            let name = format!("{family:?}, from ourselves");
            bench.drops(name, &martian, DropReason::MartianSource)?;
            // Nobody is told of an error that does not fit.
            let long = embedded(family, Protocol::Tcp, TUNNEL4.port());
            let long = [long, vec![0; 1500]].concat();
            let long = error(family, eth(), errors(family)[0], &long);
            bench.drops(format!("{family:?}, too big"), &long, DropReason::TooBig)?;
            let nobody = embedded(family, Protocol::Tcp, Way::NoBackend.port());
            let nobody = error(family, eth(), errors(family)[0], &nobody);
            let name = format!("{family:?}, no backend");
            bench.drops(name, &nobody, DropReason::NoBackend)?;
        }
        Ok(())
    });
}
