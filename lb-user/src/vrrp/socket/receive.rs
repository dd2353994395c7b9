//! Reading a packet, and what stands around its payload.

use std::{
    io::{self, IoSliceMut, Read as _},
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd as _,
};

use lb_common::wire::ipv4::{Ipv4, MORE_FRAGMENTS, OFFSET};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use socket2::Socket;
use zerocopy::FromBytes as _;

use super::{PROTOCOL, Received};

/// What the kernel says about an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderV6 {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) hop_limit: u8,
}

/// Raw IPv4 sockets give the IP header along.
pub(super) fn read_v4(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.read(buffer)
}

/// Raw IPv6 sockets give the payload, behind all extension headers. The length is 0 if it did not fit.
pub(super) fn read_v6(socket: &Socket, buffer: &mut [u8]) -> io::Result<(usize, HeaderV6)> {
    let mut space = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
    let mut bytes = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn6>(
        socket.as_raw_fd(),
        &mut bytes,
        Some(&mut space),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let mut header = HeaderV6 {
        source: message
            .address
            .map_or(Ipv6Addr::UNSPECIFIED, |address| address.ip()),
        destination: Ipv6Addr::UNSPECIFIED,
        hop_limit: 0,
    };
    for fact in message.cmsgs()? {
        match fact {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                header.destination = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => {
                header.hop_limit = u8::try_from(limit).unwrap_or(0);
            }
            _ => {}
        }
    }
    let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
    Ok((if cut { 0 } else { message.bytes }, header))
}

/// Takes the IPv4 header off. The kernel checks the same and puts fragments together before a raw
/// socket sees them; what is malformed nevertheless has an empty payload, and an unspecified source
/// where there is none.
pub(super) fn strip_v4(packet: &[u8]) -> Received<'_> {
    let Ok((header, _)) = Ipv4::ref_from_prefix(packet) else {
        return Received {
            source: Ipv4Addr::UNSPECIFIED.into(),
            destination: Ipv4Addr::UNSPECIFIED.into(),
            ttl: 0,
            payload: &[],
        };
    };
    let header_length = usize::from(header.version_ihl & 0x0f) * 4;
    let well_formed = header.version_ihl >> 4 == 4
        && header_length >= size_of::<Ipv4>()
        && i32::from(header.protocol) == PROTOCOL
        && header.flags_offset.get() & (MORE_FRAGMENTS | OFFSET) == 0;
    let payload = packet
        .get(header_length..usize::from(header.total_length.get()))
        .filter(|_| well_formed);
    Received {
        source: Ipv4Addr::from(header.source.to_bytes()).into(),
        destination: Ipv4Addr::from(header.destination.to_bytes()).into(),
        ttl: header.ttl,
        payload: payload.unwrap_or_default(),
    }
}
