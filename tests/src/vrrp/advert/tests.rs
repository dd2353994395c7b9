use std::time::SystemTime;

use super::{Advert, Captured, is_advert};
use crate::packet;

#[test]
fn an_advert_is_read_from_its_frame() {
    let frame = packet::eth()
        .ipv4("192.168.6.110", "224.0.0.18")
        .ttl(255)
        .protocol(112)
        .payload([0x21, 52, 100, 2, 1, 1, 0x87, 0x4b])
        .build();
    assert!(is_advert(&frame));
    let advert = Advert::read(&Captured {
        at: SystemTime::UNIX_EPOCH,
        outgoing: false,
        bytes: frame,
    })
    .unwrap();
    assert_eq!(
        (advert.version, advert.id, advert.priority, advert.addresses),
        (2, 52, 100, 2)
    );
    assert_eq!(advert.ttl, 255);
    assert_eq!(advert.message, [0x21, 52, 100, 2, 1, 1, 0x87, 0x4b]);
}

#[test]
fn other_frames_are_no_adverts() {
    let frame = packet::eth().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).build();
    assert!(!is_advert(&frame) && !is_advert(&frame[..13]));
}
