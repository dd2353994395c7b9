//! Netlink attributes (kernel: `include/uapi/linux/netlink.h`). All numbers are in host byte order,
//! unless a sentence says otherwise; ports and addresses of IPVS are in network byte order.
//!
//! ```text
//!  0               2               4
//! +---------------+---------------+------------- … --+--------+
//! | length, header| type          | value            | to 4·n |
//! | included      | (14 bits)     |                  |        |
//! +---------------+---------------+------------- … --+--------+
//! ```

use super::Malformed;

/// Appends an attribute.
///
/// # Panics
/// If `value` is longer than 65,531 bytes; ours are shorter than 100.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(HEADER + value.len()).expect("our attributes are short");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

/// Appends a string with its terminating zero.
pub(super) fn put_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    let mut value = text.as_bytes().to_vec();
    value.push(0);
    put(out, kind, &value);
}

/// Appends an attribute that holds others.
pub(super) fn put_nested(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut value = Vec::new();
    fill(&mut value);
    put(out, kind | NESTED, &value);
}

/// The attributes in `bytes`, as type and value; ends after the first that is cut off.
pub(super) fn all(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let one = first(rest);
        rest = match &one {
            Ok((_, value)) => {
                let whole = (HEADER + value.len()).next_multiple_of(ALIGNMENT);
                rest.get(whole..).unwrap_or_default()
            }
            Err(_) => &[],
        };
        Some(one)
    })
}

fn first(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (header, _) = bytes.split_at_checked(HEADER).ok_or(Malformed::CutOff)?;
    let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
    let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND;
    let value = bytes.get(HEADER..length).ok_or(Malformed::CutOff)?;
    Ok((kind, value))
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

const HEADER: usize = 4;
const ALIGNMENT: usize = 4;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const KIND: u16 = 0x3fff;
