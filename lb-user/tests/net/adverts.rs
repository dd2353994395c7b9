//! Sockets that carry adverts.

use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_user::{
    config::model::Family,
    types::IfIndex,
    vrrp::socket::{
        MULTICAST_V4, MULTICAST_V6, PACKET_MAX, Received, Socket, SocketError, multicast,
    },
};
use socket2::{Domain, Protocol, Type};
use tokio::{runtime::Runtime, time::timeout};

use super::{Lab, Namespace, SOON, can_make_namespaces, ip, runtime};

/// Both ends of the lab's link, with a virtual address of each family on the balancer.
struct Wire {
    lab: Lab,
    runtime: Runtime,
}

/// What arrived, kept.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    payload: Vec<u8>,
}

impl Wire {
    fn new() -> Self {
        let lab = Lab::new();
        lab.lb.ip("address add 10.0.0.100/24 dev wire0");
        lab.lb.ip("address add fd00::100/64 dev wire0 nodad");
        let runtime = runtime();
        Self { lab, runtime }
    }

    fn lb(&self, family: Family) -> Socket {
        self.open(&self.lab.lb, "wire0", family)
    }

    fn host(&self, family: Family) -> Socket {
        self.open(&self.lab.host, "wire1", family)
    }

    fn open(&self, at: &Namespace, link: &str, family: Family) -> Socket {
        self.try_open(at, link, family).expect("root may")
    }

    fn try_open(&self, at: &Namespace, link: &str, family: Family) -> Result<Socket, SocketError> {
        at.run(|| {
            let _inside = self.runtime.enter();
            Socket::open(&link.parse().expect("a name"), index(link), family)
        })
    }

    /// The next packet, which must come.
    fn next(&self, socket: &Socket) -> Packet {
        self.within(SOON, socket).expect("a packet comes")
    }

    fn within(&self, limit: Duration, socket: &Socket) -> Option<Packet> {
        let received = receive::<PACKET_MAX>(socket);
        let received = self
            .runtime
            .block_on(async { timeout(limit, received).await });
        received.ok()
    }
}

/// The next packet, read as far as `BUFFER` bytes go.
async fn receive<const BUFFER: usize>(socket: &Socket) -> Packet {
    let mut buffer = [0; BUFFER];
    loop {
        if let Some(received) = socket.try_receive(&mut buffer).expect("an open socket") {
            return received.into();
        }
        socket.readable().await;
    }
}

impl From<Received<'_>> for Packet {
    fn from(received: Received<'_>) -> Self {
        Self {
            source: received.source,
            destination: received.destination,
            ttl: received.ttl,
            payload: received.payload.to_vec(),
        }
    }
}

#[test]
fn a_socket_can_move_between_threads() {
    fn is_send<T: Send + Sync>() {}
    is_send::<Socket>();
}

#[test]
fn a_packet_comes_from_the_address_named_whatever_else_the_interface_has() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    for (family, sources, peer) in [
        (Family::V4, ["10.0.0.1", "10.0.0.100"], "10.0.0.2"),
        (Family::V6, ["fd00::1", "fd00::100"], "fd00::2"),
    ] {
        let (lb, host) = (wire.lb(family), wire.host(family));
        for source in sources {
            for destination in [multicast(family), ip(peer)] {
                lb.send(ip(source), destination, b"advert").unwrap();
                let wanted = Packet {
                    source: ip(source),
                    destination,
                    ttl: 255,
                    payload: b"advert".to_vec(),
                };
                assert_eq!(wire.next(&host), wanted);
            }
        }
    }
}

#[test]
fn ipv6_adverts_go_between_link_local_addresses() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    let (lb, host) = (wire.lb(Family::V6), wire.host(Family::V6));
    // Of the Ethernet addresses (RFC 4291 appendix A).
    let (from, to) = (ip("fe80::ff:fe00:1"), ip("fe80::ff:fe00:2"));
    for destination in [MULTICAST_V6.into(), to] {
        lb.send(from, destination, b"advert").unwrap();
        let packet = wire.next(&host);
        assert_eq!((packet.source, packet.destination), (from, destination));
    }
}

#[test]
fn the_frames_are_of_class_cs6_and_may_be_fragmented() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    let tap = wire.lab.host.run(tap);
    wire.lb(Family::V4)
        .send(ip("10.0.0.1"), MULTICAST_V4.into(), b"advert")
        .unwrap();
    let frame = frame(&tap, |frame| frame[12..14] == [8, 0] && frame[23] == 112);
    assert_eq!(&frame[..6], [1, 0, 0x5e, 0, 0, 0x12]);
    assert_eq!(&frame[6..12], [2, 0, 0, 0, 0, 1]);
    // No options; class; no "don't fragment"; TTL.
    assert_eq!((frame[14], frame[15]), (0x45, 0xc0));
    assert_eq!(&frame[20..23], [0, 0, 255]);

    wire.lb(Family::V6)
        .send(ip("fd00::1"), MULTICAST_V6.into(), b"advert")
        .unwrap();
    let frame = self::frame(&tap, |frame| {
        frame[12..14] == [0x86, 0xdd] && frame[20] == 112
    });
    assert_eq!(&frame[..6], [0x33, 0x33, 0, 0, 0, 0x12]);
    assert_eq!((frame[14], frame[15] & 0xf0), (0x6c, 0));
    assert_eq!(frame[21], 255);
}

