//! A ping check: an echo request is answered.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU16, Ordering},
};

use lb_common::csum;
use nix::errno::Errno;
use socket2::{Protocol, Type};
use tokio::{net::UdpSocket, time::Instant};

use super::{
    failure::{Failure, by},
    socket,
};
use crate::health::{target::Target, text::Text};

#[cfg(test)]
mod tests;

/// Sends one echo request (RFC 792, RFC 4443 section 4.1) and waits for its reply.
pub(super) async fn attempt(target: &Target, deadline: Instant) -> Result<Text, Failure> {
    let (socket, framing) = open(target).map_err(|error| Failure::ours("no socket", &error))?;
    let request = request(framing, fresh_number(), fresh_token());
    by(deadline, "cannot send", socket.send(&request))
        .await?
        .map_err(|error| Failure::of("cannot send", &error))?;
    let mut reply = [0; REPLY];
    loop {
        let length = by(deadline, "no reply", socket.recv(&mut reply))
            .await?
            .map_err(|error| Failure::of("no reply", &error))?;
        if answers(framing, &request, &reply[..length]) {
            return Ok(Text::new("replied"));
        }
    }
}

/// What a socket adds to, or expects of, an ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// ICMP; the kernel sets identifier and checksum.
    V4,
    /// ICMP; the checksum is ours, and an IPv4 header comes before what is received.
    V4Raw,
    /// ICMPv6; the kernel sets the checksum, and the identifier where the socket is none of [`Type::RAW`].
    V6,
}

/// A socket of the kind that needs no privilege, where `net.ipv4.ping_group_range` lets us have it; else a raw one, which hears
/// nothing but the target.
fn open(target: &Target) -> io::Result<(UdpSocket, Framing)> {
    let (protocol, framing, raw_framing) = match target.at {
        SocketAddr::V4(_) => (Protocol::ICMPV4, Framing::V4, Framing::V4Raw),
        SocketAddr::V6(_) => (Protocol::ICMPV6, Framing::V6, Framing::V6),
    };
    match socket::datagram(target, Type::DGRAM, protocol) {
        Ok(socket) => Ok((socket, framing)),
        Err(error) if error.raw_os_error() == Some(Errno::EACCES as i32) => {
            Ok((socket::datagram(target, Type::RAW, protocol)?, raw_framing))
        }
        Err(error) => Err(error),
    }
}

/// Type, code, checksum, identifier, sequence number, then a token that no other request has.
fn request(framing: Framing, number: u16, token: u64) -> [u8; HEADER + TOKEN] {
    let mut message = [0; HEADER + TOKEN];
    message[0] = match framing {
        Framing::V4 | Framing::V4Raw => ECHO,
        Framing::V6 => ECHO_V6,
    };
    message[4..6].copy_from_slice(&number.to_be_bytes());
    message[6..8].copy_from_slice(&number.to_be_bytes());
    message[HEADER..].copy_from_slice(&token.to_be_bytes());
    if framing == Framing::V4Raw {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// Whether `received` is the reply to `request`.
fn answers(framing: Framing, request: &[u8], received: &[u8]) -> bool {
    let message = match framing {
        Framing::V4 | Framing::V6 => received,
        Framing::V4Raw => {
            let words = received.first().map_or(0, |first| first & 0x0f);
            received.get(usize::from(words) * 4..).unwrap_or_default()
        }
    };
    let wanted = match framing {
        Framing::V4 | Framing::V4Raw => ECHO_REPLY,
        Framing::V6 => ECHO_REPLY_V6,
    };
    // The identifier is the kernel's on some sockets; the token says more anyway.
    message.first() == Some(&wanted) && message.get(6..) == request.get(6..)
}

fn checksum(message: &[u8]) -> u16 {
    let sum = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum();
    !csum::fold(sum)
}

fn fresh_number() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// From the keys that the standard library takes from the system for its hash maps.
fn fresh_token() -> u64 {
    RandomState::new().hash_one(Instant::now().into_std())
}

/// Bytes before the token.
const HEADER: usize = 8;
/// Bytes of the token.
const TOKEN: usize = 8;
/// Bytes of a reply with the longest IPv4 header.
const REPLY: usize = 60 + HEADER + TOKEN + 1;
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
