//! Pure: the messages of IPVS's generic netlink family (kernel: `include/uapi/linux/ip_vs.h`,
//! `net/netfilter/ipvs/ip_vs_ctl.c`), and as much of generic netlink as finding the family takes.
//!
//! ```text
//!  0       4       6       8       12      16  17  18      20
//! +-------+-------+-------+-------+-------+---+---+-------+------ … --+
//! | length| type: | flags | seq.  | port  |cmd|ver| zero  | attributes|
//! |       | family|       |       | (0)   |   |   |       |           |
//! +-------+-------+-------+-------+-------+---+---+-------+------ … --+
//!   `struct nlmsghdr`                       `struct genlmsghdr`
//! ```

mod attribute;
mod daemon;
mod destination;
mod service;

use std::net::IpAddr;

use super::table::{
    Destination, DestinationKey, SeenDestination, SeenService, ServiceKey, Settings, Stats,
    SyncDaemon,
};
use crate::config::model::Family;
use attribute::{all, put, put_nested, put_text};

/// A message that is not as the kernel writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends before what it announces.
    #[error("a netlink message is cut off")]
    CutOff,
    /// A number of an unexpected size.
    #[error("a netlink attribute has an unexpected size")]
    Size,
    /// Bytes that are no text where text is due.
    #[error("a netlink attribute holds no text")]
    Text,
    /// What identifies the thing is not there.
    #[error("a netlink message lacks an attribute")]
    Missing,
    /// An address family that is neither IPv4 nor IPv6.
    #[error("a netlink message names an unknown address family")]
    Family,
}

/// What is asked of the kernel. There is no flush among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The number of the family called `IPVS`.
    Family,
    /// All services.
    Services,
    /// All real servers of a service.
    Destinations(ServiceKey),
    /// A new service.
    AddService(ServiceKey, Settings),
    /// A service with other settings; its connections stay.
    SetService(ServiceKey, Settings),
    /// A service and all its real servers away.
    RemoveService(ServiceKey),
    /// A new real server.
    AddDestination(ServiceKey, DestinationKey, Destination),
    /// A real server with another weight or way to it; its connections stay.
    SetDestination(ServiceKey, DestinationKey, Destination),
    /// A real server away.
    RemoveDestination(ServiceKey, DestinationKey),
    /// The sync daemons.
    Daemons,
    /// A sync daemon started.
    StartDaemon(SyncDaemon),
    /// A sync daemon stopped.
    StopDaemon(SyncDaemon),
}

/// What the kernel answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, or refused with this `errno` (positive).
    Status(i32),
    /// The end of a list.
    End,
    /// The family's number.
    Family(u16),
    /// A service, its real servers not among it.
    Service(ServiceKey, SeenService),
    /// A real server of the service that was asked about.
    Destination(DestinationKey, SeenDestination),
    /// A sync daemon.
    Daemon(SyncDaemon),
    /// Something we did not ask for.
    Other,
}

impl Request {
    /// The message. `family` is what [`Reply::Family`] said (not used by [`Request::Family`]);
    /// `sequence` comes back in the answer.
    #[must_use]
    pub fn encode(&self, family: u16, sequence: u32) -> Vec<u8> {
        let (command, flags) = self.head();
        let (kind, version) = match self {
            Self::Family => (GENL_ID_CTRL, GENL_CTRL_VERSION),
            _ => (family, IPVS_VERSION),
        };
        let mut out = Vec::with_capacity(128);
        out.extend([0; 4]);
        out.extend(kind.to_ne_bytes());
        out.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend([0; 4]);
        out.extend([command, version, 0, 0]);
        self.attributes(&mut out);
        let length = u32::try_from(out.len()).expect("our messages are short");
        out[..4].copy_from_slice(&length.to_ne_bytes());
        out
    }

