//! What the bench's packets meet: services with a hundred backends, by direct routing and through
//! tunnels, IPv4 and IPv6.

use std::net::IpAddr;

use lb_bench_ebpf::{BACKENDS, Vip};
use lb_common::{
    addr::Addr,
    backend::{BackendEntry, ForwardMode},
    flow::{ServiceKey, TCP, UDP},
    ring::{Previous, Slot},
    wire::ethernet::{MacWords, Macs},
};
use lb_user::{
    dataplane::image::{
        BackendId, BackendImage, BackendInfo, Front, Image, RingImage, ServiceId, ServiceImage,
        Steering,
    },
    ring::{Heads, Member, slot_count},
    types::{IfIndex, Mac},
};

use super::{PASS, TX, frame};
use crate::packet::{Packet, eth};

/// How a workload's packets leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    /// Direct routing of flows that are remembered; the first packets of all are sent before.
    Remembered,
    Tunnel,
    Pass,
}

/// A kind of traffic.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) family: u32,
    pub(super) flows: u32,
    pub(super) frame: Vec<u8>,
    pub(super) target: &'static str,
}

impl Workload {
    /// What our program returns, and by how much it moves the frame's start.
    pub(super) fn expected(&self) -> (u32, u32) {
        match self.kind {
            Kind::Pass => (PASS, 0),
            Kind::Direct | Kind::Remembered | Kind::Tunnel => (TX, self.floor_growth()),
        }
    }

    /// By how much the floor program moves the frame's start.
    pub(super) fn floor_growth(&self) -> u32 {
        match (self.kind, self.family) {
            (Kind::Tunnel, 4) => 20,
            (Kind::Tunnel, _) => 40,
            _ => 0,
        }
    }
}

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const VIP: &str = "10.0.0.125";
const VIP6: &str = "2001:db8::125";
const CLIENT: &str = "10.64.0.1";
const CLIENT6: &str = "2001:db8:64::1";
const DIRECT: u16 = 80;
const TUNNEL: u16 = 81;
/// Round robin: every flow is remembered.
pub(super) const TURNS: u16 = 82;
/// Another service of that kind.
pub(super) const OTHER_TURNS: u16 = 83;
/// A ring all of whose slots have just moved.
const MOVED: u16 = 84;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address of this file")
}

fn tcp(v6: bool, port: u16, syn: bool) -> Packet {
    let packet = if v6 {
        eth().ipv6(CLIENT6, VIP6)
    } else {
        eth().ipv4(CLIENT, VIP)
    };
    packet
        .tcp(40_000, port)
        .flags(if syn { 0x02 } else { 0x10 })
}

