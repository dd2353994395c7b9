//! The raw socket of one interface and family, shared by all virtual routers there.
//!
//! RFC 9568, section 5.1: protocol 112, TTL or hop limit 255, to 224.0.0.18 or ff02::12. The source is
//! given for each packet: the interface may hold virtual addresses, which the kernel would like as well.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Type};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    config::model::Family,
    types::{IfIndex, IfName},
};

#[cfg(test)]
mod tests;

/// Everybody's address for adverts over IPv4 (RFC 9568, section 5.1.1.2).
pub const MULTICAST_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Everybody's address for adverts over IPv6 (RFC 9568, section 5.1.2.2).
pub const MULTICAST_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Everybody's address for adverts.
#[must_use]
pub fn multicast(family: Family) -> IpAddr {
    match family {
        Family::V4 => MULTICAST_V4.into(),
        Family::V6 => MULTICAST_V6.into(),
    }
}

/// See the head of this file. Never blocks.
#[derive(Debug)]
pub struct Socket {
    fd: AsyncFd<socket2::Socket>,
    index: IfIndex,
    family: Family,
}

/// A packet, without its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'b> {
    /// Who sent it, as far as one can know.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Time to live, or hop limit, as it arrived; 0 if the kernel did not tell.
    pub ttl: u8,
    /// What follows the IP header; empty where that is cut off.
    pub payload: &'b [u8],
}

/// No socket for VRRP.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Raw sockets are for root.
    #[error("no raw socket for VRRP on `{0}`: run as root or grant CAP_NET_RAW")]
    NotPermitted(IfName),
    /// The socket could not be made or set up.
    #[error("cannot {step} on `{interface}`")]
    Setup {
        /// What failed.
        step: &'static str,
        /// Where.
        interface: IfName,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace, within a tokio runtime.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn open(name: &IfName, index: IfIndex, family: Family) -> Result<Self, SocketError> {
        let failed = |step| {
            move |source: io::Error| match source.kind() {
                io::ErrorKind::PermissionDenied => SocketError::NotPermitted(name.clone()),
                _ => SocketError::Setup {
                    step,
                    interface: name.clone(),
                    source,
                },
            }
        };
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = socket2::Socket::new(domain, Type::RAW, Some(Protocol::from(PROTOCOL)))
            .map_err(failed("open a raw socket for VRRP"))?;
        socket
            .set_nonblocking(true)
            .and_then(|()| socket.bind_device(Some(name.as_str().as_bytes())))
            .map_err(failed("bind VRRP"))?;
        let prepared = match family {
            Family::V4 => prepare_v4(&socket, index),
            Family::V6 => prepare_v6(&socket, index),
        };
        prepared.map_err(failed("join the multicast group of VRRP"))?;
        // Best effort: a burst of 255 routers fits the default on most hosts.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err()
            || socket.set_priority(PRIORITY).is_err()
        {
            tracing::debug!(interface = %name, "the socket of VRRP keeps default sizes");
        }
        #[expect(unsafe_code, reason = "tokio wants a promise about the descriptor")]
        // SAFETY: the socket owns its descriptor and moves into the `AsyncFd`, of which only shared
        // borrows are taken: it stays open and the same for as long as it is registered.
        let fd = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }
            .map_err(|error| error.into_parts().1)
            .map_err(failed("watch the socket of VRRP"))?;
        Ok(Self { fd, index, family })
    }

    /// Waits until there may be something to read. Cancel safe.
    pub async fn readable(&self) {
        match self.fd.readable().await {
            // Reads go past tokio (see `try_receive`): what is known of readiness ends here.
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }

    /// The next packet, if there is one: asks the kernel itself, not tokio, which learns of a packet
    /// only when it looks. Whether a master is silent is decided after this said that nothing is left.
    ///
    /// # Errors
    /// The interface is down or gone, or the kernel lacks memory.
    pub fn try_receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<Received<'b>>> {
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let (length, source, destination, ttl) = {
            let mut slices = [IoSliceMut::new(buffer)];
            let message = match recvmsg::<SockaddrStorage>(
                self.fd.get_ref().as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(message) => message,
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
            let (mut destination, mut ttl) = (None, None);
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                    }
                    ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
                    _ => {}
                }
            }
            let source = message
                .address
                .as_ref()
                .and_then(SockaddrStorage::as_sockaddr_in6)
                .map(SockaddrIn6::ip);
            (message.bytes, source, destination, ttl)
        };
        let packet = buffer.get(..length).unwrap_or_default();
        Ok(Some(match self.family {
            Family::V4 => strip_v4(packet),
            Family::V6 => Received {
                source: source.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
                destination: destination.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
                ttl: ttl.unwrap_or(0),
                payload: packet,
            },
        }))
    }

    /// Sends without waiting, from this source.
    ///
    /// # Errors
    /// A full queue, an interface that is down, a source that is not ours, addresses of another family.
    pub fn send(&self, source: IpAddr, destination: IpAddr, payload: &[u8]) -> io::Result<()> {
        let slices = [IoSlice::new(payload)];
        let fd = self.fd.get_ref().as_raw_fd();
        let index = self.index.get();
        let sent = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: i32::try_from(index).map_err(io::Error::other)?,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(source).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                let control = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmsg(fd, &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: source.octets(),
                    },
                    ipi6_ifindex: index,
                };
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, index));
                let control = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmsg(fd, &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        sent.map(|_| ()).map_err(Into::into)
    }
}

fn prepare_v4(socket: &socket2::Socket, index: IfIndex) -> io::Result<()> {
    socket.set_ttl_v4(TTL)?;
    socket.set_multicast_ttl_v4(TTL)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_tos_v4(TRAFFIC_CLASS)?;
    socket.join_multicast_v4_n(&MULTICAST_V4, &InterfaceIndexOrAddress::Index(index.get()))
}

fn prepare_v6(socket: &socket2::Socket, index: IfIndex) -> io::Result<()> {
    socket.set_unicast_hops_v6(TTL)?;
    socket.set_multicast_hops_v6(TTL)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_all_v6(false)?;
    socket.set_tclass_v6(TRAFFIC_CLASS)?;
    socket.set_recv_hoplimit_v6(true)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    socket.join_multicast_v6(&MULTICAST_V6, index.get())
}

/// A raw IPv4 socket gets the IP header too, which the kernel has checked: its length fields hold.
/// They are looked at all the same.
fn strip_v4(packet: &[u8]) -> Received<'_> {
    let word = |at: usize| -> Ipv4Addr {
        let bytes: Option<[u8; 4]> = packet.get(at..at + 4).and_then(|b| b.try_into().ok());
        Ipv4Addr::from(bytes.unwrap_or_default())
    };
    let byte = |at: usize| packet.get(at).copied().unwrap_or_default();
    let header = usize::from(byte(0) & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([byte(2), byte(3)])).min(packet.len());
    Received {
        source: word(12).into(),
        destination: word(16).into(),
        ttl: byte(8),
        payload: packet.get(header.max(20)..total).unwrap_or_default(),
    }
}

/// VRRP's number among IP's protocols.
const PROTOCOL: i32 = 112;
/// What a receiver insists on: nothing from beyond the link arrives with it.
const TTL: u32 = 255;
/// Internetwork control, as routing protocols send (RFC 9568 says nothing; keepalived sends it).
const TRAFFIC_CLASS: u32 = 0xc0;
/// `TC_PRIO_INTERACTIVE`: the band that queues send first.
const PRIORITY: u32 = 6;
/// Bytes of adverts that may wait.
const RECEIVE_BUFFER: usize = 1 << 20;
