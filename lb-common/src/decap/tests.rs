use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::wire::Header;

const BALANCER: [&str; 2] = ["10.0.0.2", "fd00::2"];
const STRANGER: [&str; 2] = ["10.0.0.66", "fd00::66"];
const SERVER: [&str; 2] = ["10.0.0.101", "fd00::101"];
const CLIENT: [&str; 2] = ["192.0.2.7", "2001:db8::7"];
const VIP: [&str; 2] = ["10.0.0.125", "fd00::125"];

struct Server;

impl Tables for Server {
    fn is_tunnel_end(&self, address: &Addr) -> bool {
        SERVER.map(addr).contains(address)
    }
    fn is_virtual(&self, address: &Addr) -> bool {
        VIP.map(addr).contains(address)
    }
    fn may_send(&self, source: &Addr) -> bool {
        BALANCER.map(addr).contains(source)
    }
}

fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().unwrap())
}

/// A frame whose head can be cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Frame for Bytes {
    fn view<T: Header>(&self, offset: u32) -> Option<&T> {
        let at = offset as usize;
        T::ref_from_bytes(self.0.get(at..at + size_of::<T>())?).ok()
    }
    fn length(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }
}

impl FrameMut for Bytes {
    fn store<T: Header>(&mut self, offset: u32, value: T) -> Option<()> {
        let at = offset as usize;
        let to = self.0.get_mut(at..at + size_of::<T>())?;
        to.copy_from_slice(value.as_bytes());
        Some(())
    }
    fn grow_head(&mut self, by: i32) -> Option<()> {
        let cut = usize::try_from(-by).ok()?;
        (cut + 14 <= self.0.len()).then(|| drop(self.0.drain(..cut)))
    }
    fn set_length(&mut self, length: u32) -> Option<()> {
        let length = length as usize;
        (length <= self.0.len()).then(|| self.0.truncate(length))
    }
}

/// An IP packet; both addresses are of one family.
fn ip(source: &str, destination: &str, protocol: u8, tos: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = u16::try_from(20 + payload.len()).unwrap();
            out.extend([0x45, tos]);
            out.extend(total.to_be_bytes());
            out.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend(Ipv4Addr::octets(&source));
            out.extend(Ipv4Addr::octets(&destination));
            fix_checksum(&mut out);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend((6 << 28 | u32::from(tos) << 20 | 0xabcde).to_be_bytes());
            out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            out.extend([protocol, 64]);
            out.extend(Ipv6Addr::octets(&source));
            out.extend(Ipv6Addr::octets(&destination));
        }
        _ => unreachable!("of one family"),
    }
    out.extend(payload);
    out
}

fn fix_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let words: [u16; 10] =
        std::array::from_fn(|n| u16::from_ne_bytes([header[2 * n], header[2 * n + 1]]));
    let checksum = csum::full(words);
    header[10..12].copy_from_slice(&checksum.to_ne_bytes());
}

fn frame(tags: &[u16], v4: bool, packet: &[u8]) -> Bytes {
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        out.extend([0x81, 0]);
        out.extend(tag.to_be_bytes());
    }
    out.extend(if v4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    out.extend(packet);
    Bytes(out)
}

fn protocol(family: usize) -> u8 {
    [IPIP, IPV6][family]
}

fn client_packet(family: usize, tos: u8) -> Vec<u8> {
    ip(CLIENT[family], VIP[family], 17, tos, b"ports and a payload")
}

fn wrapped(outer: usize, inner: usize, tos: [u8; 2]) -> Bytes {
    let inside = client_packet(inner, tos[1]);
    let packet = ip(
        BALANCER[outer],
        SERVER[outer],
        protocol(inner),
        tos[0],
        &inside,
    );
    frame(&[], outer == 0, &packet)
}

fn unwrapped(mut frame: Bytes) -> Option<Bytes> {
    let Decision::Unwrap(how) = decide(&frame, &Server) else {
        return None;
    };
    unwrap(&mut frame, &how).unwrap();
    Some(frame)
}

