//! A packet socket on one interface that hears nothing but answers to us.

use std::{
    io::{self, Read as _},
    task::{Context, Poll},
};

use socket2::SockFilter;

use crate::{
    net::{async_socket::AsyncSocket, packet_socket},
    types::IfIndex,
};

/// Which question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// IPv4.
    Arp,
    /// IPv6.
    Ndp,
}

/// Sends and receives whole Ethernet frames.
#[derive(Debug)]
pub(super) struct ProbeSocket(AsyncSocket);

impl ProbeSocket {
    /// Needs CAP_NET_RAW, in the network namespace of the interface and of the calling thread.
    pub(super) fn open(interface: IfIndex, family: Family) -> io::Result<Self> {
        let socket = packet_socket::open()?;
        socket.attach_filter(&filter(family))?;
        let ethernet_type = match family {
            Family::Arp => libc::ETH_P_ARP,
            Family::Ndp => libc::ETH_P_IPV6,
        };
        socket.bind(&packet_socket::link_address(interface, ethernet_type)?)?;
        AsyncSocket::new(socket).map(Self)
    }

    /// Sends without waiting: a full queue is [`io::ErrorKind::WouldBlock`].
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.get_ref().send(frame).map(|_| ())
    }

    /// The next frame.
    pub(super) fn poll_receive(&self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let mut frame = vec![0; FRAME];
        self.0
            .poll_read(context, |mut socket| socket.read(&mut frame))
            .map_ok(|length| {
                frame.truncate(length);
                frame
            })
    }
}

/// Classic BPF: frames to this host that are ARP replies or neighbour advertisements. Without it, a
/// balancer's whole IPv6 traffic would be copied here.
fn filter(family: Family) -> Vec<SockFilter> {
    let mut program = Vec::new();
    // To our own Ethernet address, and not of a VLAN that nobody here is in.
    program.extend(require(WORD, PACKET_TYPE, PACKET_HOST));
    match family {
        Family::Arp => program.extend(require(HALF, ETHERNET + 6, ARP_REPLY)),
        Family::Ndp => {
            program.extend(require(BYTE, ETHERNET + 6, ICMPV6));
            program.extend(require(BYTE, ETHERNET + 40, NEIGHBOUR_ADVERTISEMENT));
        }
    }
    program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    program
}

/// Drops the frame unless the value at `offset` is `value`, or if it ends before.
fn require(size: u16, offset: u32, value: u32) -> [SockFilter; 3] {
    [
        SockFilter::new(LOAD | size, 0, 0, offset),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, value),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// Largest answer worth reading, in bytes.
const FRAME: usize = 256;

/// `BPF_LD | BPF_ABS`
const LOAD: u16 = 0x20;
/// `BPF_W`
const WORD: u16 = 0x00;
/// `BPF_H`
const HALF: u16 = 0x08;
/// `BPF_B`
const BYTE: u16 = 0x10;
/// `BPF_JMP | BPF_JEQ | BPF_K`
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;
/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: not in the frame, but what the kernel says of it.
const PACKET_TYPE: u32 = 0xffff_f004;
/// `PACKET_HOST`
const PACKET_HOST: u32 = 0;

/// Length of an Ethernet header.
const ETHERNET: u32 = 14;
/// `ARPOP_REPLY`, behind 6 bytes of types and lengths.
const ARP_REPLY: u32 = 2;
/// `IPPROTO_ICMPV6`, the next header without any extension.
const ICMPV6: u32 = 58;
/// The type of an ICMPv6 message, in its first byte.
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