#[test]
fn the_longest_adverts_arrive_whole() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    for (family, source, length) in [
        (Family::V4, "10.0.0.1", 8 + 255 * 4 + 8),
        (Family::V6, "fd00::1", 8 + 255 * 16),
    ] {
        let (lb, host) = (wire.lb(family), wire.host(family));
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        lb.send(ip(source), multicast(family), &payload).unwrap();
        assert_eq!(wire.next(&host).payload, payload);
    }
}

#[test]
fn a_packet_longer_than_the_buffer_has_no_payload() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    for (family, source) in [(Family::V4, "10.0.0.1"), (Family::V6, "fd00::1")] {
        let (lb, host) = (wire.lb(family), wire.host(family));
        lb.send(ip(source), multicast(family), &[7; 100]).unwrap();
        let received = wire.runtime.block_on(receive::<60>(&host));
        assert_eq!((received.source, received.ttl), (ip(source), 255));
        assert_eq!(received.payload, [0; 0]);
    }
}

#[test]
fn garbage_is_handed_on_and_does_not_stop_the_reader() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    for (family, from, to) in [
        (Family::V4, "10.0.0.2", "10.0.0.1"),
        (Family::V6, "fd00::2", "fd00::1"),
    ] {
        let (lb, host) = (wire.lb(family), wire.host(family));
        let forger = wire.lab.host.run(|| forger(family));
        for (ttl, payload) in [
            (64, &b""[..]),
            (1, b"x"),
            (254, &[0xff; 1400]),
            (255, b"\x31"),
        ] {
            match family {
                Family::V4 => forger.set_ttl_v4(ttl),
                Family::V6 => forger.set_unicast_hops_v6(ttl),
            }
            .unwrap();
            let to = SocketAddr::new(ip(to), 0);
            forger.send_to(payload, &to.into()).unwrap();
            let packet = wire.next(&lb);
            assert_eq!((packet.source, u32::from(packet.ttl)), (ip(from), ttl));
            assert_eq!(packet.payload, payload);
        }
        host.send(ip(from), multicast(family), b"advert").unwrap();
        assert_eq!(wire.next(&lb).payload, b"advert");
    }
}

#[test]
fn a_socket_hears_neither_itself_nor_other_links_nor_other_groups() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    let other = Namespace::new();
    wire.lab.lb.ip(&format!(
        "link add other0 type veth peer name other1 netns {}",
        other.path()
    ));
    for (namespace, link, number) in [(&wire.lab.lb, "other0", 1), (&other, "other1", 2)] {
        namespace.ip(&format!("address add 10.1.0.{number}/24 dev {link}"));
        namespace.ip(&format!("address add fd01::{number}/64 dev {link} nodad"));
        namespace.ip(&format!("link set {link} up"));
    }
    for (family, own, peer, stray, beyond, group) in [
        (
            Family::V4,
            "10.0.0.1",
            "10.0.0.2",
            "10.1.0.2",
            "10.1.0.1",
            "224.0.0.5",
        ),
        (
            Family::V6,
            "fd00::1",
            "fd00::2",
            "fd01::2",
            "fd01::1",
            "ff02::5",
        ),
    ] {
        let lb = wire.lb(family);
        let second = wire.lb(family);
        let elsewhere = wire.open(&other, "other1", family);
        let there = wire.open(&wire.lab.lb, "other0", family);
        lb.send(ip(own), multicast(family), b"own").unwrap();
        for destination in [multicast(family), ip(beyond)] {
            super::wait_for(SOON, || {
                elsewhere.send(ip(stray), destination, b"stray").is_ok()
            });
            assert_eq!(wire.next(&there).payload, b"stray");
        }
        let host = wire.host(family);
        host.send(ip(peer), ip(group), b"group").unwrap();
        host.send(ip(peer), multicast(family), b"last").unwrap();
        // Had any of the others come, it would have come first.
        assert_eq!(wire.next(&lb).payload, b"last");
        assert_eq!(wire.next(&second).payload, b"last");
    }
}