#[test]
fn all_four_kinds_come_out_as_they_went_in() {
    for outer in [0, 1] {
        for inner in [0, 1] {
            for tags in [&[][..], &[5], &[5, 6]] {
                let inside = client_packet(inner, 0xb8);
                let packet = ip(
                    BALANCER[outer],
                    SERVER[outer],
                    protocol(inner),
                    0xb8,
                    &inside,
                );
                let out = unwrapped(frame(tags, outer == 0, &packet));
                assert_eq!(
                    out,
                    Some(frame(tags, inner == 0, &inside)),
                    "{outer}{inner}"
                );
            }
        }
    }
}

#[test]
fn padding_of_a_short_frame_stays_behind_the_packet() {
    let mut padded = wrapped(0, 0, [0, 0]);
    padded.0.extend([0; 9]);
    let out = unwrapped(padded).unwrap();
    assert_eq!(out.0[14..], [client_packet(0, 0), vec![0; 9]].concat());
}

#[test]
fn destination_options_in_front_are_stepped_over() {
    let inside = client_packet(0, 0);
    let options = [&[IPIP, 0, 4, 1, 4, 1, 1, 0][..], &inside].concat();
    let packet = ip(
        BALANCER[1],
        SERVER[1],
        ipv6::DESTINATION_OPTIONS,
        0,
        &options,
    );
    let out = unwrapped(frame(&[], false, &packet));
    assert_eq!(out, Some(frame(&[], true, &inside)));
}

#[test]
fn what_is_not_for_us_or_not_for_a_virtual_address_passes() {
    let inside = client_packet(0, 0);
    let decide_v4 = |packet: &[u8]| decide(&frame(&[], true, packet), &Server);
    let elsewhere = ip(BALANCER[0], "10.0.0.9", IPIP, 0, &inside);
    assert_eq!(decide_v4(&elsewhere), Decision::Pass);
    let other_inside = ip(CLIENT[0], "10.0.0.101", 17, 0, b"to the server itself");
    for source in [BALANCER[0], STRANGER[0]] {
        let packet = ip(source, SERVER[0], IPIP, 0, &other_inside);
        assert_eq!(decide_v4(&packet), Decision::Pass);
    }
    let plain = ip(CLIENT[0], SERVER[0], 6, 0, &inside);
    assert_eq!(decide_v4(&plain), Decision::Pass);
    let mapped = ip("::ffff:10.0.0.2", "::ffff:10.0.0.125", 17, 0, b"mapped");
    let packet = ip(BALANCER[0], SERVER[0], IPV6, 0, &mapped);
    assert_eq!(decide_v4(&packet), Decision::Pass);
    // The protocol says IPv4, the packet does not.
    let packet = ip(BALANCER[0], SERVER[0], IPIP, 0, &client_packet(1, 0));
    assert_eq!(decide_v4(&packet), Decision::Pass);
}

#[test]
fn a_stranger_s_packet_for_a_virtual_address_is_dropped() {
    for family in [0, 1] {
        let inside = client_packet(family, 0);
        let packet = ip(
            STRANGER[family],
            SERVER[family],
            protocol(family),
            0,
            &inside,
        );
        assert_eq!(
            decide(&frame(&[], family == 0, &packet), &Server),
            Decision::Drop(Refusal::SourceRefused)
        );
    }
}

#[test]
fn fragments_from_a_balancer_are_dropped_and_those_of_others_pass() {
    let expected = [Decision::Drop(Refusal::Fragment), Decision::Pass];
    for (source, expected) in [BALANCER[0], STRANGER[0]].into_iter().zip(expected) {
        for (first, second) in [(0x20, 0), (0, 7)] {
            let mut packet = ip(source, SERVER[0], IPIP, 0, &client_packet(0, 0));
            packet[6..8].copy_from_slice(&[first, second]);
            fix_checksum(&mut packet[..20]);
            assert_eq!(decide(&frame(&[], true, &packet), &Server), expected);
        }
    }
    let inside = [&[IPV6, 0, 0, 1, 0, 0, 0, 9][..], &client_packet(1, 0)].concat();
    let packet = ip(BALANCER[1], SERVER[1], ipv6::FRAGMENT, 0, &inside);
    assert_eq!(decide(&frame(&[], false, &packet), &Server), expected[0]);
}

