use proptest::prelude::*;

use super::*;

/// ICMP fragmentation-needed (next-hop MTU 1400) about an IPIP packet from 10.0.0.2 to 10.1.0.7.
fn v4() -> Vec<u8> {
    let mut bytes = vec![
        0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 9, 9, 9, 10, 0, 0, 2,
    ];
    bytes.extend([3, 4, 0, 0, 0, 0, 0x05, 0x78]);
    bytes.extend([
        0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 64, 4, 0, 0, 10, 0, 0, 2, 10, 1, 0, 7,
    ]);
    bytes.extend([0x45, 0, 0x05, 0xc8, 0, 0, 0x40, 0]);
    bytes
}

/// The same in IPv6, from 2001:db8::2 to 2001:db8::7.
fn v6() -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 0x05, 0x78];
    bytes.extend([0x60, 0, 0, 0, 0x05, 0xb4, 41, 64]);
    for last in [2, 7] {
        bytes.extend([
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last,
        ]);
    }
    bytes.extend([0x60, 0, 0, 0, 0, 0, 6, 64]);
    bytes
}

#[test]
fn what_a_router_says_of_a_tunnelled_packet_is_read() {
    let said = TooBig {
        source: [10, 0, 0, 2].into(),
        destination: [10, 1, 0, 7].into(),
        mtu: 1400,
        length: 1500,
    };
    assert_eq!(read_v4(&v4()), Some(said));
    let said = TooBig {
        source: "2001:db8::2".parse().unwrap(),
        destination: "2001:db8::7".parse().unwrap(),
        mtu: 1400,
        length: 1500,
    };
    assert_eq!(read_v6(&v6()), Some(said));
}

#[test]
fn other_messages_and_other_packets_are_nothing_to_us() {
    let changed = |at: usize, to: u8| {
        let mut bytes = v4();
        bytes[at] = to;
        read_v4(&bytes)
    };
    assert_eq!(changed(20, 11), None, "time exceeded");
    assert_eq!(changed(21, 1), None, "host unreachable");
    assert_eq!(changed(28 + 9, 6), None, "a TCP packet of this host");
    let mut bytes = v6();
    bytes[0] = 1;
    assert_eq!(read_v6(&bytes), None);
}

#[test]
fn what_is_cut_short_is_nothing() {
    for length in 0..48 {
        assert_eq!(read_v4(&v4()[..length]), None);
    }
    for length in 0..48 {
        assert_eq!(read_v6(&v6()[..length]), None);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = (read_v4(&bytes), read_v6(&bytes));
    }
}
