//! Three small questions to generic netlink and nf_tables, each one message long.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use nix::errno::Errno;

use crate::{
    doctor::facts::{Offloads, Seen, Unseen},
    net::{
        attribute::{all, put, put_nested, put_text},
        exchange::exchange,
        nftables,
    },
    types::IfIndex,
};

/// What the driver says that it can do with XDP (Linux 6.3).
pub(super) fn xdp_features(interface: IfIndex) -> Seen<u64> {
    let old = "the kernel cannot be asked what its driver can (before Linux 6.3)";
    let attributes = attribute(NETDEV_A_DEV_IFINDEX, &interface.get().to_ne_bytes());
    let answer = generic("netdev", NETDEV_CMD_DEV_GET, &attributes).map_err(|error| {
        Unseen(match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ENOENT | Errno::EOPNOTSUPP => old.to_owned(),
            _ => format!("the driver cannot be asked: {error}"),
        })
    })?;
    let features = find(&answer, NETDEV_A_DEV_XDP_FEATURES);
    features
        .and_then(|bytes| bytes.try_into().ok().map(u64::from_ne_bytes))
        .ok_or_else(|| Unseen(old.to_owned()))
}

/// Which features of an interface are on, as `ethtool -k` shows them.
pub(super) fn offloads(interface: IfIndex) -> Seen<Offloads> {
    let index = attribute(ETHTOOL_A_HEADER_DEV_INDEX, &interface.get().to_ne_bytes());
    let mut header = Vec::new();
    put_nested(&mut header, ETHTOOL_A_FEATURES_HEADER, |out| {
        out.extend(&index);
    });
    let answer = generic("ethtool", ETHTOOL_MSG_FEATURES_GET, &header)
        .map_err(|error| Unseen(format!("its offloads cannot be read: {error}")))?;
    let active = find(&answer, ETHTOOL_A_FEATURES_ACTIVE).unwrap_or_default();
    let bits = find(active, ETHTOOL_A_BITSET_BITS).unwrap_or_default();
    let mut offloads = Offloads::default();
    // Only those that are on are listed.
    for (_, bit) in attributes(bits) {
        let name = find(bit, ETHTOOL_A_BITSET_BIT_NAME).unwrap_or_default();
        match name.strip_suffix(b"\0").unwrap_or(name) {
            b"rx-lro" => offloads.lro = true,
            b"rx-gro-hw" => offloads.gro_hw = true,
            b"tx-checksum-ip-generic" | b"tx-checksum-ipv4" | b"tx-checksum-ipv6" => {
                offloads.tx_checksum = true;
            }
            _ => {}
        }
    }
    Ok(offloads)
}

/// Whether there are any tables of nftables.
pub(super) fn has_nftables() -> Seen<bool> {
    nftables::has_tables().map_err(|error| Unseen(format!("nftables cannot be asked: {error}")))
}

/// The attributes of the answer to a command of a family.
fn generic(family: &str, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
    let mut name = Vec::new();
    put_text(&mut name, CTRL_ATTR_FAMILY_NAME, family);
    let (_, answer) = exchange(
        NETLINK_GENERIC,
        GENL_ID_CTRL,
        0,
        &[&[CTRL_CMD_GETFAMILY, 1, 0, 0], name.as_slice()].concat(),
    )?;
    let id = answer
        .get(GENERIC_HEADER..)
        .and_then(|a| find(a, CTRL_ATTR_FAMILY_ID));
    let id = id.and_then(|bytes| bytes.try_into().ok().map(u16::from_ne_bytes));
    let id = id.ok_or_else(|| io::Error::from(Errno::ENOENT))?;
    let message = [&[command, 1, 0, 0], attributes].concat();
    let (_, answer) = exchange(NETLINK_GENERIC, id, 0, &message)?;
    Ok(answer.get(GENERIC_HEADER..).unwrap_or_default().to_vec())
}

/// An attribute by itself.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, kind, value);
    bytes
}

/// Types, without flags, and values, as far as they are whole.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    all(bytes).map_while(Result::ok)
}

fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// `struct genlmsghdr`
const GENERIC_HEADER: usize = 4;
/// include/uapi/linux/genetlink.h
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// include/uapi/linux/netdev.h
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// include/uapi/linux/ethtool_netlink.h
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
