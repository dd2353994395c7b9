//! Netlink attributes (kernel: `include/uapi/linux/netlink.h`). Lengths and types are in host byte order.
//!
//! ```text
//!  0               2               4
//! +---------------+---------------+------------- … --+--------+
//! | length, header| type          | value            | to 4·n |
//! | included      | (14 bits)     |                  |        |
//! +---------------+---------------+------------- … --+--------+
//! ```

/// An attribute ends before its header or its value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

/// Appends an attribute.
///
/// # Panics
/// If `value` is longer than 65,531 bytes; ours are shorter than 100.
pub(crate) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(HEADER + value.len()).expect("our attributes are short");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

/// Appends a string with its terminating zero.
pub(crate) fn put_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    let mut value = text.as_bytes().to_vec();
    value.push(0);
    put(out, kind, &value);
}

/// Appends an attribute that holds others.
pub(crate) fn put_nested(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut value = Vec::new();
    fill(&mut value);
    put(out, kind | NESTED, &value);
}

/// The attributes in `bytes`, as type and value; ends after the first that is cut off.
pub(crate) fn all(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), CutOff>> {
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

fn first(bytes: &[u8]) -> Result<(u16, &[u8]), CutOff> {
    let (header, _) = bytes.split_at_checked(HEADER).ok_or(CutOff)?;
    let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
    let kind = u16::from_ne_bytes([header[2], header[3]]) & KIND;
    let value = bytes.get(HEADER..length).ok_or(CutOff)?;
    Ok((kind, value))
}

const HEADER: usize = 4;
const ALIGNMENT: usize = 4;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const KIND: u16 = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        put_nested(&mut bytes, 1, |out| put_text(out, 7, "ab"));
        put(&mut bytes, 2, b"");
        let read: Vec<_> = all(&bytes).collect();
        assert_eq!(read, [Ok((1, &b"\x07\0\x07\0ab\0\0"[..])), Ok((2, b""))]);
        let (_, inside) = read[0].unwrap();
        assert_eq!(all(inside).next(), Some(Ok((7, &b"ab\0"[..]))));
    }

    #[test]
    fn lengths_that_lie_end_the_list() {
        for bytes in [
            &[0, 0, 0, 0][..],
            &[3, 0, 1, 0],
            &[9, 0, 1, 0, 7, 7, 7, 7],
            &[4, 0],
        ] {
            let read: Vec<_> = all(bytes).collect();
            assert_eq!(read, [Err(CutOff)], "{bytes:?}");
        }
    }
}
