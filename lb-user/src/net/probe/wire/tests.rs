use proptest::prelude::*;

use super::*;

#[test]
fn an_arp_request_is_this_frame() {
    let frame = request(ip("10.0.0.2"), US, Some(ip("10.0.0.1")), None);
    #[rustfmt::skip]
    let wanted = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06,
        0, 1, 0x08, 0, 6, 4, 0, 1,
        2, 0, 0, 0, 0, 1, 10, 0, 0, 1,
        0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ];
    assert_eq!(frame.as_deref(), Some(&wanted[..]));
    let unicast = request(ip("10.0.0.2"), US, Some(ip("10.0.0.1")), Some(THEM)).unwrap();
    assert_eq!((&unicast[..6], &unicast[6..]), (&THEM.0[..], &wanted[6..]));
}

#[test]
fn a_solicitation_is_this_frame() {
    let frame = request(ip("fd00::1:2"), US, Some(ip("fd00::1")), None);
    #[rustfmt::skip]
    let wanted = [
        0x33, 0x33, 0xff, 1, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
        0x60, 0, 0, 0, 0, 32, 58, 255,
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 1, 0, 2,
        135, 0, 0x7d, 0x95, 0, 0, 0, 0,
        0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2,
        1, 1, 2, 0, 0, 0, 0, 1,
    ];
    assert_eq!(frame.as_deref(), Some(&wanted[..]));
}

#[test]
fn a_unicast_solicitation_goes_to_the_target_itself() {
    let frame = request(ip("fd00::2"), US, Some(ip("fd00::1")), Some(THEM)).unwrap();
    assert_eq!(&frame[..6], &THEM.0);
    let packet = Ipv6Packet::new(&frame[14..]).unwrap();
    assert_eq!(IpAddr::V6(packet.get_destination()), ip("fd00::2"));
}

#[test]
fn without_an_address_of_the_family_arp_asks_from_none_and_ipv6_does_not_ask() {
    let frame = request(ip("10.0.0.2"), US, None, None).unwrap();
    assert_eq!(&frame[28..32], &[0; 4]);
    assert_eq!(request(ip("fd00::2"), US, None, None), None);
    assert_eq!(request(ip("fd00::2"), US, Some(ip("10.0.0.1")), None), None);
}

#[test]
fn an_arp_reply_names_its_sender() {
    assert_eq!(parse_reply(&arp_frame(2)), Some((ip("10.0.0.2"), THEM)));
    assert_eq!(parse_reply(&arp_frame(1)), None);
    let mut group = arp_frame(2);
    group[22] = 3;
    assert_eq!(parse_reply(&group), None);
}

#[test]
fn an_advertisement_names_its_sender_in_the_option_or_else_by_the_frame() {
    let option = [2, 1, 2, 0, 0, 0, 0, 7];
    let with = advert(&option);
    assert_eq!(
        parse_reply(&with),
        Some((ip("fd00::2"), Mac([2, 0, 0, 0, 0, 7])))
    );
    let without = advert(&[]);
    assert_eq!(parse_reply(&without), Some((ip("fd00::2"), THEM)));
    let behind_another = advert(&[&[14, 1, 0, 0, 0, 0, 0, 0][..], &option].concat());
    assert_eq!(parse_reply(&behind_another), parse_reply(&with));
    let padded = [&with[..], &[0; 10]].concat();
    assert_eq!(parse_reply(&padded), parse_reply(&with));
}

#[test]
fn a_forged_or_broken_advertisement_is_none() {
    let good = advert(&[2, 1, 2, 0, 0, 0, 0, 7]);
    for (offset, why) in [
        (21, "hop limit"),
        (20, "next header"),
        (54, "type"),
        (55, "code"),
        (56, "checksum"),
    ] {
        let mut bad = good.clone();
        bad[offset] ^= 1;
        assert_eq!(parse_reply(&bad), None, "{why}");
    }
    assert_eq!(
        parse_reply(&advert(&[2, 0, 2, 0, 0, 0, 0, 7])),
        None,
        "option of length 0"
    );
    assert_eq!(
        parse_reply(&advert(&[2, 2, 2, 0, 0, 0, 0, 7])),
        None,
        "option beyond the end"
    );
    for length in 0..good.len() {
        assert_eq!(parse_reply(&good[..length]), None, "cut at {length}");
    }
}

proptest! {
    #[test]
    fn no_frame_is_a_panic(frame in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..3) {
        let mut frame = frame;
        if let Some(ethertype) = frame.get_mut(12..14) {
            ethertype.copy_from_slice([&[8, 6], &[0x86, 0xdd], &[8, 0]][at]);
        }
        let _ = parse_reply(&frame);
    }
}

fn arp_frame(operation: u8) -> Vec<u8> {
    let mut frame = request(ip("10.0.0.1"), THEM, Some(ip("10.0.0.2")), Some(US)).unwrap();
    frame[21] = operation;
    frame
}

/// A neighbour advertisement for fd00::2 from `THEM`, with these options.
fn advert(options: &[u8]) -> Vec<u8> {
    let mut frame = request(ip("fd00::2"), THEM, Some(ip("fd00::2")), Some(US)).unwrap();
    frame.truncate(ETHERNET + IPV6 + ADVERTISEMENT);
    frame.extend_from_slice(options);
    let body = u8::try_from(ADVERTISEMENT + options.len()).unwrap();
    frame[19] = body;
    frame[54] = 136;
    frame[56..58].fill(0);
    let us = "fd00::2".parse().unwrap();
    let checksum = icmpv6::checksum(&Icmpv6Packet::new(&frame[54..]).unwrap(), &us, &us);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEM: Mac = Mac([2, 0, 0, 0, 0, 2]);
