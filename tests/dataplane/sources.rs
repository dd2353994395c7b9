//! Sources that no client can have.

use anyhow::Result;
use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth};

use crate::{
    forwarding::sent,
    harness::{Bench, Expect, cases},
    world::{self, CLIENT_PORT, Family, NO_SERVICE, Protocol, TUNNEL4, TUNNEL6, WEB, Way},
};

fn from(family: Family, source: &str, protocol: Protocol, way: Way) -> Packet {
    let ip = family.header(eth(), source, family.vip());
    protocol.header(ip, way).payload(b"x")
}

fn martian(bench: &mut Bench, family: Family, source: &str) -> Result<()> {
    for protocol in Protocol::BOTH {
        for way in [WEB, TUNNEL4, TUNNEL6, Way::Local] {
            let name = format!("{source} {protocol:?} by {way:?}");
            let packet = from(family, source, protocol, way);
            bench.drops(name, &packet, DropReason::MartianSource)?;
        }
    }
    let other = family
        .header(eth(), source, family.vip())
        .udp(CLIENT_PORT, NO_SERVICE);
    bench.passes(format!("{source} to no service"), &other)
}

fn client(bench: &mut Bench, family: Family, source: &str) -> Result<()> {
    // What a tunnel makes of a client is tested elsewhere; its flow label depends on the source.
    for protocol in Protocol::BOTH {
        let (frame, mut sent) = sent(family, protocol, WEB, |before, ttl| {
            let ip = family.header(before, source, family.vip()).ttl(ttl);
            protocol.header(ip, WEB)
        });
        sent.new_flow = protocol == Protocol::Tcp;
        bench.case(
            format!("{source} {protocol:?}"),
            &frame,
            &Expect::Send(sent),
        )?;
    }
    Ok(())
}

#[test]
fn ipv4_sources_that_cannot_be_are_martians() {
    cases(|bench| {
        for source in [
            "0.0.0.0",
            "0.255.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            martian(bench, Family::V4, source)?;
        }
        Ok(())
    });
}

#[test]
fn ipv4_sources_beside_them_are_clients() {
    cases(|bench| {
        for source in [
            "1.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "126.255.255.255",
            "128.0.0.0",
            "169.254.1.1",
            "192.0.2.1",
            "192.0.2.11",
            "223.255.255.255",
        ] {
            client(bench, Family::V4, source)?;
        }
        Ok(())
    });
}

#[test]
fn ipv6_sources_that_cannot_be_are_martians() {
    cases(|bench| {
        for source in [
            "::",
            "::1",
            "ff02::1",
            "ff0e::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "::ffff:198.51.100.7",
            "::ffff:0:0",
        ] {
            martian(bench, Family::V6, source)?;
        }
        Ok(())
    });
}

#[test]
fn ipv6_sources_beside_them_are_clients() {
    cases(|bench| {
        for source in [
            "::2",
            "1::",
            "0:0:0:1::",
            "0:0:0:1::1",
            "::fffe:0:1",
            "64:ff9b::198.51.100.7",
            "fd00::1",
            "fe80::1",
            "feff::1",
            "2001:db8::11",
        ] {
            client(bench, Family::V6, source)?;
        }
        Ok(())
    });
}

#[test]
fn a_packet_from_itself_is_a_martian() {
    cases(|bench| {
        for family in Family::BOTH {
            martian(bench, family, family.vip())?;
            let land = family
                .header(eth(), family.vip(), family.vip())
                .tcp(WEB.port(), WEB.port());
            bench.drops(format!("{family:?} land"), &land, DropReason::MartianSource)?;
        }
        Ok(())
    });
}

#[test]
fn our_own_address_is_a_martian() {
    cases(|bench| {
        for family in Family::BOTH {
            martian(bench, family, family.own())?;
        }
        Ok(())
    });
}

#[test]
fn a_master_owns_the_services_address_and_forwards_all_the_same() {
    cases(|bench| {
        let mut image = world::image();
        let vips = Family::BOTH.map(|family| world::addr(family.vip()).to_ip());
        image.front.own_addresses.extend(vips);
        bench.apply(&image)?;
        for family in Family::BOTH {
            client(bench, family, family.client())?;
            martian(bench, family, family.own())?;
            martian(bench, family, family.vip())?;
            let to_own = family
                .header(eth(), family.vip(), family.own())
                .tcp(WEB.port(), CLIENT_PORT);
            bench.passes("to an address of no service", &to_own)?;
        }
        Ok(())
    });
}

#[test]
fn a_mapped_destination_is_not_the_ipv4_service() {
    cases(|bench| {
        for protocol in Protocol::BOTH {
            let ip = eth().ipv6(Family::V6.client(), "::ffff:192.0.2.10");
            bench.passes(format!("{protocol:?}"), &protocol.header(ip, WEB))?;
        }
        Ok(())
    });
}
