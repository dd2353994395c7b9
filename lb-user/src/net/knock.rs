//! The first packet of a TCP connection, sent as a frame of our making, and what comes back for it. The
//! kernel knows nothing of the connection: it is reset as soon as it is accepted.

mod frame;

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future;
use socket2::SockFilter;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::frame::{ACK, Reply, SYN};
use super::{async_socket::AsyncSocket, packet_socket};
use crate::types::{IfIndex, Mac};

/// A connection to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    /// The station that gets the frame.
    pub to: Mac,
    /// Our own.
    pub from: Mac,
    /// An address of ours, of the destination's family.
    pub source: IpAddr,
    /// What is called.
    pub destination: SocketAddr,
    /// Outer source and destination, where it goes inside a tunnel.
    pub tunnel: Option<(IpAddr, IpAddr)>,
    /// How many hosts the (inner) packet may pass; 1: whoever forwards it instead of taking it drops it.
    pub ttl: u8,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// SYN and ACK: somebody has the address and listens.
    Accepted,
    /// RST: somebody has the address and does not listen.
    Refused,
    /// Nothing.
    Silence,
}

/// Sends all at once, twice where there is no answer, and waits for answers, which are expected on the
/// same interface. Returns early when all are there. At most [`MAX`] are tried.
///
/// Needs CAP_NET_RAW, in the network namespace of the interface and of the calling thread.
///
/// # Panics
/// Outside of a tokio runtime with I/O and time.
///
/// # Errors
/// No packet socket can be had.
pub async fn knock(
    interface: IfIndex,
    knocks: &[Knock],
    window: Duration,
) -> io::Result<Vec<Answer>> {
    let knocks = &knocks[..knocks.len().min(MAX)];
    let mut answers = vec![Answer::Silence; knocks.len()];
    if knocks.is_empty() {
        return Ok(answers);
    }
    let sockets = [open(interface, true)?, open(interface, false)?];
    let start = Instant::now();
    for round in 0..ROUNDS {
        for (number, knock) in (0..).zip(knocks) {
            if answers[usize::from(number)] == Answer::Silence {
                let frame = frame::segment(knock, FIRST_PORT + number, SEQUENCE, 0, SYN);
                // A full queue costs one of two attempts.
                send(&sockets, frame.as_deref());
            }
        }
        let until = start + window * (round + 1) / ROUNDS;
        let receiving = receive(&sockets, knocks, &mut answers);
        timeout_at(until, receiving).await.unwrap_or(());
        if answers.iter().all(|answer| *answer != Answer::Silence) {
            break;
        }
        sleep_until(until).await;
    }
    Ok(answers)
}

/// Until everybody has answered.
async fn receive(sockets: &[AsyncSocket; 2], knocks: &[Knock], answers: &mut [Answer]) {
    while answers.contains(&Answer::Silence) {
        let next = sockets.iter().map(|socket| {
            Box::pin(poll_fn(move |context| {
                let mut bytes = vec![0; FRAME];
                socket
                    .poll_read(context, |mut socket| socket.read(&mut bytes))
                    .map_ok(|length| {
                        bytes.truncate(length);
                        bytes
                    })
            }))
        });
        let (bytes, ..) = future::select_all(next).await;
        let Some(reply) = bytes.ok().and_then(|bytes| frame::parse(&bytes)) else {
            continue;
        };
        if let Some((number, answer)) = classify(knocks, &reply) {
            answers[usize::from(number)] = answer;
            if answer == Answer::Accepted {
                let knock = &knocks[usize::from(number)];
                let port = FIRST_PORT + number;
                let reset = frame::segment(knock, port, reply.acknowledged, 0, frame::RST);
                send(sockets, reset.as_deref());
            }
        }
    }
}

