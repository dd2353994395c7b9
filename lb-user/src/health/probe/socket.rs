//! Sockets of checks: from the source asked for, and reporting what ICMP says.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    time::Instant,
};

use super::failure::{Failure, by};
use crate::health::target::Target;

/// A connection to the target.
pub(super) async fn connect(target: &Target, deadline: Instant) -> Result<TcpStream, Failure> {
    let socket = open(target, Type::STREAM, Protocol::TCP)
        .map_err(|error| Failure::ours("no socket", &error))?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let stream = by(deadline, "cannot connect", socket.connect(target.at))
        .await?
        .map_err(|error| Failure::of("cannot connect", &error))?;
    // A port of our own host that nobody listens on can be dialled from itself.
    if target.at.ip().is_loopback() && stream.local_addr().ok() == Some(target.at) {
        return Err(Failure::theirs("cannot connect: connection refused"));
    }
    Ok(stream)
}

/// A datagram socket that talks to the target alone.
pub(super) fn datagram(target: &Target, kind: Type, protocol: Protocol) -> io::Result<UdpSocket> {
    let socket = open(target, kind, protocol)?;
    // Report a host that does not answer ARP, too, and not only a closed port.
    match target.at {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    socket.connect(&target.at.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(target: &Target, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target.at), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = target.source {
        bind(&socket, source)?;
    }
    Ok(socket)
}

fn bind(socket: &Socket, source: IpAddr) -> io::Result<()> {
    // The port is chosen with the connection: otherwise one source address has ports for 28,000 sockets, whatever their targets.
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source, 0).into())
}