    /// Whether the answer is a list that ends with [`Reply::End`].
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.head().1 & NLM_F_DUMP == NLM_F_DUMP
    }

    /// The service that it is about.
    #[must_use]
    pub fn service(&self) -> Option<ServiceKey> {
        match self {
            Self::Family
            | Self::Services
            | Self::Daemons
            | Self::StartDaemon(_)
            | Self::StopDaemon(_) => None,
            Self::Destinations(key)
            | Self::RemoveService(key)
            | Self::AddService(key, _)
            | Self::SetService(key, _)
            | Self::AddDestination(key, ..)
            | Self::SetDestination(key, ..)
            | Self::RemoveDestination(key, _) => Some(*key),
        }
    }

    fn head(&self) -> (u8, u16) {
        match self {
            Self::Family => (CTRL_CMD_GETFAMILY, NLM_F_ACK),
            Self::Services => (IPVS_CMD_GET_SERVICE, NLM_F_DUMP),
            Self::Destinations(_) => (IPVS_CMD_GET_DEST, NLM_F_DUMP),
            Self::AddService(..) => (IPVS_CMD_NEW_SERVICE, NLM_F_ACK),
            Self::SetService(..) => (IPVS_CMD_SET_SERVICE, NLM_F_ACK),
            Self::RemoveService(_) => (IPVS_CMD_DEL_SERVICE, NLM_F_ACK),
            Self::AddDestination(..) => (IPVS_CMD_NEW_DEST, NLM_F_ACK),
            Self::SetDestination(..) => (IPVS_CMD_SET_DEST, NLM_F_ACK),
            Self::RemoveDestination(..) => (IPVS_CMD_DEL_DEST, NLM_F_ACK),
            Self::Daemons => (IPVS_CMD_GET_DAEMON, NLM_F_DUMP),
            Self::StartDaemon(_) => (IPVS_CMD_NEW_DAEMON, NLM_F_ACK),
            Self::StopDaemon(_) => (IPVS_CMD_DEL_DAEMON, NLM_F_ACK),
        }
    }

    fn attributes(&self, out: &mut Vec<u8>) {
        match self {
            Self::Family => put_text(out, CTRL_ATTR_FAMILY_NAME, IPVS_NAME),
            Self::Services | Self::Daemons => {}
            Self::Destinations(key) | Self::RemoveService(key) => put_service(out, *key, None),
            Self::AddService(key, settings) | Self::SetService(key, settings) => {
                put_service(out, *key, Some(settings));
            }
            Self::AddDestination(service, key, destination)
            | Self::SetDestination(service, key, destination) => {
                put_service(out, *service, None);
                put_nested(out, IPVS_CMD_ATTR_DEST, |out| {
                    destination::put_key(out, *key);
                    destination::put_settings(out, destination);
                });
            }
            Self::RemoveDestination(service, key) => {
                put_service(out, *service, None);
                put_nested(out, IPVS_CMD_ATTR_DEST, |out| {
                    destination::put_key(out, *key);
                });
            }
            Self::StartDaemon(daemon) | Self::StopDaemon(daemon) => {
                put_nested(out, IPVS_CMD_ATTR_DAEMON, |out| daemon::put(out, daemon));
            }
        }
    }
}

fn put_service(out: &mut Vec<u8>, key: ServiceKey, settings: Option<&Settings>) {
    put_nested(out, IPVS_CMD_ATTR_SERVICE, |out| {
        service::put_key(out, key);
        if let Some(settings) = settings {
            service::put_settings(out, key.family(), settings);
        }
    });
}

/// The messages in what one call of `recv` brought, each with its sequence number.
///
/// # Errors
/// A message is not as the kernel writes them.
pub fn decode(datagram: &[u8]) -> Result<Vec<(u32, Reply)>, Malformed> {
    let mut replies = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let (header, _) = rest
            .split_at_checked(NETLINK_HEADER)
            .ok_or(Malformed::CutOff)?;
        let length = attribute::u32(&header[..4])? as usize;
        let kind = attribute::u16(&header[4..6])?;
        let sequence = attribute::u32(&header[8..12])?;
        let body = rest.get(NETLINK_HEADER..length).ok_or(Malformed::CutOff)?;
        replies.push((sequence, message(kind, body)?));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(replies)
}

fn message(kind: u16, body: &[u8]) -> Result<Reply, Malformed> {
    match kind {
        NLMSG_ERROR => {
            let code = body.get(..4).ok_or(Malformed::CutOff)?;
            let code = i32::from_ne_bytes(attribute::exact(code)?);
            Ok(Reply::Status(code.saturating_neg()))
        }
        NLMSG_DONE => Ok(Reply::End),
        NLMSG_NOOP | NLMSG_OVERRUN => Ok(Reply::Other),
        _ => {
            let (header, attributes) = body
                .split_at_checked(GENERIC_HEADER)
                .ok_or(Malformed::CutOff)?;
            generic(kind, header[0], attributes)
        }
    }
}

