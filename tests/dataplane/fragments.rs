//! Fragments: the first one has the ports and goes its way, the later ones follow it.

use anyhow::Result;
use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth};

use crate::{
    forwarding::sent,
    harness::{Action, Bench, Expect, Sent, cases},
    world::{CLIENT_PORT, Family, NO_SERVICE, PEER_MAC, Protocol, TUNNEL4, TUNNEL6, WEB, Way},
};

const REASON: DropReason = DropReason::Fragment;

/// The IP header of a fragment of the client's packet with this id.
fn fragment(family: Family, before: Packet, (offset, more): (u16, bool), id: u16) -> Packet {
    let ip = family.header(before, family.client(), family.vip());
    match family {
        Family::V4 => ip.ip_id(id).ip_fragment(offset, more),
        Family::V6 => ip.fragment(offset, more, id.into()),
    }
}

/// A first fragment, and what becomes of it.
fn first(family: Family, protocol: Protocol, way: Way, id: u16) -> (Vec<u8>, Sent) {
    let (frame, mut sent) = sent(family, protocol, way, |before, ttl| {
        let ip = fragment(family, before, (0, true), id).ttl(ttl);
        let packet = protocol.header(ip, way);
        let packet = match protocol {
            Protocol::Tcp => packet,
            // Of the whole.
            Protocol::Udp => packet.udp_length(2000),
        };
        packet.payload([1; 64])
    });
    sent.new_flow = protocol == Protocol::Tcp;
    sent.action = leaves(way);
    (frame, sent)
}

fn leaves(way: Way) -> Action {
    match way {
        Way::Redirect => Action::Redirect,
        _ => Action::Tx,
    }
}

/// A later one; its outer flow label is another.
fn later(family: Family, protocol: Protocol, way: Way, id: u16) -> (Vec<u8>, Sent) {
    let (frame, mut sent) = sent(family, protocol, way, |before, ttl| {
        let ip = fragment(family, before, (72, false), id).ttl(ttl);
        ip.protocol(protocol.number()).payload([2; 64])
    });
    sent.action = leaves(way);
    (frame, sent)
}

