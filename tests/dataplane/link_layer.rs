//! Whose frame it is: destination and source MAC, tags, the interface.

use std::collections::BTreeMap;

use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth};
use lb_user::types::{IfIndex, Mac};

use crate::{
    harness::{Action, Expect, Sent, cases},
    world::{
        self, CLIENT_PORT, Family, NO_SERVICE, OUR_MAC, PEER_MAC, Protocol, TUNNEL4, TUNNEL6,
        Target, WEB, Way,
    },
};

fn frame(family: Family, protocol: Protocol, way: Way) -> Packet {
    protocol.header(family.packet(), way)
}

#[test]
fn a_frame_for_another_mac_is_passed() {
    let ours_but_one = |at: usize| {
        let mut mac = OUR_MAC;
        mac[at] ^= 1;
        mac
    };
    let mut others: Vec<_> = (0..6).map(ours_but_one).collect();
    others.extend([
        [0xff; 6],
        [1, 0, 0x5e, 0, 0, 18],
        [0x33, 0x33, 0, 0, 0, 1],
        [0; 6],
        PEER_MAC,
    ]);
    cases(|bench| {
        for mac in others {
            for family in Family::BOTH {
                for way in [WEB, TUNNEL4, Way::NoBackend, Way::Local] {
                    let packet = frame(family, Protocol::Tcp, way).dst_mac(mac);
                    bench.passes(format!("{family:?} by {way:?} to {mac:02x?}"), &packet)?;
                }
                // Nor is a defect of it ours to drop.
                let broken = frame(family, Protocol::Udp, WEB).ip_version(5).dst_mac(mac);
                bench.passes(format!("{family:?}, broken, to {mac:02x?}"), &broken)?;
            }
        }
        Ok(())
    });
}

#[test]
fn nothing_is_ours_on_an_interface_that_we_are_not_attached_to() {
    cases(|bench| {
        let mut image = world::image();
        let other = IfIndex::new(world::OTHER_INTERFACE).unwrap();
        image.front.interfaces = BTreeMap::from([(other, Mac(OUR_MAC))]);
        bench.apply(&image)?;
        for family in Family::BOTH {
            bench.passes("a request", &frame(family, Protocol::Tcp, WEB))?;
            let broken = frame(family, Protocol::Tcp, WEB).ip_version(5);
            bench.passes("a broken one", &broken)?;
        }
        Ok(())
    });
}

#[test]
fn a_peers_frame_is_never_sent_on() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for way in [WEB, TUNNEL4, TUNNEL6, Way::Redirect] {
                    let packet = frame(family, protocol, way).src_mac(PEER_MAC);
                    let name = format!("{family:?} {protocol:?} by {way:?}");
                    bench.drops(name, &packet, DropReason::PeerLoop)?;
                }
                let other = family
                    .packet()
                    .src_mac(PEER_MAC)
                    .udp(CLIENT_PORT, NO_SERVICE);
                bench.passes("to no service", &other)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_local_backend_takes_frames_from_clients_and_peers_alike() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for source in [[2, 0, 0, 0, 0, 1], PEER_MAC] {
                    let packet = frame(family, protocol, Way::Local).src_mac(source);
                    let frame = packet.build();
                    let sent = Sent {
                        action: Action::Pass,
                        target: Target::of(family, protocol, Way::Local),
                        bytes: frame.len() - 14,
                        new_flow: protocol == Protocol::Tcp,
                        frame: frame.clone(),
                    };
                    let name = format!("{family:?} {protocol:?} from {source:02x?}");
                    bench.case(name, &frame, &Expect::Send(sent))?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn three_tags_are_more_than_we_read() {
    cases(|bench| {
        for family in Family::BOTH {
            let ip = family.header(
                eth().service_vlan(1).vlan(2).vlan(3),
                family.client(),
                family.vip(),
            );
            let packet = Protocol::Tcp.header(ip, WEB);
            bench.passes(format!("{family:?}"), &packet)?;
        }
        Ok(())
    });
}

#[test]
fn a_frame_that_ends_in_its_tags_is_passed() {
    cases(|bench| {
        let packet = Protocol::Tcp.header(
            eth()
                .service_vlan(1)
                .vlan(2)
                .ipv4(Family::V4.client(), Family::V4.vip()),
            WEB,
        );
        for length in 14..22 {
            let cut = packet.clone().cut_to(length);
            bench.passes(format!("{length} bytes"), &cut)?;
        }
        Ok(())
    });
}

#[test]
fn the_ethertype_must_agree_with_the_version() {
    cases(|bench| {
        // IPv4 bytes under IPv6's type: the destination read is nobody's.
        let mut bytes = Family::V4
            .packet()
            .tcp(CLIENT_PORT, WEB.port())
            .payload([0; 40])
            .build();
        bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
        bench.case("IPv4 as IPv6", &bytes, &Expect::Pass)?;
        let mut bytes = Family::V6.packet().tcp(CLIENT_PORT, WEB.port()).build();
        bytes[12..14].copy_from_slice(&[8, 0]);
        bench.case("IPv6 as IPv4", &bytes, &Expect::Pass)
    });
}