fn generic(kind: u16, command: u8, attributes: &[u8]) -> Result<Reply, Malformed> {
    let value = |wanted| value_of(attributes, wanted);
    match (kind, command) {
        (GENL_ID_CTRL, _) => attribute::u16(value(CTRL_ATTR_FAMILY_ID)?).map(Reply::Family),
        (_, IPVS_CMD_NEW_SERVICE) => service::decode(value(IPVS_CMD_ATTR_SERVICE)?)
            .map(|(key, service)| Reply::Service(key, service)),
        (_, IPVS_CMD_NEW_DEST) => destination::decode(value(IPVS_CMD_ATTR_DEST)?)
            .map(|(key, seen)| Reply::Destination(key, seen)),
        (_, IPVS_CMD_NEW_DAEMON) => daemon::decode(value(IPVS_CMD_ATTR_DAEMON)?).map(Reply::Daemon),
        _ => Ok(Reply::Other),
    }
}

/// The value of the first attribute of a type.
fn value_of(attributes: &[u8], wanted: u16) -> Result<&[u8], Malformed> {
    for one in all(attributes) {
        let (kind, value) = one?;
        if kind == wanted {
            return Ok(value);
        }
    }
    Err(Malformed::Missing)
}

/// An IPv4 or IPv6 address, 16 bytes in network byte order; IPv4 has the first four.
fn put_address(out: &mut Vec<u8>, kind: u16, address: IpAddr) {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    put(out, kind, &bytes);
}

fn address(family: Family, value: &[u8]) -> Result<IpAddr, Malformed> {
    let bytes: [u8; 16] = attribute::exact(value)?;
    Ok(match family {
        Family::V4 => [bytes[0], bytes[1], bytes[2], bytes[3]].into(),
        Family::V6 => bytes.into(),
    })
}

/// `AF_INET`, `AF_INET6` (kernel: `include/linux/socket.h`).
fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

fn family(number: u16) -> Result<Family, Malformed> {
    match number {
        2 => Ok(Family::V4),
        10 => Ok(Family::V6),
        _ => Err(Malformed::Family),
    }
}

/// Counters from `IPVS_…_ATTR_STATS64`.
fn stats(value: &[u8]) -> Result<Stats, Malformed> {
    let mut stats = Stats::default();
    for one in all(value) {
        let (kind, value) = one?;
        let field = match kind {
            IPVS_STATS_ATTR_CONNS => &mut stats.connections,
            IPVS_STATS_ATTR_INPKTS => &mut stats.packets_in,
            IPVS_STATS_ATTR_OUTPKTS => &mut stats.packets_out,
            IPVS_STATS_ATTR_INBYTES => &mut stats.bytes_in,
            IPVS_STATS_ATTR_OUTBYTES => &mut stats.bytes_out,
            IPVS_STATS_ATTR_INPPS => &mut stats.packets_in_per_second,
            _ => continue,
        };
        *field = attribute::u64(value)?;
    }
    Ok(stats)
}

const NETLINK_HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

// include/uapi/linux/netlink.h
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;

// include/uapi/linux/genetlink.h
const GENL_ID_CTRL: u16 = 0x10;
const GENL_CTRL_VERSION: u8 = 2;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

// include/uapi/linux/ip_vs.h
const IPVS_NAME: &str = "IPVS";
const IPVS_VERSION: u8 = 1;
const IPVS_CMD_NEW_SERVICE: u8 = 1;
const IPVS_CMD_SET_SERVICE: u8 = 2;
const IPVS_CMD_DEL_SERVICE: u8 = 3;
const IPVS_CMD_GET_SERVICE: u8 = 4;
const IPVS_CMD_NEW_DEST: u8 = 5;
const IPVS_CMD_SET_DEST: u8 = 6;
const IPVS_CMD_DEL_DEST: u8 = 7;
const IPVS_CMD_GET_DEST: u8 = 8;
const IPVS_CMD_NEW_DAEMON: u8 = 9;
const IPVS_CMD_DEL_DAEMON: u8 = 10;
const IPVS_CMD_GET_DAEMON: u8 = 11;
const IPVS_CMD_ATTR_SERVICE: u16 = 1;
const IPVS_CMD_ATTR_DEST: u16 = 2;
const IPVS_CMD_ATTR_DAEMON: u16 = 3;
const IPVS_STATS_ATTR_CONNS: u16 = 1;
const IPVS_STATS_ATTR_INPKTS: u16 = 2;
const IPVS_STATS_ATTR_OUTPKTS: u16 = 3;
const IPVS_STATS_ATTR_INBYTES: u16 = 4;
const IPVS_STATS_ATTR_OUTBYTES: u16 = 5;
const IPVS_STATS_ATTR_INPPS: u16 = 7;

#[cfg(test)]
mod tests;
