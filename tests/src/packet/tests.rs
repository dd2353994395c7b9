//! The builder against known bytes and against its own reader.

use super::*;

#[test]
fn a_known_ipv4_header_gets_its_known_checksum() {
    // The worked example of many textbooks: 10.0.0.1 → 10.0.0.2, UDP, total length 29.
    let bytes = ipv4("10.0.0.1", "10.0.0.2")
        .ip_id(1)
        .udp(1, 2)
        .payload("x")
        .build();
    assert_eq!(bytes.len(), 29);
    assert_eq!(internet_checksum(&bytes[..20]), 0);
    assert_eq!(bytes[..10], [0x45, 0, 0, 29, 0, 1, 0x40, 0, 64, 17]);
}

#[test]
fn every_layer_reads_back_as_written() {
    let bytes = eth()
        .service_vlan(7)
        .vlan(10)
        .ipv4("10.0.0.1", "10.0.0.2")
        .ipv6("2001:db8::1", "2001:db8::2")
        .hop_by_hop(1)
        .destination_options(0)
        .tcp(1234, 80)
        .flags(tcp_flags::ACK)
        .payload("hello")
        .build();
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!(frame.vlans, [7, 10]);
    assert_eq!(frame.ethertype, 0x0800);
    assert_eq!((frame.ip[0].protocol, frame.ip[1].protocol), (41, 6));
    assert_eq!(frame.ip[0].length, 20 + 40 + 16 + 8 + 20 + 5);
    assert_eq!(frame.inner().unwrap().dst.to_string(), "2001:db8::2");
    assert_eq!(frame.ports, Some((1234, 80)));
    assert_eq!(frame.tcp_flags, Some(tcp_flags::ACK));
    assert_eq!(frame.l4_checksum_ok, Some(true));
    assert_eq!(frame.payload, b"hello");
}

#[test]
fn a_field_that_was_set_is_written_as_set() {
    let bytes = eth()
        .ipv4("10.0.0.1", "10.0.0.2")
        .udp(1, 2)
        .payload([0; 4])
        .ttl(1)
        .ihl(4)
        .ip_length(9)
        .ip_checksum(0xabcd)
        .udp_length(3)
        .l4_checksum(0)
        .build();
    assert_eq!(bytes[14], 0x44);
    assert_eq!(bytes[16..18], [0, 9]);
    assert_eq!(bytes[22], 1);
    assert_eq!(bytes[24..26], [0xab, 0xcd]);
    assert_eq!(bytes[38..42], [0, 3, 0, 0]);
}

#[test]
fn padding_and_cuts_change_no_length_field() {
    let whole = eth().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2);
    assert_eq!(whole.clone().pad_to(60).build().len(), 60);
    assert_eq!(whole.clone().pad_to(60).build()[16..18], [0, 40]);
    assert_eq!(whole.cut_to(37).build()[16..18], [0, 40]);
}

#[test]
fn fragments_carry_their_offset_in_units_of_eight() {
    let bytes = ipv4("10.0.0.1", "10.0.0.2")
        .ip_fragment(1480, true)
        .protocol(17)
        .build();
    assert_eq!(bytes[6..8], [0x20, 185]);
    let bytes = ipv6("::1", "::2")
        .fragment(1448, true, 0xdead_beef)
        .udp(1, 2)
        .build();
    assert_eq!(bytes[40..48], [17, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn icmp_errors_embed_a_packet() {
    let inner = ipv6("2001:db8::1", "2001:db8::2").tcp(80, 1234).build();
    let bytes = eth()
        .ipv6("2001:db8::9", "2001:db8::1")
        .icmpv6(2, 0, 1280)
        .payload(&inner)
        .build();
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!(frame.l4_checksum_ok, Some(true));
    assert_eq!(frame.payload, inner);
}

#[test]
#[should_panic(expected = "no layer for `flags`")]
fn a_setter_without_its_layer_is_a_mistake_of_the_test() {
    drop(eth().ipv4("10.0.0.1", "10.0.0.2").flags(0));
}
