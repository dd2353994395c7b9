//! How a socket for adverts is set up.

use std::io;

use nix::{setsockopt_impl, sockopt_impl, sys::socket::sockopt};
use socket2::{InterfaceIndexOrAddress, Socket};

use super::{MULTICAST_V4, MULTICAST_V6};
use crate::{config::model::Family, types::IfIndex};

/// Everything but the group.
pub(super) fn prepare(socket: &Socket, index: IfIndex, family: Family) -> io::Result<()> {
    let set = |result: nix::Result<()>| result.map_err(io::Error::from);
    // By number, like everything here: a name may have gone to another interface meanwhile.
    let number = i32::try_from(index.get()).map_err(|_| io::ErrorKind::InvalidInput)?;
    set(nix::sys::socket::setsockopt(socket, BindToIndex, &number))?;
    match family {
        Family::V4 => {
            socket.set_ttl_v4(TTL)?;
            socket.set_multicast_ttl_v4(TTL)?;
            socket.set_multicast_loop_v4(false)?;
            // Only our own group, not what others on this host joined.
            socket.set_multicast_all_v4(false)?;
            socket.set_tos_v4(CLASS)?;
            set(nix::sys::socket::setsockopt(
                socket,
                PathMtuV4,
                &libc::IP_PMTUDISC_OMIT,
            ))?;
        }
        Family::V6 => {
            socket.set_unicast_hops_v6(TTL)?;
            socket.set_multicast_hops_v6(TTL)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_all_v6(false)?;
            socket.set_tclass_v6(CLASS)?;
            socket.set_recv_hoplimit_v6(true)?;
            set(nix::sys::socket::setsockopt(
                socket,
                sockopt::Ipv6RecvPacketInfo,
                &true,
            ))?;
            set(nix::sys::socket::setsockopt(
                socket,
                PathMtuV6,
                &libc::IPV6_PMTUDISC_OMIT,
            ))?;
        }
    }
    // After the class, which sets a priority of its own.
    socket.set_priority(PRIORITY)?;
    widen(socket)
}

/// Joins the family's group on the interface.
pub(super) fn join(socket: &Socket, index: IfIndex, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => {
            let on = InterfaceIndexOrAddress::Index(index.get());
            socket.join_multicast_v4_n(&MULTICAST_V4, &on)
        }
        Family::V6 => socket.join_multicast_v6(&MULTICAST_V6, index.get()),
    }
}

/// Beyond the host's limit where we may (CAP_NET_ADMIN), up to it where not.
fn widen(socket: &Socket) -> io::Result<()> {
    if nix::sys::socket::setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    Ok(())
}

sockopt_impl!(
    /// `SO_BINDTOIFINDEX`: as `SO_BINDTODEVICE`, by number.
    BindToIndex,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_BINDTOIFINDEX,
    libc::c_int
);
sockopt_impl!(
    /// No "don't fragment", and no ear for "packet too big", which anybody can forge: an advert that
    /// does not fit the interface's own MTU is fragmented.
    PathMtuV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    /// The same for IPv6.
    PathMtuV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

/// RFC 9568 sections 5.1.1.3 and 5.1.2.3: a packet that was forwarded has less.
const TTL: u32 = 255;
/// CS6, "internetwork control", in the upper six bits.
const CLASS: u32 = 0xc0;
/// `TC_PRIO_INTERACTIVE`, the first band of the default queue: adverts overtake the traffic.
const PRIORITY: u32 = 6;
/// Bytes of packets that may wait while the reader does something else: 255 virtual routers at 10 ms
/// fill some 20 MB in a second.
const RECEIVE_BUFFER: usize = 2 << 20;