#[test]
fn a_broken_outer_header_is_left_to_the_kernel() {
    let good = wrapped(0, 0, [0, 0]);
    for (at, value) in [
        (14, 0x46),
        (14, 0x65),
        (24, 0x11),
        (16, 0xff),
        (12, 0x88),
        (22, 63),
    ] {
        let mut bad = good.clone();
        bad.0[at] = value;
        assert_eq!(decide(&bad, &Server), Decision::Pass, "byte {at}");
    }
}

#[test]
fn lengths_that_contradict_each_other_are_dropped() {
    // The inner packet claims a byte more than the outer has.
    let mut longer = wrapped(0, 0, [0, 0]);
    longer.0[14 + 20 + 3] += 1;
    assert_eq!(decide(&longer, &Server), Decision::Drop(Refusal::Malformed));
    // The frame lacks a byte of what the outer header says.
    let mut cut = wrapped(1, 1, [0, 0]);
    cut.0.pop();
    assert_eq!(decide(&cut, &Server), Decision::Drop(Refusal::Malformed));
}

#[test]
fn congestion_marks_are_combined_as_rfc_6040_says() {
    // Rows: inner mark; columns: outer Not-ECT, ECT(0), ECT(1), CE.
    let columns = [NOT_ECT, ECT_0, ECT_1, CE];
    let figure = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    for (inner, row) in figure {
        for (outer, expected) in columns.into_iter().zip(row) {
            for families in [(0, 0), (1, 1)] {
                let tos = [0x48 | outer, 0x48 | inner];
                let packet = wrapped(families.0, families.1, tos);
                match expected {
                    None => assert_eq!(
                        decide(&packet, &Server),
                        Decision::Drop(Refusal::Congestion)
                    ),
                    // Byte for byte: the header's checksum is right, too.
                    Some(mark) => assert_eq!(
                        unwrapped(packet).unwrap().0[14..],
                        client_packet(families.1, 0x48 | mark)
                    ),
                }
            }
        }
    }
}

#[test]
fn every_refusal_has_a_counter_of_its_own() {
    let all = [
        Refusal::SourceRefused,
        Refusal::Fragment,
        Refusal::Malformed,
        Refusal::Congestion,
        Refusal::NoRoom,
    ];
    let mut counters = DecapCounters::default();
    for (n, refusal) in all.into_iter().enumerate() {
        for _ in 0..=n {
            counters.refuse(refusal);
        }
    }
    let DecapCounters {
        source_refused,
        fragment,
        malformed,
        congestion,
        no_room,
        ..
    } = counters;
    assert_eq!(
        [source_refused, fragment, malformed, congestion, no_room],
        [1, 2, 3, 4, 5]
    );
}

proptest! {
    #[test]
    fn no_cut_and_no_flipped_byte_makes_more_than_a_packet_for_a_virtual_address(
        outer in 0usize..2, inner in 0usize..2, cut in 0usize..120, at in 0usize..120, value: u8,
    ) {
        let mut bytes = wrapped(outer, inner, [0, 0]);
        let at = at % bytes.0.len();
        bytes.0[at] = value;
        let length = bytes.0.len().saturating_sub(cut);
        bytes.0.truncate(length);
        if let Decision::Unwrap(how) = decide(&bytes, &Server) {
            let before = bytes.0.len();
            unwrap(&mut bytes, &how).unwrap();
            prop_assert!(bytes.0.len() < before);
            let again = super::inner(&bytes, 14, bytes.0[12] == 8).unwrap();
            prop_assert!(Server.is_virtual(&again.destination));
            prop_assert!(again.length + 14 <= bytes.length());
        }
    }
}
