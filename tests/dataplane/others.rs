//! What is not a service's: passed up, not a byte changed, not counted.

use anyhow::Result;
use lb_tests::packet::{Packet, eth};

use crate::{
    harness::{Bench, Expect, cases},
    world::{CLIENT_PORT, Family, WEB},
};

/// A frame of `ethertype` to a MAC, with 46 bytes of everything.
fn ethernet(bench: &mut Bench, name: &str, mac: [u8; 6], ethertype: u16) -> Result<()> {
    let payload: Vec<u8> = (0..46).collect();
    let packet = eth().dst_mac(mac).ethertype(ethertype).payload(payload);
    bench.passes(name, &packet)
}

#[test]
fn link_layer_protocols_are_passed() {
    let ours = crate::world::OUR_MAC;
    cases(|bench| {
        ethernet(bench, "ARP request", [0xff; 6], 0x0806)?;
        ethernet(bench, "ARP reply", ours, 0x0806)?;
        ethernet(bench, "LLDP", [1, 0x80, 0xc2, 0, 0, 0x0e], 0x88cc)?;
        ethernet(bench, "MPLS", ours, 0x8847)?;
        ethernet(bench, "MPLS multicast", ours, 0x8848)?;
        ethernet(bench, "PPPoE", ours, 0x8864)?;
        ethernet(bench, "EAPOL", ours, 0x888e)?;
        ethernet(bench, "MACsec", ours, 0x88e5)?;
        ethernet(bench, "an old tag type", ours, 0x9100)?;
        // IEEE 802.3: the type is a length, an LLC header follows.
        ethernet(bench, "STP", [1, 0x80, 0xc2, 0, 0, 0], 38)?;
        let bare = [[0xff; 12].as_slice(), &[0x08, 0x00]].concat();
        bench.case("an Ethernet header and nothing else", &bare, &Expect::Pass)
    });
}

#[test]
fn echo_requests_to_a_services_address_are_passed() {
    cases(|bench| {
        let v4 = Family::V4.packet().icmp(8, 0, 0x0001_0001);
        bench.passes("IPv4", &v4.clone().payload(b"ping"))?;
        bench.passes("IPv4, TTL 1", &v4.ttl(1))?;
        let v6 = Family::V6.packet().icmpv6(128, 0, 0x0001_0001);
        bench.passes("IPv6", &v6.payload(b"ping"))
    });
}

#[test]
fn tunnelled_packets_to_a_services_address_are_passed() {
    cases(|bench| {
        for outer in Family::BOTH {
            for inner in Family::BOTH {
                let packet = inner
                    .header(outer.packet(), inner.client(), inner.vip())
                    .tcp(CLIENT_PORT, WEB.port());
                bench.passes(format!("{inner:?} in {outer:?}"), &packet)?;
            }
        }
        Ok(())
    });
}

#[test]
fn neighbour_discovery_and_group_membership_are_passed() {
    let to_group = |group: &str| {
        eth()
            .dst_mac([0x33, 0x33, 0, 0, 0, 1])
            .ipv6("fe80::1", group)
            .ttl(255)
    };
    cases(|bench| {
        for (name, kind) in [
            ("router solicitation", 133),
            ("router advertisement", 134),
            ("neighbour solicitation", 135),
            ("neighbour advertisement", 136),
            ("redirect", 137),
        ] {
            let packet = to_group("ff02::1").icmpv6(kind, 0, 0).payload([0; 24]);
            bench.passes(format!("{name} to a group"), &packet)?;
            let packet = eth()
                .ipv6("fe80::1", Family::V6.vip())
                .ttl(255)
                .icmpv6(kind, 0, 0)
                .payload([0; 24]);
            bench.passes(format!("{name} to a service's address"), &packet)?;
        }
        for (name, kind) in [
            ("MLD query", 130),
            ("MLDv1 report", 131),
            ("MLDv2 report", 143),
        ] {
            let packet = to_group("ff02::16")
                .ttl(1)
                .hop_by_hop(0)
                .icmpv6(kind, 0, 0)
                .payload([0; 20]);
            bench.passes(name, &packet)?;
        }
        let igmp = eth()
            .dst_mac([1, 0, 0x5e, 0, 0, 22])
            .ipv4("192.0.2.1", "224.0.0.22")
            .ip_options([0x94, 4, 0, 0])
            .ttl(1)
            .protocol(2)
            .payload([0x22, 0, 0, 0, 0, 0, 0, 0]);
        bench.passes("IGMPv3 report", &igmp)
    });
}

#[test]
fn vrrp_is_passed() {
    let advert = |version: u8| [version << 4 | 1, 51, 100, 1, 0, 1, 0, 0, 192, 0, 2, 10];
    let advert_v4 = |version| -> Packet {
        eth()
            .src_mac([0, 0, 0x5e, 0, 1, 51])
            .dst_mac([1, 0, 0x5e, 0, 0, 18])
            .ipv4("192.0.2.3", "224.0.0.18")
            .ttl(255)
            .protocol(112)
            .payload(advert(version))
    };
    cases(|bench| {
        bench.passes("VRRPv2", &advert_v4(2))?;
        bench.passes("VRRPv3", &advert_v4(3))?;
        let v6 = eth()
            .src_mac([0, 0, 0x5e, 0, 2, 51])
            .dst_mac([0x33, 0x33, 0, 0, 0, 18])
            .ipv6("fe80::3", "ff02::12")
            .ttl(255)
            .protocol(112)
            .payload(advert(3));
        bench.passes("VRRPv3 over IPv6", &v6)?;
        let unicast = Family::V4.packet().protocol(112).payload(advert(3));
        bench.passes("unicast to a service's address", &unicast)
    });
}

#[test]
fn bfd_and_dhcp_are_passed() {
    cases(|bench| {
        for family in Family::BOTH {
            let to_us = family.header(eth(), family.client(), family.own());
            let bfd = to_us.ttl(255).udp(49_152, 3784).payload([0; 24]);
            bench.passes(format!("{family:?} BFD"), &bfd)?;
        }
        let dhcp = eth()
            .dst_mac([0xff; 6])
            .ipv4("0.0.0.0", "255.255.255.255")
            .udp(68, 67)
            .payload([0; 240]);
        bench.passes("DHCP", &dhcp)
    });
}

#[test]
fn every_other_protocol_to_a_services_address_is_passed() {
    cases(|bench| {
        for protocol in (0..=255).filter(|protocol| ![6, 17].contains(protocol)) {
            let packet = Family::V4.packet().protocol(protocol).payload([0; 40]);
            bench.passes(format!("protocol {protocol}"), &packet)?;
        }
        Ok(())
    });
}
