//! Raw sockets that carry adverts: one per interface and family, shared by all virtual routers there.
//!
//! Nothing is judged here but the IP header: TTL, source and destination go up with the payload. A
//! socket starts no task; dropping it leaves the group.
//!
//! A socket stays with the interface it was opened on, by number: it survives that the link goes down
//! and comes back, and hears nothing any more (without an error) when the interface is removed. A new
//! interface of the same name needs a new socket: whoever reads must follow link events.

mod options;
mod receive;

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, sendmsg},
};
use socket2::{Domain, Protocol, Type};

use crate::{
    config::model::Family,
    net::async_socket::AsyncSocket,
    types::{IfIndex, IfName},
};

#[cfg(test)]
mod tests;

/// Where IPv4 adverts go (RFC 9568 section 5.1.1.2).
pub const MULTICAST_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where IPv6 adverts go (RFC 9568 section 5.1.2.2).
pub const MULTICAST_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Longest packet a reader need expect, in bytes: 255 IPv6 addresses take 4088, 255 IPv4 ones with the
/// longest IP header 1096. A longer one is malformed.
pub const PACKET_MAX: usize = 4096;

/// Where adverts of this family go.
#[must_use]
pub fn multicast(family: Family) -> IpAddr {
    match family {
        Family::V4 => MULTICAST_V4.into(),
        Family::V6 => MULTICAST_V6.into(),
    }
}

/// A raw socket of protocol 112 on one interface.
#[derive(Debug)]
pub struct Socket {
    socket: AsyncSocket,
    index: IfIndex,
    family: Family,
}

/// One packet as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'b> {
    /// From the IP header.
    pub source: IpAddr,
    /// From the IP header: the group, or an address of ours.
    pub destination: IpAddr,
    /// TTL or hop limit: 255 if no router forwarded the packet.
    pub ttl: u8,
    /// What follows the IP header. Empty if the header is malformed or the buffer was too short.
    pub payload: &'b [u8],
}

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Raw sockets need a capability.
    #[error("not permitted to send adverts on {interface}: run as root or grant CAP_NET_RAW")]
    NotPermitted {
        /// Where.
        interface: IfName,
    },
    /// The interface is gone, or has no IP of this family.
    #[error(
        "cannot join {} on {interface}: does the interface exist, with {family} on?",
        multicast(*family)
    )]
    Join {
        /// Where.
        interface: IfName,
        /// Of which family.
        family: Family,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot open a socket for {family} adverts on {interface}")]
    Open {
        /// Where.
        interface: IfName,
        /// Of which family.
        family: Family,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace: bound to the interface, in the group
    /// of its family, sending with TTL 255, class of service CS6 and no copy to ourselves. `name` is
    /// only what errors call the interface. Needs CAP_NET_RAW.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn open(name: &IfName, index: IfIndex, family: Family) -> Result<Self, SocketError> {
        let failed = |source: io::Error| match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM | Errno::EACCES) => SocketError::NotPermitted {
                interface: name.clone(),
            },
            _ => SocketError::Open {
                interface: name.clone(),
                family,
                source,
            },
        };
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let protocol = Some(Protocol::from(PROTOCOL));
        let socket = socket2::Socket::new(domain, Type::RAW, protocol).map_err(failed)?;
        options::prepare(&socket, index, family).map_err(failed)?;
        options::join(&socket, index, family).map_err(|source| SocketError::Join {
            interface: name.clone(),
            family,
            source,
        })?;
        Ok(Self {
            socket: AsyncSocket::new(socket).map_err(failed)?,
            index,
            family,
        })
    }

    /// Waits until there may be something to read. Cancel safe.
    pub async fn readable(&self) {
        if self.socket.readable().await.is_err() {
            // The runtime is ending.
            std::future::pending::<()>().await;
        }
    }

    /// The next packet, if there is one. Asks the kernel itself, not tokio, which learns of a packet
    /// only when it looks: whether a master is silent is decided once this said that nothing is left.
    ///
    /// # Errors
    /// The kernel's, none of them about a packet. [`io::ErrorKind::NetworkDown`] and what else names
    /// the interface goes away with a new socket once the link is back.
    pub fn try_receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let socket = self.socket.get_ref();
        let received = match self.family {
            Family::V4 => receive::read_v4(socket, buffer).map(|length| (length, None)),
            Family::V6 => {
                receive::read_v6(socket, buffer).map(|(length, header)| (length, Some(header)))
            }
        };
        let (length, header) = match received {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let packet = buffer.get(..length).unwrap_or_default();
        Ok(Some(match header {
            None => receive::strip_v4(packet),
            Some(header) => Received {
                source: header.source.into(),
                destination: header.destination.into(),
                ttl: header.hop_limit,
                payload: packet,
            },
        }))
    }

    /// Sends one packet from exactly `source`, which must be an address of this host (for link-local
    /// ones: of this interface) and out of this interface whatever the routes say. Never waits.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`]: this socket's queue is full. (What a full queue of the interface
    /// drops, the kernel tells only those who ask for ICMP errors too.)
    /// [`io::ErrorKind::InvalidInput`] or `ENETUNREACH`, by kernel and family: `source` is not ours
    /// (any more) or still under duplicate detection. `ENODEV`, `ENXIO`, `ENETDOWN`, `ENETUNREACH`: the
    /// interface is gone or down, or leads to no such destination.
    pub fn send(&self, source: IpAddr, destination: IpAddr, payload: &[u8]) -> io::Result<()> {
        let socket = self.socket.get_ref().as_raw_fd();
        let bytes = [IoSlice::new(payload)];
        let flags = MsgFlags::MSG_DONTWAIT;
        match (self.family, source, destination) {
            (Family::V4, IpAddr::V4(source), IpAddr::V4(destination)) => {
                let from = [ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                    ipi_ifindex: i32::try_from(self.index.get()).map_err(|_| Errno::ENODEV)?,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(source).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                })];
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                sendmsg(socket, &bytes, &from, flags, Some(&to))?;
            }
            (Family::V6, IpAddr::V6(source), IpAddr::V6(destination)) => {
                let from = [ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: source.octets(),
                    },
                    ipi6_ifindex: self.index.get(),
                })];
                let to = SocketAddrV6::new(destination, 0, 0, self.index.get());
                sendmsg(socket, &bytes, &from, flags, Some(&SockaddrIn6::from(to)))?;
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }
}

/// The protocol's number in the IP header (RFC 9568 section 5.1.1.4).
const PROTOCOL: i32 = 112;