/// Which knock an answer is for.
fn classify(knocks: &[Knock], reply: &Reply) -> Option<(u16, Answer)> {
    let number = reply.port.checked_sub(FIRST_PORT)?;
    let knock = knocks.get(usize::from(number))?;
    let ours = reply.from == knock.destination
        && reply.flags & ACK != 0
        && reply.acknowledged == SEQUENCE.wrapping_add(1);
    let answer = if reply.flags & frame::RST != 0 {
        Answer::Refused
    } else {
        Answer::Accepted
    };
    (ours && reply.flags & (frame::RST | SYN) != 0).then_some((number, answer))
}

fn send(sockets: &[AsyncSocket; 2], frame: Option<&[u8]>) {
    if let Some(frame) = frame {
        let v6 = frame.get(12..14) == Some(&ETHERTYPE_V6);
        sockets[usize::from(v6)].get_ref().send(frame).ok();
    }
}

fn open(interface: IfIndex, v4: bool) -> io::Result<AsyncSocket> {
    let socket = packet_socket::open()?;
    socket.attach_filter(&filter(v4))?;
    let ethernet_type = if v4 { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
    socket.bind(&packet_socket::link_address(interface, ethernet_type)?)?;
    AsyncSocket::new(socket)
}

/// Classic BPF: TCP to this host and one of our ports. Without it, a balancer's whole traffic would be
/// copied here.
fn filter(v4: bool) -> Vec<SockFilter> {
    let load = |code, offset| SockFilter::new(code, 0, 0, offset);
    let mut program = vec![load(LOAD_WORD, PACKET_TYPE)];
    program.extend(unless(JUMP_IF_EQUAL, PACKET_HOST));
    let protocol = if v4 { ETHERNET + 9 } else { ETHERNET + 6 };
    program.push(load(LOAD_BYTE, protocol));
    program.extend(unless(JUMP_IF_EQUAL, TCP));
    if v4 {
        program.push(load(LOAD_HEADER_LENGTH, ETHERNET));
        program.push(load(LOAD_HALF_INDEXED, ETHERNET + 2));
    } else {
        program.push(load(LOAD_HALF, ETHERNET + 40 + 2));
    }
    program.extend(unless(JUMP_IF_AT_LEAST, FIRST_PORT.into()));
    program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    program
}

/// Drops the frame unless what was loaded compares like this.
fn unless(jump: u16, value: u32) -> [SockFilter; 2] {
    [
        SockFilter::new(jump, 1, 0, value),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// As many connections are tried at once at most.
pub const MAX: usize = 1024;
/// Above the kernel's default range of ephemeral ports (`ip_local_port_range`).
const FIRST_PORT: u16 = 61_001;
/// Of every SYN; who answers has to add one.
const SEQUENCE: u32 = 0x0bad_1a57;
const ROUNDS: u32 = 2;
/// Largest answer worth reading, in bytes.
const FRAME: usize = 256;

/// `BPF_LD | BPF_W | BPF_ABS`
const LOAD_WORD: u16 = 0x20;
/// `BPF_LD | BPF_H | BPF_ABS`
const LOAD_HALF: u16 = 0x28;
/// `BPF_LD | BPF_B | BPF_ABS`
const LOAD_BYTE: u16 = 0x30;
/// `BPF_LD | BPF_H | BPF_IND`
const LOAD_HALF_INDEXED: u16 = 0x48;
/// `BPF_LDX | BPF_B | BPF_MSH`: four times the low half of the byte.
const LOAD_HEADER_LENGTH: u16 = 0xb1;
/// `BPF_JMP | BPF_JEQ | BPF_K`
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`
const JUMP_IF_AT_LEAST: u16 = 0x35;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;
/// `SKF_AD_OFF + SKF_AD_PKTTYPE`
const PACKET_TYPE: u32 = 0xffff_f004;
/// `PACKET_HOST`
const PACKET_HOST: u32 = 0;
const ETHERNET: u32 = 14;
/// As it stands in a frame.
const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];
const TCP: u32 = 6;
