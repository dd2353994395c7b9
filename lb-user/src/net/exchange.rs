//! One netlink message, and the first that comes back. The kernel answers within `send`, so nothing
//! waits here.

use std::io;

use netlink_sys::{Socket, SocketAddr};

/// Sends one message from a socket of its own; the type and the payload of the first that comes back.
/// `NLM_F_REQUEST` is added to `flags`.
///
/// # Errors
/// The kernel's errno, or that the answer is cut off.
pub(crate) fn exchange(
    protocol: isize,
    kind: u16,
    flags: u16,
    payload: &[u8],
) -> io::Result<(u16, Vec<u8>)> {
    let length = u32::try_from(HEADER + payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut message = Vec::from(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((flags | REQUEST).to_ne_bytes());
    message.extend([0; 8]); // Sequence number and port: this socket asks once.
    message.extend(payload);
    let socket = Socket::new(protocol)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    socket.send(&message, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    first(&answer)
}

/// The type and the payload of the first message in `answer`.
fn first(answer: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let word = |at: usize| {
        answer
            .get(at..at + 4)
            .and_then(|b| <[u8; 4]>::try_from(b).ok())
    };
    let length = u32::from_ne_bytes(word(0).ok_or_else(short)?);
    let [kind_low, kind_high, ..] = word(4).ok_or_else(short)?;
    let kind = u16::from_ne_bytes([kind_low, kind_high]);
    if kind == ERROR {
        let code = i32::from_ne_bytes(word(HEADER).ok_or_else(short)?);
        return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
    }
    let end = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(answer.len());
    Ok((kind, answer.get(HEADER..end).unwrap_or_default().to_vec()))
}

/// `struct nlmsghdr`
const HEADER: usize = 16;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;
/// `NLM_F_DUMP`
pub(crate) const DUMP: u16 = 0x300;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
pub(crate) const DONE: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32, kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn the_first_message_is_read_and_what_follows_left() {
        let two = [message(20, 7, b"abcd"), message(20, 8, b"efgh")].concat();
        let (kind, payload) = first(&two).unwrap();
        assert_eq!((kind, payload.as_slice()), (7, &b"abcd"[..]));
    }

    #[test]
    fn an_error_is_the_kernel_s_errno() {
        let answer = message(36, ERROR, &(-libc::ENOENT).to_ne_bytes());
        assert_eq!(
            first(&answer).unwrap_err().raw_os_error(),
            Some(libc::ENOENT)
        );
    }

    #[test]
    fn what_is_cut_off_is_an_error_or_a_short_payload() {
        for answer in [&[][..], &[16, 0, 0, 0], &message(36, ERROR, &[])] {
            let error = first(answer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{answer:?}");
        }
        for length in [0, 3, 4000] {
            let (_, payload) = first(&message(length, 7, b"ab")).unwrap();
            assert!(payload.len() <= 2, "{length}");
        }
    }
}
