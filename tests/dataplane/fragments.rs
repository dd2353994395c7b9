//! Fragments. A fragment of a service has no table yet that would say where the others went.

use lb_common::verdict::DropReason;
use lb_tests::packet::eth;

use crate::{
    harness::cases,
    world::{CLIENT_PORT, Family, NO_SERVICE, Protocol, TUNNEL4, TUNNEL6, WEB},
};

const REASON: DropReason = DropReason::Fragment;

#[test]
fn the_first_fragment_of_a_service_is_dropped_by_name() {
    cases(|bench| {
        for protocol in Protocol::BOTH {
            for way in [WEB, TUNNEL4, TUNNEL6] {
                let v4 = protocol
                    .header(Family::V4.packet().ip_fragment(0, true), way)
                    .payload([0; 64]);
                bench.drops(format!("IPv4, {protocol:?} by {way:?}"), &v4, REASON)?;
                let v6 = protocol
                    .header(Family::V6.packet().fragment(0, true, 5), way)
                    .payload([0; 64]);
                bench.drops(format!("IPv6, {protocol:?} by {way:?}"), &v6, REASON)?;
            }
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