#[test]
fn the_first_fragment_goes_to_its_backend_and_the_later_ones_follow() {
    cases(|bench| {
        let mut id = 0;
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for way in [WEB, TUNNEL4, Way::Redirect] {
                    id += 1;
                    let name = format!("{family:?}, {protocol:?} by {way:?}");
                    let (frame, leads) = first(family, protocol, way, id);
                    bench.case(format!("{name}, first"), &frame, &Expect::Send(leads))?;
                    for _ in 0..2 {
                        let (frame, follows) = later(family, protocol, way, id);
                        bench.case(format!("{name}, later"), &frame, &Expect::Send(follows))?;
                    }
                    let (frame, _) = later(family, protocol, way, id + 1000);
                    bench.case(format!("{name}, another id"), &frame, &Expect::Drop(REASON))?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn overlapping_fragments_are_the_backends_business() {
    cases(|bench| {
        for family in Family::BOTH {
            let (frame, leads) = first(family, Protocol::Udp, WEB, 40);
            bench.case("first", &frame, &Expect::Send(leads.clone()))?;
            // From within what the first one carried, and all of it again.
            for offset in [8, 64] {
                let (frame, follows) = sent(family, Protocol::Udp, WEB, |before, ttl| {
                    let ip = fragment(family, before, (offset, true), 40).ttl(ttl);
                    ip.protocol(17).payload([4; 64])
                });
                let name = format!("{family:?}, from byte {offset} on");
                bench.case(name, &frame, &Expect::Send(follows))?;
            }
            bench.case("first again", &frame, &Expect::Send(leads))?;
            // With other ports: the last one leads.
            let (frame, leads) = first(family, Protocol::Udp, Way::Redirect, 40);
            bench.case("another first", &frame, &Expect::Send(leads))?;
            let (frame, follows) = later(family, Protocol::Udp, Way::Redirect, 40);
            bench.case("later", &frame, &Expect::Send(follows))?;
        }
        Ok(())
    });
}

#[test]
fn the_fragments_of_a_packet_leave_a_tunnel_by_one_outer_flow() {
    cases(|bench| {
        let frame = |offset| {
            let ip = fragment(Family::V4, eth(), (offset, true), 77);
            ip.protocol(17).payload([3; 64]).build()
        };
        let (lead, _) = first(Family::V4, Protocol::Udp, TUNNEL6, 77);
        bench.run(&lead)?;
        let (_, one) = bench.run(&frame(72))?;
        let (_, two) = bench.run(&frame(136))?;
        // The outer header, flow label included.
        bench.check("one flow label", one[14..54] == two[14..54]);
        Ok(())
    });
}

#[test]
fn the_fragments_of_a_lost_backend_are_dropped_by_name() {
    cases(|bench| {
        let (frame, sent) = first(Family::V4, Protocol::Udp, WEB, 9);
        bench.case("first", &frame, &Expect::Send(sent.clone()))?;
        let mut image = bench.bpf.applied().clone();
        let id = lb_user::dataplane::image::BackendId(sent.target.backend);
        if let Some(backend) = image.backends.get_mut(&id) {
            backend.entry.generation += 1;
        }
        bench.apply(&image)?;
        let (frame, _) = later(Family::V4, Protocol::Udp, WEB, 9);
        bench.case("later", &frame, &Expect::Drop(REASON))
    });
}

#[test]
fn fragments_to_another_port_of_a_services_address_are_passed() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                let ip = fragment(family, eth(), (0, true), 5);
                let lead = match protocol {
                    Protocol::Tcp => ip.tcp(CLIENT_PORT, NO_SERVICE),
                    Protocol::Udp => ip.udp(CLIENT_PORT, NO_SERVICE),
                };
                bench.passes(format!("{family:?} {protocol:?}, first"), &lead)?;
                let (frame, _) = later(family, protocol, WEB, 5);
                let name = format!("{family:?} {protocol:?}, later");
                bench.case(name, &frame, &Expect::Pass)?;
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_wrong_with_any_packet_is_wrong_with_a_fragment() {
    fn unfit(
        bench: &mut Bench,
        (family, name): (Family, &str),
        packet: &Packet,
        reason: DropReason,
    ) -> Result<()> {
        let (lead, _) = first(family, Protocol::Udp, WEB, 3);
        bench.run(&lead)?;
        bench.drops(format!("{family:?}, {name}"), packet, reason)
    }
    cases(|bench| {
        for family in Family::BOTH {
            let later = |length: usize| {
                let ip = fragment(family, eth(), (72, false), 3);
                ip.protocol(17).payload(vec![2; length])
            };
            let expired = later(64).ttl(1);
            unfit(bench, (family, "TTL 1"), &expired, DropReason::TtlExpired)?;
            let cut = later(64).ip_length(200);
            unfit(bench, (family, "cut"), &cut, DropReason::Truncated)?;
            // Nobody is told: it is not the beginning of anything.
            let long = later(1500);
            unfit(bench, (family, "too big"), &long, DropReason::TooBig)?;
            let looped = later(64).src_mac(PEER_MAC);
            unfit(bench, (family, "a peer's"), &looped, DropReason::PeerLoop)?;
        }
        Ok(())
    });
}

#[test]
fn a_later_fragment_to_a_services_address_is_dropped_by_name() {
    cases(|bench| {
        for protocol in [6, 17] {
            for (offset, more) in [(8, true), (8, false), (1480, true), (65_528, false)] {
                let name = format!("protocol {protocol}, offset {offset}, more {more}");
                let v4 = Family::V4
                    .packet()
                    .ip_fragment(offset, more)
                    .protocol(protocol)
                    .payload([0; 64]);
                bench.drops(format!("IPv4, {name}"), &v4, REASON)?;
                let v6 = Family::V6
                    .packet()
                    .fragment(offset, more, 5)
                    .protocol(protocol)
                    .payload([0; 64]);
                bench.drops(format!("IPv6, {name}"), &v6, REASON)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_tiny_later_fragment_is_dropped_by_name() {
    cases(|bench| {
        let v4 = Family::V4.packet().ip_fragment(8, false).protocol(17);
        bench.drops("IPv4, no payload", &v4, REASON)?;
        let v6 = Family::V6.packet().fragment(8, false, 5).protocol(17);
        bench.drops("IPv6, no payload", &v6, REASON)
    });
}

#[test]
fn a_tiny_first_fragment_has_no_ports() {
    cases(|bench| {
        for length in 0..4 {
            let v4 = Family::V4
                .packet()
                .ip_fragment(0, true)
                .protocol(6)
                .payload(vec![0; length]);
            bench.drops(format!("IPv4, {length}"), &v4, DropReason::Truncated)?;
            let v6 = Family::V6
                .packet()
                .fragment(0, true, 5)
                .protocol(6)
                .payload(vec![0; length]);
            bench.drops(format!("IPv6, {length}"), &v6, DropReason::Truncated)?;
        }
        Ok(())
    });
}

#[test]
fn fragments_of_others_are_passed() {
    cases(|bench| {
        for (offset, more) in [(0, true), (8, true), (1480, false)] {
            let v4 = eth()
                .ipv4(Family::V4.client(), "192.0.2.99")
                .ip_fragment(offset, more)
                .tcp(CLIENT_PORT, WEB.port());
            bench.passes(format!("IPv4, another address, {offset}"), &v4)?;
            let v6 = eth()
                .ipv6(Family::V6.client(), "2001:db8::99")
                .fragment(offset, more, 5)
                .tcp(CLIENT_PORT, WEB.port());
            bench.passes(format!("IPv6, another address, {offset}"), &v6)?;
        }
        let v4 = Family::V4
            .packet()
            .ip_fragment(0, true)
            .tcp(CLIENT_PORT, NO_SERVICE);
        bench.passes("IPv4, no service's port", &v4)?;
        let v6 = Family::V6
            .packet()
            .fragment(0, true, 5)
            .tcp(CLIENT_PORT, NO_SERVICE);
        bench.passes("IPv6, no service's port", &v6)
    });
}

#[test]
fn fragments_of_a_ping_to_a_services_address_are_passed() {
    cases(|bench| {
        for (offset, more) in [(0, true), (1448, true), (2896, false)] {
            let v4 = Family::V4
                .packet()
                .ip_fragment(offset, more)
                .protocol(1)
                .payload([8; 64]);
            bench.passes(format!("IPv4, offset {offset}"), &v4)?;
            let v6 = Family::V6
                .packet()
                .fragment(offset, more, 5)
                .protocol(58)
                .payload([128; 64]);
            bench.passes(format!("IPv6, offset {offset}"), &v6)?;
        }
        Ok(())
    });
}
