//! IP addresses as maps and the packet path hold them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IPv6 address, or an IPv4 address in its IPv4-mapped form (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2).
///
/// The 16 bytes are in network order; they are held as two words in *native* order so that two
/// loads and two compares do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Addr {
    words: [u64; 2],
}

/// Bytes 8–11 of an IPv4-mapped address, as the low half of the second word.
const MAPPED: u64 = u32::from_ne_bytes([0, 0, 0xff, 0xff]) as u64;

impl Addr {
    /// `::`
    pub const UNSPECIFIED: Self = Self { words: [0; 2] };

    /// From 16 bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self { words }
    }

    /// From an IPv4 address loaded natively (the four bytes in network order, read as a `u32`).
    #[inline(always)]
    #[must_use]
    pub const fn from_v4_word(word: u32) -> Self {
        // Little and big endian put the mapped prefix in different halves of the word.
        let low = if cfg!(target_endian = "little") {
            MAPPED | (word as u64) << 32
        } else {
            MAPPED << 32 | word as u64
        };
        Self { words: [0, low] }
    }

    /// The two words, natively loaded from network order.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        self.words
    }

    /// The IPv4 address as a natively loaded word; meaningful only if [`Addr::is_v4`].
    #[inline(always)]
    #[must_use]
    pub const fn v4_word(&self) -> u32 {
        if cfg!(target_endian = "little") {
            (self.words[1] >> 32) as u32
        } else {
            (self.words[1] & 0xffff_ffff) as u32
        }
    }

    /// Whether this is an IPv4-mapped address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let half = if cfg!(target_endian = "little") {
            self.words[1] & 0xffff_ffff
        } else {
            self.words[1] >> 32
        };
        self.words[0] == 0 && half == MAPPED
    }

    /// The first `bits` of the 128, the rest 0. An IPv4 address has 96 bits in front of its own.
    #[inline(always)]
    #[must_use]
    pub const fn prefix(&self, bits: u32) -> Self {
        const fn cut(word: u64, bits: u32) -> u64 {
            let mask = match bits {
                0 => 0,
                1..64 => u64::MAX << (64 - bits),
                _ => u64::MAX,
            };
            word & mask.to_be()
        }
        let [high, low] = self.words;
        Self {
            words: [cut(high, bits), cut(low, bits.saturating_sub(64))],
        }
    }

    /// The 16 bytes in network order.
    #[must_use]
    pub fn octets(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.words[0].to_ne_bytes());
        out[8..].copy_from_slice(&self.words[1].to_ne_bytes());
        out
    }

    /// As the standard library's type.
    #[must_use]
    pub fn to_ip(&self) -> IpAddr {
        let octets = self.octets();
        if self.is_v4() {
            let [.., a, b, c, d] = octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4_word(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let o = v6.octets();
                let (hi, lo) = o.split_at(8);
                let word = |half: &[u8]| {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(half);
                    u64::from_ne_bytes(bytes)
                };
                Self {
                    words: [word(hi), word(lo)],
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_round_trip() {
        for text in [
            "10.0.0.1",
            "255.255.255.255",
            "2001:db8::1",
            "::1",
            "::",
            "fe80::1",
        ] {
            let ip: IpAddr = text.parse().unwrap();
            let addr = Addr::from(ip);
            assert_eq!(addr.to_ip(), ip);
            assert_eq!(addr.is_v4(), ip.is_ipv4());
        }
    }

    #[test]
    fn a_prefix_keeps_its_bits_and_no_others() {
        for (text, bits, kept) in [
            ("192.0.2.255", 128, "192.0.2.255"),
            ("192.0.2.255", 96 + 24, "192.0.2.0"),
            ("192.0.2.255", 96 + 31, "192.0.2.254"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:8000::4", 65, "2001:db8:1:2:8000::"),
            ("2001:db8:1:2:3::4", 33, "2001:db8::"),
            ("ffff::1", 1, "8000::"),
            ("ffff::1", 0, "::"),
        ] {
            let [addr, kept] = [text, kept].map(|t| Addr::from(t.parse::<IpAddr>().unwrap()));
            assert_eq!(addr.prefix(bits), kept, "{text}/{bits}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_mapped_address() {
        let addr = Addr::from(IpAddr::from([10, 1, 2, 3]));
        assert_eq!(
            addr.octets(),
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3]
        );
        assert_eq!(addr.v4_word().to_ne_bytes(), [10, 1, 2, 3]);
    }
}
