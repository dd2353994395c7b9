//! [`Advert`] to bytes.

use std::{net::IpAddr, time::Duration};

use super::{
    ADVERTISEMENT, AUTHENTICATION, Advert, Authentication, ChecksumForm, EncodeError, Envelope,
    HEADER, MAX_CENTISECONDS,
};
use crate::config::model::{Family, VrrpVersion};

/// Writes an advert as the payload of an IP packet of protocol 112, in place of what `out` held.
/// `form` chooses only where there is a choice: in version 3 over IPv4.
///
/// # Errors
/// The advert is none that a router may send from there; `out` is then empty.
pub fn encode(
    advert: &Advert,
    form: ChecksumForm,
    envelope: Envelope,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.clear();
    let header = header(advert, envelope)?;
    out.extend_from_slice(&header);
    for address in &advert.addresses {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    let form = match (advert.version, envelope.destination) {
        (VrrpVersion::V2, _) => {
            out.extend_from_slice(&authentication_data(&advert.authentication));
            ChecksumForm::MessageOnly
        }
        (VrrpVersion::V3, IpAddr::V4(_)) => form,
        (VrrpVersion::V3, IpAddr::V6(_)) => ChecksumForm::PseudoHeader,
    };
    let checksum = form.checksum(out, envelope);
    out[CHECKSUM_AT..HEADER].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// The header with a checksum of zero; the address list is checked, so that writing cannot fail.
fn header(advert: &Advert, envelope: Envelope) -> Result<[u8; HEADER], EncodeError> {
    let family = envelope.family().ok_or(EncodeError::Envelope)?;
    let other = |address: &&IpAddr| Family::of(**address) != family;
    if let Some(address) = advert.addresses.iter().find(other) {
        return Err(EncodeError::AddressFamily(*address));
    }
    let count = advert.addresses.len();
    let count = u8::try_from(count).map_err(|_| EncodeError::AddressCount(count))?;
    let (version, [fifth, sixth]) = match (advert.version, family) {
        (VrrpVersion::V2, Family::V4) => (
            2,
            [
                authentication_type(&advert.authentication),
                seconds(advert.interval)?,
            ],
        ),
        (VrrpVersion::V2, Family::V6) => return Err(EncodeError::VersionFamily),
        (VrrpVersion::V3, _) if advert.authentication != Authentication::None => {
            return Err(EncodeError::Authentication);
        }
        (VrrpVersion::V3, _) => (3, centiseconds(advert.interval)?.to_be_bytes()),
    };
    Ok([
        version << 4 | ADVERTISEMENT,
        advert.virtual_router_id.get(),
        advert.priority.get(),
        count,
        fifth,
        sixth,
        0,
        0,
    ])
}

fn authentication_type(authentication: &Authentication) -> u8 {
    match authentication {
        Authentication::None => 0,
        Authentication::Simple(_) => 1,
    }
}

fn authentication_data(authentication: &Authentication) -> [u8; AUTHENTICATION] {
    match authentication {
        Authentication::None => [0; AUTHENTICATION],
        Authentication::Simple(password) => *password,
    }
}

fn seconds(interval: Duration) -> Result<u8, EncodeError> {
    steps(interval, Duration::from_secs(1))
        .and_then(|seconds| u8::try_from(seconds).ok())
        .ok_or(EncodeError::Interval(interval))
}

fn centiseconds(interval: Duration) -> Result<u16, EncodeError> {
    steps(interval, Duration::from_millis(10))
        .and_then(|steps| u16::try_from(steps).ok())
        .filter(|steps| *steps <= MAX_CENTISECONDS)
        .ok_or(EncodeError::Interval(interval))
}

/// How many steps an interval is; `None` for zero and where a part of a step would be lost.
fn steps(interval: Duration, step: Duration) -> Option<u128> {
    let (interval, step) = (interval.as_nanos(), step.as_nanos());
    (interval > 0 && interval.is_multiple_of(step)).then_some(interval / step)
}

/// The header ends with it.
const CHECKSUM_AT: usize = HEADER - 2;
