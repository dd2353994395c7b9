//! Which tables nftables has: all that is asked of it without the program `nft`.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;

use super::{
    attribute::put_text,
    exchange::{DONE, DUMP, exchange},
};

/// Whether there are any tables.
///
/// # Errors
/// The kernel cannot be asked.
pub(crate) fn has_tables() -> io::Result<bool> {
    // Any family, version 0, no resource.
    match exchange(NETLINK_NETFILTER, GET_TABLE, DUMP, &[0; 4]) {
        Ok((kind, _)) => Ok(kind != DONE),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is a table of this name in the family `inet`.
///
/// # Errors
/// The kernel cannot be asked.
pub(crate) fn has_inet_table(name: &str) -> io::Result<bool> {
    let mut message = vec![NFPROTO_INET, 0, 0, 0];
    put_text(&mut message, NFTA_TABLE_NAME, name);
    match exchange(NETLINK_NETFILTER, GET_TABLE, 0, &message) {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// No such table, or, where nobody has ever made one, no such subsystem.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL))
}

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE` (include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h)
const GET_TABLE: u16 = 10 << 8 | 1;
const NFTA_TABLE_NAME: u16 = 1;
/// include/uapi/linux/netfilter.h
const NFPROTO_INET: u8 = 1;