#[test]
fn what_cannot_be_sent_is_an_error_and_no_packet() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    for (family, own, foreign, other) in [
        (Family::V4, "10.0.0.1", "10.0.0.77", "fd00::2"),
        (Family::V6, "fd00::1", "fd00::77", "10.0.0.2"),
    ] {
        let (lb, host) = (wire.lb(family), wire.host(family));
        let error = lb
            .send(ip(foreign), multicast(family), b"foreign")
            .unwrap_err();
        let kinds = [
            io::ErrorKind::InvalidInput,
            io::ErrorKind::NetworkUnreachable,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
        let error = lb.send(ip(own), ip(other), b"family").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        lb.send(ip(own), multicast(family), b"last").unwrap();
        assert_eq!(wire.next(&host).payload, b"last");
    }
}

#[test]
fn a_socket_outlives_a_link_that_goes_down_but_not_one_that_is_removed() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    for (family, own, peer) in [
        (Family::V4, "10.0.0.1", "10.0.0.2"),
        (Family::V6, "fd00::1", "fd00::2"),
    ] {
        let (lb, host) = (wire.lb(family), wire.host(family));
        wire.lab.lb.ip("link set wire0 down");
        let error = lb.send(ip(own), multicast(family), b"down").unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        wire.lab.lb.ip("link set wire0 up");
        if family == Family::V6 {
            // IPv6 takes its addresses away with the link.
            wire.lab.lb.ip("address replace fd00::1/64 dev wire0 nodad");
        }
        super::wait_for(SOON, || lb.send(ip(own), multicast(family), b"up").is_ok());
        super::wait_for(SOON, || {
            host.send(ip(peer), multicast(family), b"back").is_ok()
                && wire.within(Duration::from_millis(100), &lb).is_some()
        });
    }
    let (lb, v6) = (wire.lb(Family::V4), wire.lb(Family::V6));
    wire.lab.lb.ip("link delete wire0");
    for (socket, from, to) in [
        (&lb, "10.0.0.1", MULTICAST_V4.into()),
        (&v6, "fd00::1", MULTICAST_V6.into()),
    ] {
        let error = socket.send(ip(from), to, b"gone").unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        assert_eq!(wire.within(Duration::from_millis(10), socket), None);
    }
}

#[test]
fn where_no_socket_can_be_had_the_error_names_the_place() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    let nowhere = wire.lab.lb.run(|| {
        let _inside = wire.runtime.enter();
        let index = IfIndex::new(999).expect("not 0");
        Socket::open(&"nowhere0".parse().expect("a name"), index, Family::V4)
    });
    let error = nowhere.expect_err("there is no such interface");
    assert!(matches!(error, SocketError::Join { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot join 224.0.0.18 on nowhere0: does the interface exist, with IPv4 on?"
    );
    wire.lab.lb.ip("link set wire0 mtu 1000");
    let error = wire.try_open(&wire.lab.lb, "wire0", Family::V6);
    let error = error.expect_err("IPv6 is off below 1280 bytes");
    assert!(matches!(error, SocketError::Join { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot join ff02::12 on wire0: does the interface exist, with IPv6 on?"
    );
}

/// A receive that is dropped before a packet comes loses none.
#[test]
fn a_cancelled_receive_takes_no_packet() {
    if !can_make_namespaces() {
        return;
    }
    let wire = Wire::new();
    let (lb, host) = (wire.lb(Family::V4), wire.host(Family::V4));
    for number in 0..20u8 {
        assert_eq!(wire.within(Duration::ZERO, &host), None);
        lb.send(ip("10.0.0.1"), MULTICAST_V4.into(), &[number])
            .unwrap();
        assert_eq!(wire.next(&host).payload, [number]);
    }
}

/// Sends what it likes, from where the kernel likes.
fn forger(family: Family) -> socket2::Socket {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    socket2::Socket::new(domain, Type::RAW, Some(Protocol::from(112))).expect("root may")
}

/// Every frame of the calling thread's namespace.
pub(crate) fn tap() -> socket2::Socket {
    let every = u16::try_from(libc::ETH_P_ALL).expect("it is 3").to_be();
    let protocol = Some(Protocol::from(i32::from(every)));
    let socket = socket2::Socket::new(Domain::PACKET, Type::RAW, protocol).expect("root may");
    socket.set_read_timeout(Some(SOON)).expect("an open socket");
    socket
}

/// The next frame that is wanted.
pub(crate) fn frame(mut tap: &socket2::Socket, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut buffer = vec![0; 2000];
    loop {
        let length = tap.read(&mut buffer).expect("a frame comes");
        if length >= 40 && wanted(&buffer[..length]) {
            buffer.truncate(length);
            return buffer;
        }
    }
}

/// The number of an interface of the calling thread's namespace.
pub(crate) fn index(link: &str) -> IfIndex {
    let index = nix::net::if_::if_nametoindex(link).expect("the interface is there");
    IfIndex::new(index).expect("not 0")
}
