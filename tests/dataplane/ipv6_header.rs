//! IPv6 headers and their extensions, good and bad.

use anyhow::Result;
use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth};

use crate::{
    forwarding::sent,
    harness::{Bench, Expect, cases},
    world::{CLIENT_PORT, Family, NO_SERVICE, Protocol, TUNNEL4, TUNNEL6, WEB, Way},
};

const V6: Family = Family::V6;
const WAYS: [Way; 3] = [WEB, TUNNEL4, TUNNEL6];

fn ip(before: Packet, hops: u8) -> Packet {
    before.ipv6(V6.client(), V6.vip()).ttl(hops)
}

/// With `extensions` the packet still finds its service by every way.
fn carried(bench: &mut Bench, name: &str, extensions: impl Fn(Packet) -> Packet) -> Result<()> {
    for way in WAYS {
        for protocol in Protocol::BOTH {
            let (frame, mut sent) = sent(V6, protocol, way, |before, hops| {
                protocol
                    .header(extensions(ip(before, hops)), way)
                    .payload(b"x")
            });
            sent.new_flow = protocol == Protocol::Tcp;
            let name = format!("{name}, {protocol:?} by {way:?}");
            bench.case(name, &frame, &Expect::Send(sent))?;
        }
    }
    Ok(())
}

/// With `extensions` a packet to the services' address is dropped, and one to another is passed.
fn refused(
    bench: &mut Bench,
    name: &str,
    reason: DropReason,
    extensions: impl Fn(Packet) -> Packet,
) -> Result<()> {
    let packet = extensions(V6.packet()).tcp(CLIENT_PORT, WEB.port());
    bench.drops(name, &packet, reason)?;
    let foreign = extensions(eth().ipv6(V6.client(), "2001:db8::99")).tcp(CLIENT_PORT, WEB.port());
    bench.passes(format!("{name} to nobody we know"), &foreign)
}

#[test]
fn extension_headers_are_stepped_over() {
    cases(|bench| {
        carried(bench, "hop-by-hop", |p| p.hop_by_hop(0))?;
        carried(bench, "a long hop-by-hop", |p| p.hop_by_hop(20))?;
        carried(bench, "destination options", |p| p.destination_options(0))?;
        carried(bench, "a routing header of type 0 at its end", |p| {
            p.routing(0, 0)
        })?;
        carried(bench, "a routing header of type 4 at its end", |p| {
            p.routing(4, 0)
        })?;
        carried(bench, "an atomic fragment", |p| p.fragment(0, false, 9))?;
        carried(bench, "six headers", |p| {
            p.hop_by_hop(0)
                .destination_options(1)
                .routing(2, 0)
                .fragment(0, false, 1)
                .destination_options(0)
                .destination_options(2)
        })
    });
}

