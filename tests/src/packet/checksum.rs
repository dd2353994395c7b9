//! The Internet checksum, written the slow and obvious way: tests compare ours against it.

use std::net::IpAddr;

/// RFC 1071 over `bytes`, in host order. A correct header including its checksum gives 0.
#[must_use]
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    finish(sum(bytes))
}

/// The checksum of an L4 segment with its pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).
/// Both addresses are of one family; `segment` has its checksum field as it should count.
#[must_use]
pub fn pseudo_checksum(src: IpAddr, dst: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let addresses = match (src, dst) {
        (IpAddr::V4(a), IpAddr::V4(b)) => sum(&a.octets()) + sum(&b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => sum(&a.octets()) + sum(&b.octets()),
        _ => panic!("a pseudo-header of two families: {src} and {dst}"),
    };
    finish(addresses + u64::from(protocol) + segment.len() as u64 + sum(segment))
}

fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

fn finish(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("the loop left 16 bits")
}
