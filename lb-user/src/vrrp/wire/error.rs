//! Why bytes are no advert, and why an advert has no bytes.

use std::{net::IpAddr, time::Duration};

/// Why a received message is not an advertisement. Counted by [`name`](Self::name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvertError {
    /// Not even the 8 bytes that every version begins with.
    #[error("{0} bytes, an advert has at least 8")]
    Truncated(usize),
    /// Neither 2 nor 3.
    #[error("version {0}, expected 2 or 3")]
    Version(u8),
    /// Version 2 has no IPv6.
    #[error("version 2 over IPv6, which only version 3 has")]
    VersionFamily,
    /// Another type than 1.
    #[error("message type {0}, expected 1 (advertisement)")]
    Type(u8),
    /// The addresses, or the authentication data of version 2, are cut off.
    #[error("{got} bytes, its address count says {needed}")]
    Length {
        /// What the count of addresses asks for, in bytes.
        needed: usize,
        /// What there is.
        got: usize,
    },
    /// None of the sums that routers send comes out right.
    #[error("checksum {0:#06x} is wrong")]
    Checksum(u16),
    /// The virtual router identifier is 0.
    #[error("virtual router identifier 0")]
    VirtualRouterId,
    /// Version 2: neither none (0) nor a password (1); 2 is IPsec AH (RFC 2338 section 5.3.6), removed by RFC 3768.
    #[error("authentication type {0}, expected 0 (none) or 1 (password)")]
    AuthenticationType(u8),
    /// An interval of 0, with which every silence would be too long.
    #[error("an advertisement interval of 0")]
    Interval,
    /// The IP header's two addresses are not of one family: they did not come from one header.
    #[error("source and destination address of different families")]
    Envelope,
}

impl AdvertError {
    /// The [`name`](Self::name) of every reason, in the order in which they are checked.
    pub const NAMES: [&str; 10] = [
        "envelope",
        "truncated",
        "version",
        "version_family",
        "type",
        "length",
        "checksum",
        "virtual_router_id",
        "authentication_type",
        "interval",
    ];

    /// A short name for a counter; never changes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Truncated(_) => "truncated",
            Self::Version(_) => "version",
            Self::VersionFamily => "version_family",
            Self::Type(_) => "type",
            Self::Length { .. } => "length",
            Self::Checksum(_) => "checksum",
            Self::VirtualRouterId => "virtual_router_id",
            Self::AuthenticationType(_) => "authentication_type",
            Self::Interval => "interval",
        }
    }
}

/// Why an [`Advert`](super::Advert) cannot be sent. A validated configuration leads to none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The count has one byte.
    #[error("{0} addresses, an advert holds 255")]
    AddressCount(usize),
    /// An address of another family than the [`Envelope`](super::Envelope)'s.
    #[error("{0} is not of the advert's address family")]
    AddressFamily(IpAddr),
    /// Version 2: not 1–255 whole seconds; version 3: not 1–4095 whole hundredths.
    #[error("an interval of {0:?} does not fit the version")]
    Interval(Duration),
    /// Version 3 has no authentication.
    #[error("authentication in version 3")]
    Authentication,
    /// Version 2 has no IPv6.
    #[error("version 2 over IPv6, which only version 3 has")]
    VersionFamily,
    /// The envelope's addresses are of different families.
    #[error("source and destination address of different families")]
    Envelope,
}
