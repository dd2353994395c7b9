//! `lab decap`: the tunnel's end at a real server, for kernels without ipip and ip6tnl.
//!
//! Raw sockets take the outer packets (reassembled by the kernel), a TUN device takes the inner ones.
//! All four of 4in4, 6in4, 6in6 and 4in6; only from sources on the list, because whoever may send
//! here can make packets from anybody appear inside.

use std::{
    fs::{self, File},
    io::Write,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    process::Command,
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{SockaddrIn6, SockaddrStorage, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;

/// Unwraps until killed. Prints `ready` when packets are taken.
///
/// # Errors
/// When the device or the sockets cannot be made, or a socket fails.
pub(super) fn run(device: &str, sources: &[IpAddr]) -> Result<()> {
    let tun = Arc::new(sys::open_tun(device).with_context(|| format!("cannot make {device}"))?);
    // The inner source is a client that this host reaches another way.
    fs::write(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"), "0")?;
    let up = Command::new("ip")
        .args(["link", "set", device, "up"])
        .status()?;
    ensure!(up.success(), "cannot set {device} up");

    let sockets = [
        (Domain::IPV4, IPV4),
        (Domain::IPV4, IPV6),
        (Domain::IPV6, IPV6),
        (Domain::IPV6, IPV4),
    ]
    .map(|(outer, inner)| -> Result<_> {
        let socket = Socket::new(outer, Type::RAW, Some(Protocol::from(i32::from(inner))))?;
        Ok((outer, inner, socket))
    });
    let mut tasks = Vec::new();
    for socket in sockets {
        let (outer, inner, socket) = socket?;
        let (tun, sources) = (Arc::clone(&tun), sources.to_vec());
        tasks.push(thread::spawn(move || {
            unwrap_from(&socket, outer, inner, &tun, &sources)
        }));
    }
    println!("ready");
    for task in tasks {
        task.join()
            .map_err(|_| anyhow::anyhow!("a receiver panicked"))??;
    }
    Ok(())
}

fn unwrap_from(
    socket: &Socket,
    outer: Domain,
    inner: u8,
    tun: &File,
    sources: &[IpAddr],
) -> Result<()> {
    let mut buffer = vec![0; MAX_PACKET];
    let mut refused = 0_u64;
    loop {
        let packet;
        let source;
        if outer == Domain::IPV4 {
            // A raw IPv4 socket gives the outer header too.
            let (length, _) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer)?;
            let header = usize::from(buffer[0] & 0xf) * 4;
            source = IpAddr::from(Ipv4Addr::new(
                buffer[12], buffer[13], buffer[14], buffer[15],
            ));
            packet = buffer.get(header..length).unwrap_or_default();
        } else {
            let (length, from) = recvfrom::<SockaddrIn6>(socket.as_raw_fd(), &mut buffer)?;
            source = from.context("a datagram without source")?.ip().into();
            packet = &buffer[..length];
        }
        let version = packet.first().map_or(0, |byte| byte >> 4);
        let expected = if inner == IPV4 { 4 } else { 6 };
        if version == expected && sources.contains(&source) {
            // A packet the device refuses is a lost packet, as on any interface.
            (&*tun).write_all(packet).ok();
        } else {
            refused += 1;
            eprintln!("refused from {source}: {refused} so far");
        }
    }
}

const MAX_PACKET: usize = 65536;
/// Protocol numbers of the inner packet (RFC 2003, RFC 2473).
const IPV4: u8 = 4;
const IPV6: u8 = 41;
