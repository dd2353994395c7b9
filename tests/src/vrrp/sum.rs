//! The three ways in which adverts of version 3 over IPv4 are summed.

use std::net::{IpAddr, Ipv4Addr};

use crate::packet::{internet_checksum, pseudo_checksum};

/// Over what the checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// The message alone (RFC 9568).
    MessageOnly,
    /// The addresses of its IP header too.
    PseudoHeader,
    /// The same, as if it went to the group: an old keepalived's unicast.
    MulticastPseudoHeader,
}

impl Sum {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::MessageOnly,
        Self::PseudoHeader,
        Self::MulticastPseudoHeader,
    ];

    /// As Ballast counts it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageOnly => "message_only",
            Self::PseudoHeader => "pseudo_header",
            Self::MulticastPseudoHeader => "multicast_pseudo_header",
        }
    }

    /// The checksum of `message`; 0 where its own is in it and right.
    #[must_use]
    pub fn of(self, message: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
        match self {
            Self::MessageOnly => internet_checksum(message),
            Self::PseudoHeader => pseudo_checksum(source, destination, VRRP, message),
            Self::MulticastPseudoHeader => pseudo_checksum(source, GROUP.into(), VRRP, message),
        }
    }
}

/// The protocol number (RFC 9568, 5.1.1.4).
const VRRP: u8 = 112;
/// Where adverts go by multicast (RFC 9568, 5.1.1.2).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