/// All kinds of traffic.
pub(super) fn workloads() -> Vec<Workload> {
    const M: u32 = 1 << 20;
    let ring = "<= 1.0, aim 0.6";
    let make = |name, kind, family, flows, packet: &Packet, target| Workload {
        name,
        kind,
        family,
        flows,
        frame: frame(packet),
        target,
    };
    let stateful = "<= 0.5";
    let ack = |v6, port| tcp(v6, port, false);
    let udp = eth().ipv4(CLIENT, VIP).udp(40_000, DIRECT);
    let other = eth().ipv4(CLIENT, "10.0.0.99").tcp(40_000, 443);
    let mut arp = vec![0xff; 6];
    arp.extend([2, 0, 0, 0, 0, 9, 0x08, 0x06]);
    arp.resize(64, 1);
    vec![
        make(
            "direct v4, hot",
            Kind::Direct,
            4,
            1,
            &ack(false, DIRECT),
            ring,
        ),
        make(
            "direct v4, 16 k flows",
            Kind::Direct,
            4,
            1 << 14,
            &ack(false, DIRECT),
            ring,
        ),
        make(
            "direct v4, 1 M flows",
            Kind::Direct,
            4,
            M,
            &ack(false, DIRECT),
            ring,
        ),
        make(
            "direct v4, new flows (SYN), 1 M",
            Kind::Direct,
            4,
            M,
            &tcp(false, DIRECT, true),
            ring,
        ),
        make("direct v4 UDP, 1 M flows", Kind::Direct, 4, M, &udp, ring),
        make(
            "direct v6, hot",
            Kind::Direct,
            6,
            1,
            &ack(true, DIRECT),
            ring,
        ),
        make(
            "direct v6, 1 M flows",
            Kind::Direct,
            6,
            M,
            &ack(true, DIRECT),
            ring,
        ),
        make(
            "tunnel 4in4, hot",
            Kind::Tunnel,
            4,
            1,
            &ack(false, TUNNEL),
            ring,
        ),
        make(
            "tunnel 4in4, 1 M flows",
            Kind::Tunnel,
            4,
            M,
            &ack(false, TUNNEL),
            ring,
        ),
        make(
            "tunnel 6in6, hot",
            Kind::Tunnel,
            6,
            1,
            &ack(true, TUNNEL),
            ring,
        ),
        make(
            "tunnel 6in6, 1 M flows",
            Kind::Tunnel,
            6,
            M,
            &ack(true, TUNNEL),
            ring,
        ),
        make(
            "rr v4, hot",
            Kind::Remembered,
            4,
            1,
            &ack(false, TURNS),
            stateful,
        ),
        make(
            "rr v4, 16 k flows",
            Kind::Remembered,
            4,
            1 << 14,
            &ack(false, TURNS),
            stateful,
        ),
        make(
            "rr v4, 1 M flows",
            Kind::Remembered,
            4,
            M,
            &ack(false, TURNS),
            stateful,
        ),
        make(
            "rr v6, 1 M flows",
            Kind::Remembered,
            6,
            M,
            &ack(true, TURNS),
            stateful,
        ),
        make(
            "moved slots v4, 1 M flows",
            Kind::Remembered,
            4,
            M,
            &ack(false, MOVED),
            stateful,
        ),
        make(
            "rr v4, flood of new flows (SYN)",
            Kind::Remembered,
            4,
            1 << 28,
            &tcp(false, TURNS, true),
            "none",
        ),
        make(
            "not ours: TCP to another",
            Kind::Pass,
            4,
            M,
            &other,
            "<= 0.3",
        ),
        Workload {
            name: "not ours: ARP",
            kind: Kind::Pass,
            family: 0,
            flows: 1,
            frame: arp,
            target: "<= 0.3",
        },
    ]
}

/// What the floor gets where our program gets something it passes: packets it serves.
pub(super) fn served(workload: &Workload) -> Workload {
    match workload.kind {
        Kind::Direct | Kind::Remembered | Kind::Tunnel => workload.clone(),
        Kind::Pass => Workload {
            family: 4,
            frame: frame(&tcp(false, DIRECT, false)),
            ..workload.clone()
        },
    }
}

/// The services in the floor's words.
pub(super) fn vips() -> Vec<Vip> {
    let mut vips = Vec::new();
    for address in [VIP, VIP6] {
        for port in [DIRECT, TUNNEL, TURNS, OTHER_TURNS, MOVED] {
            for protocol in [TCP, UDP] {
                vips.push(Vip {
                    address: Addr::from(ip(address)).words(),
                    port_protocol: u64::from(port) << 8 | u64::from(protocol),
                });
            }
        }
    }
    vips
}

fn entry(id: u32, mode: ForwardMode, v6: bool, number: u32) -> BackendEntry {
    let address = |base4: u32, base6: u128| -> IpAddr {
        if v6 {
            std::net::Ipv6Addr::from(base6 + u128::from(number)).into()
        } else {
            std::net::Ipv4Addr::from(base4 + number).into()
        }
    };
    let [_, _, high, low] = number.to_be_bytes();
    BackendEntry {
        macs: Macs {
            destination: MacWords::new([2, 0, 0, 1, high, low]),
            source: MacWords::new(OUR_MAC),
        },
        ifindex: 1,
        id,
        mtu: 1500,
        mode: mode as u8,
        tags: 0,
        vlans: [0; 2],
        source_bits: 0,
        flags: 0,
        generation: 0,
        tunnel_source: Addr::from(address(0x0a00_0002, 0x2001_0db8 << 96)),
        address: Addr::from(address(0x0a80_0000, (0x2001_0db8 << 96) | 0x8000_0000)),
    }
}

/// A backend of the floors.
pub(super) fn floor_backend(index: u32) -> BackendEntry {
    entry(index, ForwardMode::TunnelV4, false, index)
}

