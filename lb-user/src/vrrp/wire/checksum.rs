//! The checksum and the forms of it that routers send.
//!
//! RFC 5798 was read in two ways over IPv4: with a pseudo-header, as IPv6 has it, or without, as
//! version 2. RFC 9568 section 5.2.8 settled for without; keepalived and most others send it with.

use std::net::{IpAddr, Ipv4Addr};

use lb_common::csum::fold;

use super::Envelope;

/// How a checksum came out right, or is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChecksumForm {
    /// Over the message alone: version 2, and RFC 9568's version 3 over IPv4.
    MessageOnly,
    /// Over the pseudo-header of the IP header's own addresses too: version 3 over IPv6, and most routers' over IPv4.
    PseudoHeader,
    /// As [`PseudoHeader`](Self::PseudoHeader), but with the IPv4 multicast group as the destination of
    /// an advert that went elsewhere: keepalived's unicast up to 1.3.6, and later towards such a peer.
    MulticastPseudoHeader,
}

impl ChecksumForm {
    /// A short name for a counter; never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageOnly => "message_only",
            Self::PseudoHeader => "pseudo_header",
            Self::MulticastPseudoHeader => "multicast_pseudo_header",
        }
    }

    /// The checksum that completes `message`, whose own checksum field is zero; host order.
    pub(super) fn checksum(self, message: &[u8], envelope: Envelope) -> u16 {
        !fold(sum(message) + self.pseudo_header(message.len(), envelope))
    }

    /// Whether `message`, its checksum field as received, sums up.
    pub(super) fn holds(self, message: &[u8], envelope: Envelope) -> bool {
        self.checksum(message, envelope) == 0
    }

    /// The sum of the pseudo-header: both addresses, the length of the message, the protocol
    /// (RFC 9568 section 5.2.8, RFC 8200 section 8.1; for a sum, the two families' layouts are one).
    fn pseudo_header(self, length: usize, envelope: Envelope) -> u32 {
        let destination = match (self, envelope.destination) {
            (Self::MessageOnly, _) => return 0,
            (Self::MulticastPseudoHeader, IpAddr::V4(_)) => GROUP_V4.into(),
            (Self::PseudoHeader | Self::MulticastPseudoHeader, destination) => destination,
        };
        let length = u32::try_from(length).expect("a message has 8 + 255 * 16 bytes at most");
        address(envelope.source) + address(destination) + length + PROTOCOL
    }
}

fn address(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    }
}

/// The sum of big-endian words, not yet folded: 4 KiB of them and a pseudo-header stay far below 32 bits.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks();
    debug_assert!(
        rest.is_empty(),
        "headers, addresses and passwords are whole words"
    );
    words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum()
}

/// The protocol number of VRRP (RFC 9568 section 5.1.1.4).
const PROTOCOL: u32 = 112;
/// Where IPv4 adverts are multicast to (RFC 9568 section 5.1.1.2).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
