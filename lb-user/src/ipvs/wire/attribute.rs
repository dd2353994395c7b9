//! What is in the netlink attributes of IPVS. All numbers are in host byte order, unless a sentence says
//! otherwise; ports and addresses are in network byte order.

use super::Malformed;
use crate::net::attribute::{self, CutOff};
pub(super) use crate::net::attribute::{put, put_nested, put_text};

/// The attributes in `bytes`, as type and value; ends after the first that is cut off.
pub(super) fn all(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    attribute::all(bytes).map(|one| one.map_err(|CutOff| Malformed::CutOff))
}

/// A value of exactly `N` bytes.
pub(super) fn exact<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed::Size)
}

/// A 16-bit number.
pub(super) fn u16(value: &[u8]) -> Result<u16, Malformed> {
    exact(value).map(u16::from_ne_bytes)
}

/// A 32-bit number.
pub(super) fn u32(value: &[u8]) -> Result<u32, Malformed> {
    exact(value).map(u32::from_ne_bytes)
}

/// A 64-bit number.
pub(super) fn u64(value: &[u8]) -> Result<u64, Malformed> {
    exact(value).map(u64::from_ne_bytes)
}

/// Text up to the first zero.
pub(super) fn text(value: &[u8]) -> Result<String, Malformed> {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8(text.to_vec()).map_err(|_| Malformed::Text)
}