#[test]
fn a_seventh_extension_header_is_one_too_many() {
    cases(|bench| {
        for count in [7, 8, 100] {
            let name = format!("{count} headers");
            refused(bench, &name, DropReason::ExtensionHeaders, |p| {
                (0..count).fold(p, |p, _| p.destination_options(0))
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_routing_header_with_segments_left_is_refused() {
    cases(|bench| {
        for kind in [0, 2, 3, 4, 253] {
            for left in [1, 255] {
                let name = format!("routing header {kind}, {left} left");
                refused(bench, &name, DropReason::ExtensionHeaders, |p| {
                    p.routing(kind, left)
                })?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_chain_that_leaves_the_packet_is_refused() {
    cases(|bench| {
        // The header's length byte says 2048 bytes.
        let packet = V6.packet().protocol(60).payload([6, 255, 0, 0, 0, 0, 0, 0]);
        bench.drops("options beyond the frame", &packet, DropReason::Truncated)?;
        // The chain is in the frame, but not in the packet by its length.
        let packet = V6
            .packet()
            .ip_length(8)
            .destination_options(3)
            .tcp(CLIENT_PORT, WEB.port());
        bench.drops(
            "options beyond the packet",
            &packet,
            DropReason::BadIpHeader,
        )
    });
}

#[test]
fn what_is_neither_tcp_nor_udp_is_passed() {
    cases(|bench| {
        for protocol in [
            1, 2, 4, 41, 47, 50, 51, 58, 59, 89, 103, 112, 132, 135, 253, 255,
        ] {
            let packet = V6.packet().protocol(protocol).payload([0; 64]);
            bench.passes(format!("next header {protocol}"), &packet)?;
            let packet = V6
                .packet()
                .hop_by_hop(0)
                .protocol(protocol)
                .payload([0; 64]);
            bench.passes(format!("next header {protocol} after options"), &packet)?;
        }
        Ok(())
    });
}

#[test]
fn what_is_neither_tcp_nor_udp_is_passed_after_any_number_of_headers() {
    cases(|bench| {
        for count in 0..=6 {
            for protocol in [4, 50, 51, 59, 89, 112, 135] {
                let packet = (0..count).fold(V6.packet(), |p, _| p.destination_options(0));
                let packet = packet.protocol(protocol).payload([0; 64]);
                let name = format!("next header {protocol} after {count}");
                bench.passes(name, &packet)?;
            }
        }
        Ok(())
    });
}

#[test]
fn every_other_version_is_bad() {
    cases(|bench| {
        for version in (0..16).filter(|version| *version != 6) {
            let packet = V6.packet().ip_version(version).udp(CLIENT_PORT, WEB.port());
            let name = format!("version {version}");
            bench.drops(name, &packet, DropReason::BadIpHeader)?;
        }
        Ok(())
    });
}

#[test]
fn a_packet_cut_anywhere_is_passed_before_its_address_and_dropped_after_it() {
    cases(|bench| {
        for protocol in Protocol::BOTH {
            let plain = protocol.header(V6.packet(), WEB);
            let with_options =
                protocol.header(V6.packet().hop_by_hop(1).fragment(0, false, 1), WEB);
            for packet in [plain, with_options] {
                let whole = packet.build().len();
                for length in 14..whole {
                    let cut = packet.clone().cut_to(length);
                    let name = format!("{protocol:?} cut to {length} of {whole} bytes");
                    if length < 54 {
                        bench.passes(name, &cut)?;
                    } else {
                        bench.drops(name, &cut, DropReason::Truncated)?;
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_payload_length_is_compared_with_the_frame() {
    cases(|bench| {
        let udp = |length| {
            V6.packet()
                .ip_length(length)
                .udp(CLIENT_PORT, WEB.port())
                .payload([0; 10])
        };
        for over in [1, 2, 1000, 60_000] {
            let name = format!("{over} bytes over the frame");
            bench.drops(name, &udp(18 + over), DropReason::Truncated)?;
        }
        // UDP says 18 bytes.
        bench.drops("a byte under UDP", &udp(17), DropReason::BadTransportHeader)?;
        bench.drops("a byte under the header", &udp(7), DropReason::Truncated)?;
        bench.drops("no payload at all", &udp(0), DropReason::Truncated)
    });
}

#[test]
fn a_trailer_stays() {
    cases(|bench| {
        for way in WAYS {
            let (frame, mut sent) = sent(V6, Protocol::Udp, way, |before, hops| {
                ip(before, hops).udp(CLIENT_PORT, way.port()).payload(b"x")
            });
            let trailer = [0xee; 7];
            sent.frame.extend(trailer);
            let frame = [frame.as_slice(), &trailer].concat();
            bench.case(format!("by {way:?}"), &frame, &Expect::Send(sent))?;
        }
        Ok(())
    });
}

#[test]
fn the_last_hop_is_never_sent_on() {
    cases(|bench| {
        for way in [WEB, TUNNEL4, TUNNEL6, Way::Redirect, Way::Local] {
            for hops in [0, 1] {
                let packet = ip(eth(), hops).udp(CLIENT_PORT, way.port());
                let name = format!("hop limit {hops} by {way:?}");
                bench.drops(name, &packet, DropReason::TtlExpired)?;
            }
        }
        let packet = ip(eth(), 1).udp(CLIENT_PORT, NO_SERVICE);
        bench.passes("hop limit 1 to no service", &packet)
    });
}

#[test]
fn a_hop_is_taken_from_every_other_limit() {
    cases(|bench| {
        for way in WAYS {
            for limit in (2..=255).step_by(11) {
                let (frame, sent) = sent(V6, Protocol::Udp, way, |before, hops| {
                    ip(before, if hops == 64 { limit } else { limit - 1 })
                        .udp(CLIENT_PORT, way.port())
                });
                let name = format!("hop limit {limit} by {way:?}");
                bench.case(name, &frame, &Expect::Send(sent))?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_inner_flow_label_and_class_stay() {
    cases(|bench| {
        let (frame, sent) = sent(V6, Protocol::Udp, WEB, |before, hops| {
            ip(before, hops)
                .flow_label(0xabcde)
                .tos(0xb9)
                .udp(CLIENT_PORT, WEB.port())
        });
        bench.case("flow label", &frame, &Expect::Send(sent))
    });
}
