//! "Too big" about packets that we sent: what routers on the way to a tunnel's end have to say
//! (RFC 1191 §4, RFC 4443 §3.2). Nobody but us can act on it: the packets were made by the data plane,
//! which no socket of the kernel knows of.
//!
//! They come to the outer source address, and so only if that is one of this host: a whole prefix of
//! them is, with `ip route add local PREFIX dev lo`.

use std::{
    future::poll_fn,
    io::{self, Read as _},
    net::IpAddr,
    task::Poll,
};

use lb_common::{
    addr::Addr,
    flow::{IPIP, IPV6},
    wire::{
        icmp::{self, Icmp},
        ipv4::Ipv4,
        ipv6::Ipv6,
    },
};
use nix::{setsockopt_impl, sockopt_impl, sys::socket::setsockopt};
use socket2::{Domain, Protocol, Socket, Type};
use zerocopy::FromBytes as _;

use super::async_socket::AsyncSocket;

/// A tunnelled packet did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Its outer source: ours, if the message is true.
    pub source: IpAddr,
    /// Its outer destination: a backend.
    pub destination: IpAddr,
    /// Bytes of IP that fit, outer header included; 0 if a router of old does not say.
    pub mtu: u32,
    /// Bytes that the packet had, as far as the message says; 0 if it does not.
    pub length: u32,
}

/// Hears them all.
#[derive(Debug)]
pub struct TooBigs {
    v4: AsyncSocket,
    v6: Option<AsyncSocket>,
}

impl TooBigs {
    /// Opens the sockets in the calling thread's network namespace. Needs CAP_NET_RAW. A host without
    /// IPv6 has none of that family.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O.
    pub fn open() -> io::Result<Self> {
        let v4 = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        setsockopt(&v4, IcmpFilter, &!(1 << icmp::UNREACHABLE))?;
        let v6 = match Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)) {
            Ok(socket) => {
                let mut blocked = [u32::MAX; 8];
                blocked[0] = !(1 << icmp::V6_TOO_BIG);
                setsockopt(&socket, Icmp6Filter, &blocked)?;
                Some(AsyncSocket::new(socket)?)
            }
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            v4: AsyncSocket::new(v4)?,
            v6,
        })
    }

    /// Waits for the next one. Cancel safe.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub async fn next(&self) -> io::Result<TooBig> {
        loop {
            let heard = poll_fn(|context| {
                if let Poll::Ready(read) = self.v4.poll_read(context, receive) {
                    return Poll::Ready(read.map(|bytes| read_v4(&bytes)));
                }
                match &self.v6 {
                    Some(v6) => v6
                        .poll_read(context, receive)
                        .map(|read| read.map(|bytes| read_v6(&bytes))),
                    None => Poll::Pending,
                }
            });
            if let Some(too_big) = heard.await? {
                return Ok(too_big);
            }
        }
    }
}

fn receive(mut socket: &Socket) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; ENOUGH];
    let length = socket.read(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Reads an IPv4 packet, as a raw socket gives it; `None` if it is not about a tunnelled packet that did
/// not fit.
#[must_use]
pub fn read_v4(packet: &[u8]) -> Option<TooBig> {
    let (message, embedded) = message(after_header(packet)?)?;
    let is_too_big =
        message.kind == icmp::UNREACHABLE && message.code == icmp::FRAGMENTATION_NEEDED;
    let (outer, _) = Ipv4::read_from_prefix(embedded).ok()?;
    if !is_too_big || !matches!(outer.protocol, IPIP | IPV6) {
        return None;
    }
    Some(TooBig {
        source: Addr::from_v4_word(outer.source.get()).to_ip(),
        destination: Addr::from_v4_word(outer.destination.get()).to_ip(),
        // The upper half was never used.
        mtu: message.rest.get() & 0xffff,
        length: outer.total_length.get().into(),
    })
}

/// Likewise an ICMPv6 message, which comes without its IPv6 header.
#[must_use]
pub fn read_v6(bytes: &[u8]) -> Option<TooBig> {
    let (message, embedded) = message(bytes)?;
    let (outer, _) = Ipv6::read_from_prefix(embedded).ok()?;
    if message.kind != icmp::V6_TOO_BIG || !matches!(outer.next_header, IPIP | IPV6) {
        return None;
    }
    let address = |words: [lb_common::wire::Raw64; 2]| {
        Addr::from_words([words[0].get(), words[1].get()]).to_ip()
    };
    Some(TooBig {
        source: address(outer.source),
        destination: address(outer.destination),
        mtu: message.rest.get(),
        length: u32::from(outer.payload_length.get()) + lb_common::wire::ipv6::LEN,
    })
}

fn after_header(packet: &[u8]) -> Option<&[u8]> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(header..)
}

fn message(bytes: &[u8]) -> Option<(Icmp, &[u8])> {
    Icmp::read_from_prefix(bytes).ok()
}

/// Headers and what is embedded of them; what follows is of no interest.
const ENOUGH: usize = 256;

/// `ICMP_FILTER` (`include/uapi/linux/icmp.h`).
const ICMP_FILTER: libc::c_int = 1;
/// `ICMPV6_FILTER` (`include/uapi/linux/icmpv6.h`).
const ICMPV6_FILTER: libc::c_int = 1;

sockopt_impl!(
    /// A bit for each type that is not wanted.
    IcmpFilter,
    SetOnly,
    libc::SOL_RAW,
    ICMP_FILTER,
    u32
);
sockopt_impl!(
    /// The same for ICMPv6.
    Icmp6Filter,
    SetOnly,
    libc::IPPROTO_ICMPV6,
    ICMPV6_FILTER,
    [u32; 8]
);

#[cfg(test)]
mod tests;
