//! Which adverts a virtual router listens to. Pure.
//!
//! RFC 9568, section 7.1, and what operators rely on: the hop limit is checked for unicast too, and
//! nobody but the configured peers is listened to there.

use std::{net::IpAddr, time::Duration};

use super::{
    socket,
    wire::{Advert, Authentication, ChecksumForm},
};
use crate::config::model::{Checksum, Family, VrrpInstance, VrrpVersion};

#[cfg(test)]
mod tests;

/// What the IP header of an advert said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
}

/// Why an advert is not listened to. Counted by [`name`](Self::name).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It has crossed a router, or its sender does not set the TTL.
    #[error(
        "its TTL is {0}, not 255: it comes from another network (or, by unicast, from a peer that does \
         not set it, as keepalived 2.2 over IPv6: `unicast_ttl_check: false` accepts that)"
    )]
    Ttl(u8),
    /// It has our own address as source.
    #[error("it says that we sent it")]
    Own,
    /// It is not sent to where we listen.
    #[error("it was sent to {0}")]
    Destination(IpAddr),
    /// It is not from a configured peer.
    #[error("{0} is not one of `unicast_peers`")]
    Source(IpAddr),
    /// It is of the other version.
    #[error("it is of version {0}")]
    Version(&'static str),
    /// Its sum is right, but made in a way that the configuration rules out.
    #[error("its checksum is made in a way that `checksum` does not allow")]
    ChecksumForm,
    /// The password is missing, wrong, or too much.
    #[error("its password is not ours")]
    Password,
    /// Version 2 wants one interval everywhere.
    #[error("its advertisement interval is {theirs:?}, ours is {ours:?}")]
    Interval {
        /// What the advert says.
        theirs: Duration,
        /// What is configured.
        ours: Duration,
    },
}

impl Rejected {
    /// The [`name`](Self::name) of every reason.
    pub const NAMES: [&str; 8] = [
        "ttl",
        "own",
        "destination",
        "source",
        "version",
        "checksum_form",
        "password",
        "interval",
    ];

    /// A short name for a counter; never changes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ttl(_) => "ttl",
            Self::Own => "own",
            Self::Destination(_) => "destination",
            Self::Source(_) => "source",
            Self::Version(_) => "version",
            Self::ChecksumForm => "checksum_form",
            Self::Password => "password",
            Self::Interval { .. } => "interval",
        }
    }
}

/// Where the packet came from and went to, before anybody looks into it.
///
/// # Errors
/// Why nothing in it is listened to.
pub fn header(
    instance: &VrrpInstance,
    ours: Option<IpAddr>,
    header: Header,
) -> Result<(), Rejected> {
    let check_ttl = instance
        .unicast
        .as_ref()
        .is_none_or(|unicast| unicast.ttl_check);
    if check_ttl && header.ttl != 255 {
        return Err(Rejected::Ttl(header.ttl));
    }
    if ours == Some(header.source) {
        return Err(Rejected::Own);
    }
    match &instance.unicast {
        None if header.destination != socket::multicast(instance.family) => {
            Err(Rejected::Destination(header.destination))
        }
        Some(_) if header.destination.is_multicast() => {
            Err(Rejected::Destination(header.destination))
        }
        Some(unicast) if !unicast.peers.contains(&header.source) => {
            Err(Rejected::Source(header.source))
        }
        None | Some(_) => Ok(()),
    }
}

/// An advert whose bytes are right, from where it may come.
///
/// # Errors
/// Why it is not listened to.
pub fn advert(
    instance: &VrrpInstance,
    authentication: &Authentication,
    advert: &Advert,
    form: ChecksumForm,
) -> Result<(), Rejected> {
    if advert.version != instance.version {
        return Err(Rejected::Version(match advert.version {
            VrrpVersion::V2 => "2",
            VrrpVersion::V3 => "3",
        }));
    }
    if instance.version == VrrpVersion::V3 && !form_allowed(instance, form) {
        return Err(Rejected::ChecksumForm);
    }
    if instance.version == VrrpVersion::V2 {
        if advert.authentication != *authentication {
            return Err(Rejected::Password);
        }
        if advert.interval != instance.advertisement_interval {
            return Err(Rejected::Interval {
                theirs: advert.interval,
                ours: instance.advertisement_interval,
            });
        }
    }
    Ok(())
}

/// Version 3 over IPv6 always has its pseudo-header; over IPv4 there are three ways.
fn form_allowed(instance: &VrrpInstance, form: ChecksumForm) -> bool {
    match (instance.family, instance.checksum) {
        (Family::V6, _) | (Family::V4, Checksum::Auto) => true,
        (Family::V4, Checksum::PseudoHeader) => form != ChecksumForm::MessageOnly,
        (Family::V4, Checksum::Rfc9568) => form == ChecksumForm::MessageOnly,
    }
}

/// How our own adverts are summed.
#[must_use]
pub fn sent_form(instance: &VrrpInstance) -> ChecksumForm {
    match (instance.family, instance.checksum) {
        (Family::V4, Checksum::Rfc9568) => ChecksumForm::MessageOnly,
        (Family::V4, Checksum::Auto | Checksum::PseudoHeader) | (Family::V6, _) => {
            ChecksumForm::PseudoHeader
        }
    }
}