/// The data plane of the real program.
pub(super) fn image() -> Image {
    let index = IfIndex::new(1).expect("not 0");
    let mut image = Image {
        front: Front {
            interfaces: [(index, Mac(OUR_MAC))].into(),
            own_addresses: [
                ip(VIP),
                ip(VIP6),
                ip("10.0.0.2"),
                ip("127.0.0.1"),
                ip("::1"),
            ]
            .into(),
            peers: [Mac([2, 0, 0, 0, 0, 3])].into(),
        },
        devices: [index].into(),
        ..Image::default()
    };
    let direct = ForwardMode::DirectRouting;
    let wanted = [
        (VIP, TURNS, TCP, direct),
        (VIP6, TURNS, TCP, direct),
        (VIP, OTHER_TURNS, TCP, direct),
        (VIP, MOVED, TCP, direct),
        (VIP, DIRECT, TCP, ForwardMode::DirectRouting),
        (VIP, DIRECT, UDP, ForwardMode::DirectRouting),
        (VIP6, DIRECT, TCP, ForwardMode::DirectRouting),
        (VIP, TUNNEL, TCP, ForwardMode::TunnelV4),
    ];
    for (address, port, protocol, mode) in
        wanted
            .into_iter()
            .chain([(VIP6, TUNNEL, TCP, ForwardMode::TunnelV6)])
    {
        add_service(&mut image, address, port, protocol, mode);
    }
    image
}

/// The ring of the service on a port.
fn ring(port: u16, locals: Vec<BackendId>, owners: &[u16]) -> RingImage {
    let count = u16::try_from(locals.len()).unwrap_or(u16::MAX);
    let plain = RingImage::plain(locals.into(), owners);
    let with = |previous: &dyn Fn(u16) -> Previous| {
        let slot = |owner: &u16| Slot::new(*owner, previous(*owner));
        RingImage {
            slots: owners.iter().map(slot).collect(),
            since: vec![1; owners.len()].into(),
            ..plain.clone()
        }
    };
    match port {
        TURNS | OTHER_TURNS => RingImage {
            sequence: (0..count).collect(),
            ..with(&|_| Previous::Table)
        },
        MOVED => with(&|owner| Previous::Local((owner + 1) % count)),
        _ => plain,
    }
}

/// The service on a port, as the counters know it.
pub(super) fn service(image: &Image, port: u16) -> Option<ServiceId> {
    let mut services = image.services.iter();
    let found = services.find(|(_, s)| s.key.port() == port && s.key.addr.is_v4());
    found.map(|(id, _)| *id)
}

/// A flow's first packet, or a later one.
pub(super) fn packet_of(port: u16, first: bool) -> Vec<u8> {
    frame(&tcp(false, port, first))
}

impl Workload {
    /// The first packets of the same flows.
    pub(super) fn opening(&self) -> Self {
        let mut frame = self.frame.clone();
        let flags = if self.family == 4 {
            14 + 20 + 13
        } else {
            14 + 40 + 13
        };
        frame[flags] = 0x02;
        Self {
            frame,
            ..self.clone()
        }
    }
}

fn add_service(image: &mut Image, address: &str, port: u16, protocol: u8, mode: ForwardMode) {
    let number = u32::try_from(image.services.len()).unwrap_or(0);
    let service_id = ServiceId(number);
    let v6 = ip(address).is_ipv6();
    let mut locals = Vec::new();
    let mut members = Vec::new();
    for n in 0..BACKENDS {
        let id = number * BACKENDS + n;
        let entry = entry(id, mode, v6, n);
        let info = BackendInfo {
            name: format!("b{n}"),
            service: format!("s{number}"),
            service_id,
            address: entry.address.to_ip(),
            port,
            weight: 1,
            tunnel: mode != ForwardMode::DirectRouting,
        };
        members.push(Member {
            address: entry.address.to_ip(),
            port,
            weight: 1,
        });
        image
            .backends
            .insert(BackendId(id), BackendImage { entry, info });
        locals.push(BackendId(id));
    }
    // The size that a configuration without `ring_size` gets.
    let owners = Heads::build(&members, slot_count(&members, 0)).owners(|_| true);
    let service = ServiceImage {
        key: ServiceKey::new(Addr::from(ip(address)), port, protocol),
        hash_key: 0x1234_5678_9abc_def0 ^ u64::from(number),
        name: format!("s{number}"),
        steering: Steering {
            stateful: matches!(port, TURNS | OTHER_TURNS),
            budget: u32::MAX,
            ..Steering::default()
        },
        ring: ring(port, locals, &owners),
    };
    image.services.insert(service_id, service);
}
