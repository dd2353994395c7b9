//! Bytes to [`Advert`].

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{
    ADVERTISEMENT, AUTHENTICATION, Advert, AdvertError, Authentication, ChecksumForm, Envelope,
    HEADER, MAX_CENTISECONDS,
};
use crate::{
    config::model::{Family, VrrpVersion},
    types::{Priority, RouterId},
};

/// Reads the payload of an IP packet of protocol 112, and says how its checksum was made. What comes
/// after the message is ignored. TTL, peer, password and interval are the caller's to check.
///
/// # Errors
/// The first reason, in the order of RFC 9568 section 7.1: layout, checksum, contents.
pub fn decode(payload: &[u8], envelope: Envelope) -> Result<(Advert, ChecksumForm), AdvertError> {
    let family = envelope.family().ok_or(AdvertError::Envelope)?;
    let layout = Layout::of(payload, family)?;
    let form = checksum_form(&layout, envelope)?;
    let [_, router, priority, ..] = *layout.header;
    let virtual_router_id = RouterId::new(router).ok_or(AdvertError::VirtualRouterId)?;
    let (interval, authentication) = match layout.version {
        VrrpVersion::V2 => version_2(&layout)?,
        VrrpVersion::V3 => (version_3_interval(layout.header), Authentication::None),
    };
    if interval.is_zero() {
        return Err(AdvertError::Interval);
    }
    let advert = Advert {
        version: layout.version,
        virtual_router_id,
        priority: match priority {
            0 => Priority::RELEASE,
            ordinary => Priority::new(ordinary).unwrap_or(Priority::OWNER),
        },
        interval,
        addresses: addresses(layout.addresses, family),
        authentication,
    };
    Ok((advert, form))
}

/// A message that is as long as it says.
struct Layout<'a> {
    version: VrrpVersion,
    /// All of it, without what follows.
    message: &'a [u8],
    header: &'a [u8; HEADER],
    addresses: &'a [u8],
    /// Empty in version 3.
    authentication: &'a [u8],
}

impl<'a> Layout<'a> {
    fn of(payload: &'a [u8], family: Family) -> Result<Self, AdvertError> {
        let got = payload.len();
        let (header, rest) = payload
            .split_first_chunk::<HEADER>()
            .ok_or(AdvertError::Truncated(got))?;
        let [version_type, _, _, count, ..] = *header;
        let version = match (version_type >> 4, family) {
            (2, Family::V4) => VrrpVersion::V2,
            (2, Family::V6) => return Err(AdvertError::VersionFamily),
            (3, _) => VrrpVersion::V3,
            (other, _) => return Err(AdvertError::Version(other)),
        };
        let message_type = version_type & 0x0f;
        if message_type != ADVERTISEMENT {
            return Err(AdvertError::Type(message_type));
        }
        let list = usize::from(count) * address_size(family);
        let tail = match version {
            VrrpVersion::V2 => AUTHENTICATION,
            VrrpVersion::V3 => 0,
        };
        let needed = HEADER + list + tail;
        let short = AdvertError::Length { needed, got };
        let message = payload.get(..needed).ok_or(short)?;
        let (addresses, rest) = rest.split_at_checked(list).ok_or(short)?;
        let authentication = rest.get(..tail).ok_or(short)?;
        Ok(Self {
            version,
            message,
            header,
            addresses,
            authentication,
        })
    }
}

/// The first form that holds: the one that most routers send comes first, and where the destination
/// is the group, "the group instead of the destination" is no form of its own.
fn checksum_form(layout: &Layout<'_>, envelope: Envelope) -> Result<ChecksumForm, AdvertError> {
    let forms: &[ChecksumForm] = match (layout.version, envelope.destination) {
        (VrrpVersion::V2, _) => &[ChecksumForm::MessageOnly],
        (VrrpVersion::V3, IpAddr::V6(_)) => &[ChecksumForm::PseudoHeader],
        (VrrpVersion::V3, IpAddr::V4(_)) => &[
            ChecksumForm::PseudoHeader,
            ChecksumForm::MessageOnly,
            ChecksumForm::MulticastPseudoHeader,
        ],
    };
    let [.., high, low] = *layout.header;
    forms
        .iter()
        .copied()
        .find(|form| form.holds(layout.message, envelope))
        .ok_or(AdvertError::Checksum(u16::from_be_bytes([high, low])))
}

fn version_2(layout: &Layout<'_>) -> Result<(Duration, Authentication), AdvertError> {
    let [_, _, _, _, authentication_type, seconds, _, _] = *layout.header;
    let authentication = match (authentication_type, layout.authentication.first_chunk()) {
        (0, _) => Authentication::None,
        (1, Some(password)) => Authentication::Simple(*password),
        (other, _) => return Err(AdvertError::AuthenticationType(other)),
    };
    Ok((Duration::from_secs(seconds.into()), authentication))
}

fn version_3_interval(header: &[u8; HEADER]) -> Duration {
    let [_, _, _, _, high, low, _, _] = *header;
    let centiseconds = u16::from_be_bytes([high, low]) & MAX_CENTISECONDS;
    Duration::from_millis(u64::from(centiseconds) * 10)
}

fn addresses(bytes: &[u8], family: Family) -> Vec<IpAddr> {
    match family {
        Family::V4 => {
            let (chunks, _) = bytes.as_chunks::<4>();
            chunks.iter().map(|c| Ipv4Addr::from(*c).into()).collect()
        }
        Family::V6 => {
            let (chunks, _) = bytes.as_chunks::<16>();
            chunks.iter().map(|c| Ipv6Addr::from(*c).into()).collect()
        }
    }
}

fn address_size(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}
