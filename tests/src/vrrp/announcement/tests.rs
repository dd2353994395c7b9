use super::address;
use crate::packet;

const MAC: [u8; 6] = [2, 0, 10, 0, 0, 2];

fn arp(operation: u8, target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(MAC);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(MAC);
    frame.extend([10, 0, 0, 125]);
    frame.extend([0xff; 6]);
    frame.extend(target);
    frame
}

fn advertisement(flags: u8) -> Vec<u8> {
    let mut rest = vec![0xfd, 0];
    rest.extend([0; 13]);
    rest.push(0x25);
    rest.extend([2, 1]);
    rest.extend(MAC);
    packet::eth()
        .src_mac(MAC)
        .dst_mac([0x33, 0x33, 0, 0, 0, 1])
        .ipv6("fd00::25", "ff02::1")
        .ttl(255)
        .icmpv6(136, 0, u32::from(flags) << 24)
        .payload(rest)
        .build()
}

#[test]
fn a_gratuitous_request_is_an_announcement() {
    let announced = address(&arp(1, [10, 0, 0, 125]));
    assert_eq!(announced, Some("10.0.0.125".parse().unwrap()));
}

#[test]
fn a_reply_and_a_question_for_somebody_else_are_none() {
    assert_eq!(address(&arp(2, [10, 0, 0, 125])), None);
    assert_eq!(address(&arp(1, [10, 0, 0, 101])), None);
}

#[test]
fn an_overriding_advertisement_to_all_is_an_announcement() {
    let announced = address(&advertisement(0xa0));
    assert_eq!(announced, Some("fd00::25".parse().unwrap()));
}

#[test]
fn an_answer_and_one_that_overrides_nothing_are_none() {
    assert_eq!(address(&advertisement(0xe0)), None);
    assert_eq!(address(&advertisement(0x80)), None);
}
