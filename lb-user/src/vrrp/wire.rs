//! The advertisement on the wire, versions 2 and 3: bytes and checksums, no policy.
//!
//! Version 2, IPv4 only (RFC 3768 section 5.1; authentication from RFC 2338 section 5.1):
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! | ver=2 | type=1| virt. rtr ID  |   priority    |    count n    |
//! +-------+-------+---------------+---------------+---------------+
//! |   auth type   |  interval (s) |           checksum            |
//! +---------------+---------------+-------------------------------+
//! |                    n IPv4 addresses, 4 bytes each             |
//! +---------------------------------------------------------------+
//! |  authentication data: 8 bytes, zero for type 0, always there  |
//! |  and covered by the checksum                                  |
//! +---------------------------------------------------------------+
//! ```
//!
//! Version 3, both families (RFC 9568 section 5.1):
//!
//! ```text
//! +-------+-------+---------------+---------------+---------------+
//! | ver=3 | type=1| virt. rtr ID  |   priority    |    count n    |
//! +-------+-------+---------------+---------------+---------------+
//! | zero  | max interval (cs, 12b)|           checksum            |
//! +-------+-----------------------+-------------------------------+
//! |           n addresses of the advert's family, 4 or 16 bytes   |
//! +---------------------------------------------------------------+
//! ```
//!
//! All numbers are big-endian. Lenient, as RFC 9568 section 7.1 is: the four zero bits are not looked
//! at, nor is what follows the message, and a count of 0 is what keepalived sends when it has no addresses.

use std::{fmt, net::IpAddr, time::Duration};

use crate::{
    config::model::{Family, Password, VrrpVersion},
    types::{Priority, RouterId},
};

mod checksum;
mod decode;
mod encode;
mod error;

pub use checksum::ChecksumForm;
pub use decode::decode;
pub use encode::encode;
pub use error::{AdvertError, EncodeError};

#[cfg(test)]
mod tests;

/// One advertisement, as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The protocol's version.
    pub version: VrrpVersion,
    /// The virtual router it is about.
    pub virtual_router_id: RouterId,
    /// The sender's effective priority; [`Priority::RELEASE`]: it steps down.
    pub priority: Priority,
    /// The sender's advertisement interval: whole seconds in version 2, hundredths in version 3.
    pub interval: Duration,
    /// The virtual addresses, in the sender's order, all of one family.
    pub addresses: Vec<IpAddr>,
    /// What version 2 carries as authentication; always [`Authentication::None`] in version 3.
    pub authentication: Authentication,
}

/// Authentication of version 2 (RFC 2338, removed by RFC 3768, sent by everybody). Its `Debug` does not
/// show the password.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Type 0.
    None,
    /// Type 1: a clear-text password, padded with NUL.
    Simple([u8; 8]),
}

impl Authentication {
    /// The password as it is sent: its first 8 bytes, padded with NUL.
    #[must_use]
    pub fn simple(password: &Password) -> Self {
        let mut data = [0; 8];
        for (to, from) in data.iter_mut().zip(password.reveal().bytes()) {
            *to = from;
        }
        Self::Simple(data)
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Simple(_) => "Simple(…)",
        })
    }
}

/// The addresses of the IP header around an advert, which its checksum may cover. Both of one family,
/// which is the advert's family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom: a peer or the multicast group.
    pub destination: IpAddr,
}

impl Envelope {
    /// The family of both addresses; `None` if they differ.
    fn family(self) -> Option<Family> {
        let family = Family::of(self.source);
        (family == Family::of(self.destination)).then_some(family)
    }
}

/// The bytes before the addresses, both versions.
const HEADER: usize = 8;
/// The authentication data of version 2.
const AUTHENTICATION: usize = 8;
/// The only type of message there is (RFC 9568 section 5.2.2).
const ADVERTISEMENT: u8 = 1;
/// Twelve bits (RFC 9568 section 5.2.7).
const MAX_CENTISECONDS: u16 = 0x0fff;
