use proptest::prelude::*;

use super::{receive::strip_v4, *};

#[test]
fn the_ip_header_comes_off() {
    let received = strip_v4(&PACKET);
    assert_eq!(
        received,
        Received {
            source: Ipv4Addr::new(192, 168, 6, 110).into(),
            destination: MULTICAST_V4.into(),
            ttl: 255,
            payload: &PACKET[20..],
        }
    );
}

#[test]
fn options_come_off_with_the_header() {
    let mut packet = PACKET.to_vec();
    packet[0] = 0x46;
    packet[3] += 4;
    packet.splice(20..20, [0x94, 4, 0, 0]);
    assert_eq!(strip_v4(&packet).payload, &PACKET[20..]);
}

#[test]
fn what_follows_the_packet_is_not_its_payload() {
    let mut packet = PACKET.to_vec();
    packet.extend([0; 18]);
    assert_eq!(strip_v4(&packet).payload, &PACKET[20..]);
}

#[test]
fn a_malformed_header_leaves_no_payload() {
    for (offset, value, what) in [
        (0, 0x44, "a header of 16 bytes"),
        (0, 0x4f, "a header longer than the packet"),
        (0, 0x65, "version 6"),
        (2, 1, "more bytes than there are"),
        (3, 19, "fewer bytes than the header"),
        (6, 0x20, "the first of several fragments"),
        (7, 1, "a later fragment"),
        (9, 17, "UDP"),
    ] {
        let mut packet = PACKET;
        packet[offset] = value;
        let received = strip_v4(&packet);
        assert_eq!(received.payload, [0; 0], "{what}");
        assert_eq!(received.source, strip_v4(&PACKET).source, "{what}");
    }
    for length in 0..20 {
        assert_eq!(strip_v4(&PACKET[..length]).payload, [0; 0], "{length}");
    }
}

#[test]
fn dont_fragment_is_no_fragment() {
    let mut packet = PACKET;
    packet[6] = 0x40;
    assert_eq!(strip_v4(&packet).payload, &PACKET[20..]);
}

#[test]
fn the_groups_are_those_of_the_rfc() {
    assert_eq!(multicast(Family::V4).to_string(), "224.0.0.18");
    assert_eq!(multicast(Family::V6).to_string(), "ff02::12");
}

proptest! {
    #[test]
    fn any_bytes_are_taken(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), plausible: bool) {
        if plausible && bytes.len() >= 20 {
            bytes[..20].copy_from_slice(&PACKET[..20]);
        }
        let received = strip_v4(&bytes);
        prop_assert!(received.payload.len() <= bytes.len().saturating_sub(20));
    }
}

/// An advert of version 2 without addresses.
const PACKET: [u8; 36] = [
    0x45, 0xc0, 0, 36, 0, 1, 0, 0, 255, 112, 0, 0, 192, 168, 6, 110, 224, 0, 0, 18, //
    0x21, 0x4e, 0x6e, 0, 0, 1, 0x70, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0,
];
