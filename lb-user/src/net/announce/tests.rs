use super::*;

#[test]
fn a_gratuitous_arp_is_this_frame() {
    #[rustfmt::skip]
    let wanted = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06,
        0, 1, 0x08, 0, 6, 4, 0, 1,
        2, 0, 0, 0, 0, 1, 192, 168, 7, 100,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 192, 168, 7, 100,
    ];
    let frame = gratuitous_arp(US, Ipv4Addr::new(192, 168, 7, 100));
    assert_eq!(frame, wanted);
}

#[test]
fn an_unsolicited_advertisement_is_this_frame() {
    #[rustfmt::skip]
    let wanted = [
        0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
        0x60, 0, 0, 0, 0, 32, 58, 255,
        0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66,
        0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        136, 0, 0x78, 0x60, 0xa0, 0, 0, 0,
        0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66,
        2, 1, 2, 0, 0, 0, 0, 1,
    ];
    let address: Ipv6Addr = "2001:db8::66".parse().unwrap();
    assert_eq!(unsolicited_advertisement(US, address), wanted);
    // The checksum by hand: everything it covers, the sum itself included, adds up to all ones.
    let pseudo = [0, 0, 0, 32, 0, 0, 0, 58];
    let covered = wanted[22..].chunks(2).chain(pseudo.chunks(2));
    let sum: u32 = covered
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
}

const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
