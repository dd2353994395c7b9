//! Why a conversation with rtnetlink failed; every operation wraps this with what it was about.

use std::{error::Error, io};

use nix::errno::Errno;

/// No netlink socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a netlink socket")]
pub struct OpenError(#[source] pub io::Error);

/// One request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The kernel wants CAP_NET_ADMIN for this.
    #[error("not permitted: run as root or grant CAP_NET_ADMIN")]
    NotPermitted,
    /// The kernel refused, with its error number.
    #[error("the kernel says {0}")]
    Kernel(Errno),
    /// The future of the connection ended or is gone.
    #[error("the netlink connection is closed")]
    Closed,
    /// The socket's receive buffer overflowed and took the answer with it.
    #[error("the kernel's answer was lost for lack of buffer space")]
    Lost,
    /// No answer in five seconds: it was lost, or nobody polls the connection.
    #[error("the kernel did not answer in time")]
    TimedOut,
}

impl RequestError {
    /// From a netlink error code: a negative error number.
    pub(super) fn from_code(code: i32) -> Self {
        match Errno::from_raw(code.wrapping_neg()) {
            Errno::EPERM => Self::NotPermitted,
            errno => Self::Kernel(errno),
        }
    }

    /// Whether the kernel gave exactly this reason.
    pub(super) fn is(self, errno: Errno) -> bool {
        self == Self::Kernel(errno)
    }
}

/// An error with everything that caused it, for the log.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
