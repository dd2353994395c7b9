//! IPv4 headers, good and bad.

use lb_common::verdict::DropReason;
use lb_tests::packet::{Packet, eth, internet_checksum};

use crate::{
    forwarding::sent,
    harness::{Expect, cases},
    world::{CLIENT_PORT, Family, NO_SERVICE, Protocol, TUNNEL4, TUNNEL6, WEB, Way},
};

const V4: Family = Family::V4;
const WAYS: [Way; 3] = [WEB, TUNNEL4, TUNNEL6];

fn ip(before: Packet, ttl: u8) -> Packet {
    before.ipv4(V4.client(), V4.vip()).ttl(ttl)
}

#[test]
fn options_are_carried_along() {
    cases(|bench| {
        for way in WAYS {
            for words in 1..=10 {
                for protocol in Protocol::BOTH {
                    let (frame, mut sent) = sent(V4, protocol, way, |before, ttl| {
                        let options = vec![1; 4 * words];
                        protocol.header(ip(before, ttl).ip_options(options), way)
                    });
                    sent.new_flow = protocol == Protocol::Tcp;
                    bench.case(
                        format!("{protocol:?}, IHL {} by {way:?}", words + 5),
                        &frame,
                        &Expect::Send(sent),
                    )?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_header_shorter_than_a_header_is_bad() {
    cases(|bench| {
        for ihl in 0..5 {
            let packet = V4.packet().ihl(ihl).udp(CLIENT_PORT, WEB.port());
            bench.drops(format!("IHL {ihl}"), &packet, DropReason::BadIpHeader)?;
            let foreign = eth()
                .ipv4(V4.client(), "192.0.2.99")
                .ihl(ihl)
                .udp(CLIENT_PORT, WEB.port());
            bench.passes(format!("IHL {ihl} to nobody we know"), &foreign)?;
        }
        Ok(())
    });
}

#[test]
fn a_header_longer_than_the_packet_is_bad() {
    cases(|bench| {
        // The header claims the whole packet, and the frame has ports behind it.
        let packet = ip(eth(), 64)
            .ip_options([1; 40])
            .ip_length(56)
            .udp(CLIENT_PORT, WEB.port());
        bench.drops(
            "total length within the options",
            &packet,
            DropReason::BadIpHeader,
        )?;
        let packet = ip(eth(), 64).ip_length(19).udp(CLIENT_PORT, WEB.port());
        bench.drops(
            "total length within the header",
            &packet,
            DropReason::BadIpHeader,
        )?;
        let packet = ip(eth(), 64).ip_length(0).udp(CLIENT_PORT, WEB.port());
        bench.drops("total length 0", &packet, DropReason::BadIpHeader)?;
        // Ports by the options' bytes: whatever they say, it is no service of ours.
        let packet = ip(eth(), 64).ihl(15).udp(CLIENT_PORT, WEB.port());
        bench.drops("IHL beyond the frame", &packet, DropReason::Truncated)
    });
}

#[test]
fn every_other_version_is_bad() {
    cases(|bench| {
        for version in (0..16).filter(|version| *version != 4) {
            let packet = V4.packet().ip_version(version).udp(CLIENT_PORT, WEB.port());
            bench.drops(
                format!("version {version}"),
                &packet,
                DropReason::BadIpHeader,
            )?;
        }
        Ok(())
    });
}

#[test]
fn a_packet_cut_anywhere_is_passed_before_its_address_and_dropped_after_it() {
    cases(|bench| {
        for protocol in Protocol::BOTH {
            let packet = protocol.header(V4.packet(), WEB);
            let whole = packet.build().len();
            // The kernel takes no frame for a test that is shorter than an Ethernet header.
            for length in 14..whole {
                let cut = packet.clone().cut_to(length);
                let name = format!("{protocol:?} cut to {length} of {whole} bytes");
                if length < 34 {
                    bench.passes(name, &cut)?;
                } else {
                    bench.drops(name, &cut, DropReason::Truncated)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_total_length_beyond_the_frame_is_a_truncated_packet() {
    cases(|bench| {
        for way in WAYS {
            for over in [1, 2, 100, 1400] {
                let packet = V4
                    .packet()
                    .ip_length(20 + 8 + 10 + over)
                    .udp(CLIENT_PORT, way.port())
                    .payload([0; 10]);
                let name = format!("{over} bytes over, by {way:?}");
                bench.drops(name, &packet, DropReason::Truncated)?;
            }
        }
        let packet = V4.packet().ip_length(65535).tcp(CLIENT_PORT, WEB.port());
        bench.drops("65535 bytes", &packet, DropReason::Truncated)
    });
}

#[test]
fn a_total_length_under_the_frame_leaves_a_trailer_which_stays() {
    cases(|bench| {
        for way in WAYS {
            let (frame, mut sent) = sent(V4, Protocol::Udp, way, |before, ttl| {
                ip(before, ttl)
                    .ip_length(20 + 8)
                    .udp(CLIENT_PORT, way.port())
                    .udp_length(8)
                    .payload(b"trailer")
            });
            sent.bytes = 28;
            // The outer header carries the 28 bytes only.
            let outer = match way {
                TUNNEL4 => Some((16, 48)),
                TUNNEL6 => Some((18, 28)),
                _ => None,
            };
            if let Some((at, length)) = outer {
                sent.frame[at..at + 2].copy_from_slice(&u16::to_be_bytes(length));
            }
            if way == TUNNEL4 {
                sent.frame[24..26].fill(0);
                let checksum = internet_checksum(&sent.frame[14..34]);
                sent.frame[24..26].copy_from_slice(&checksum.to_be_bytes());
            }
            bench.case(format!("by {way:?}"), &frame, &Expect::Send(sent))?;
        }
        Ok(())
    });
}

#[test]
fn a_bad_header_checksum_stays_bad() {
    cases(|bench| {
        for way in WAYS {
            // A hop less is 0x0100 more in the checksum, whose carry comes in again (RFC 1141).
            for (before_hop, after_hop) in [
                (0x0000, 0x0100),
                (0x1234, 0x1334),
                (0xfeff, 0x0000),
                (0xff00, 0x0001),
                (0xffff, 0x0100),
            ] {
                let (frame, sent) = sent(V4, Protocol::Udp, way, |before, ttl| {
                    ip(before, ttl)
                        .ip_checksum(if ttl == 64 { before_hop } else { after_hop })
                        .udp(CLIENT_PORT, way.port())
                });
                let name = format!("checksum {before_hop:#06x} by {way:?}");
                bench.case(name, &frame, &Expect::Send(sent))?;
            }
        }
        Ok(())
    });
}

#[test]
fn one_hop_less_keeps_the_checksum_right_whatever_the_header() {
    cases(|bench| {
        for id in (0..=u16::MAX).step_by(37) {
            let frame = V4.packet().ip_id(id).udp(CLIENT_PORT, WEB.port()).build();
            let (_, out) = bench.run(&frame)?;
            bench.check(
                &format!("id {id}"),
                internet_checksum(&out[14..34]) == 0 && out[22] == 63,
            );
        }
        Ok(())
    });
}

#[test]
fn the_last_hop_is_never_sent_on() {
    cases(|bench| {
        for way in [WEB, TUNNEL4, TUNNEL6, Way::Redirect, Way::Local] {
            for ttl in [0, 1] {
                let packet = ip(eth(), ttl).udp(CLIENT_PORT, way.port());
                let name = format!("TTL {ttl} by {way:?}");
                bench.drops(name, &packet, DropReason::TtlExpired)?;
            }
        }
        for ttl in [0, 1] {
            let packet = ip(eth(), ttl).udp(CLIENT_PORT, NO_SERVICE);
            bench.passes(format!("TTL {ttl} to no service"), &packet)?;
        }
        Ok(())
    });
}

#[test]
fn a_hop_is_taken_from_every_other_ttl() {
    cases(|bench| {
        for way in WAYS {
            for ttl in 2..=255 {
                let (frame, sent) = sent(V4, Protocol::Udp, way, |before, hops| {
                    ip(before, if hops == 64 { ttl } else { ttl - 1 }).udp(CLIENT_PORT, way.port())
                });
                bench.case(format!("TTL {ttl} by {way:?}"), &frame, &Expect::Send(sent))?;
            }
        }
        Ok(())
    });
}
