//! Frames: the parser's three ways agree, and what is decided can be carried out.
//!
//! Input: a frame, as it arrives at a balancer with a service for each way of forwarding.

use std::{net::IpAddr, sync::OnceLock};

use lb_common::{
    addr::Addr,
    answer,
    arena::UNIT,
    backend::{BackendEntry, ForwardMode, TAGS_AS_RECEIVED},
    decide::{self, Decision},
    flow::{ServiceKey, TCP, UDP},
    forward::{self, Exit},
    parse,
    steer::With,
    wire::ethernet::{MacWords, Macs},
};
use lb_user::{
    dataplane::{
        arena::Arena,
        image::{BackendId, Front, RingImage, ServiceId, Steering},
        region::{self, FrontService},
        remembered::ReadOnly,
    },
    types::{IfIndex, Mac},
};
use zerocopy::IntoBytes as _;

#[path = "../../dataplane/buffer.rs"]
mod buffer;

use buffer::Buffer;

/// One input; panics if the code under test is wrong.
pub(crate) fn run(data: &[u8]) {
    static ARENA: OnceLock<Arena> = OnceLock::new();
    let mut frame = Buffer::new(data, 0);
    the_parsers_agree(&frame);
    let arena = ARENA.get_or_init(arena);
    let memory = ReadOnly {
        table: arena,
        secret: 0,
    };
    let steerer = With {
        arena,
        memory: &memory,
    };
    let forward = match decide::decide(&frame, arena, &steerer, INGRESS) {
        Decision::Forward(forward) => forward,
        Decision::Answer(told) => {
            answer::too_big(&mut frame, told.l3, told.v4, told.mtu).expect("there is room");
            assert!(frame.frame().len() < data.len(), "the answer is longer");
            return;
        }
        Decision::Pass | Decision::Drop(_) => {
            assert_eq!(frame.frame(), data, "looking at a frame changed it");
            return;
        }
    };
    let Ok(exit) = forward::rewrite(&mut frame, &forward) else {
        return;
    };
    match ForwardMode::from_byte(forward.backend.mode) {
        Some(ForwardMode::Local) => assert_eq!(frame.frame(), data, "a local frame was changed"),
        Some(ForwardMode::DirectRouting) => {
            let sent = parse::packet(&frame).expect("a forwarded packet is still one");
            assert_eq!(sent.flow, forward.packet.flow);
            assert_eq!(sent.kind, forward.packet.kind);
            assert_eq!(sent.ttl, forward.packet.ttl - 1);
            assert_eq!(exit, Exit::Interface(INGRESS));
        }
        Some(ForwardMode::TunnelV4 | ForwardMode::TunnelV6) => {
            assert!(frame.frame().len() >= 14 + 20 + forward.packet.length as usize);
            assert_eq!(exit, Exit::Interface(INGRESS));
        }
        Some(ForwardMode::Unresolved) | None => panic!("sent to where there is no way"),
    }
}

/// The parsers of the two plain shapes say nothing, or what the general one says.
fn the_parsers_agree(frame: &Buffer) {
    let general = parse::packet(frame);
    for plain in [parse::plain_ipv4(frame), parse::plain_ipv6(frame)] {
        assert!(plain.is_none() || plain == general.ok());
    }
}

/// An arena with one service for each of [`MODES`], on ports from 80 on.
fn arena() -> Arena {
    let mut arena = Arena::anonymous(1 << 20).expect("a megabyte");
    let mut services = Vec::new();
    let vips = ["192.0.2.10", "2001:db8::10"].map(address);
    let combinations = vips.iter().flat_map(|vip| [(*vip, TCP), (*vip, UDP)]);
    for (vip, protocol) in combinations {
        for (port, mode) in (80u16..).zip(MODES) {
            let id = u32::try_from(services.len()).expect("a few");
            let at = PLACES + id * 2 * PLACE;
            arena.write(at, entry(id, mode).as_bytes());
            let ring = RingImage::plain([BackendId(id)].into(), &[0; 5]);
            arena.write(at + PLACE, &region::ring(&ring, |_| at));
            services.push(FrontService {
                id: ServiceId(id),
                key: ServiceKey::new(Addr::from(vip), port, protocol),
                hash_key: 1,
                steering: Steering::default(),
                ring: at + PLACE,
            });
        }
    }
    let interface = IfIndex::new(INGRESS).expect("not 0");
    let front = Front {
        interfaces: [(interface, Mac(OUR_MAC))].into(),
        own_addresses: [address("192.0.2.2"), address("2001:db8::2")].into(),
        peers: [Mac([2, 0, 0, 0, 0, 3])].into(),
    };
    let front = region::front(&front, &services);
    assert!(front.bytes.len() < (PLACES - UNIT) as usize);
    arena.write(UNIT, &front.bytes);
    arena.write(0, region::root(UNIT, 0, 0).as_bytes());
    arena
}

fn entry(id: u32, mode: ForwardMode) -> BackendEntry {
    let (source, to) = match mode {
        ForwardMode::TunnelV6 => ("2001:db8:b::1", "2001:db8:b::2"),
        _ => ("10.0.0.1", "10.0.0.2"),
    };
    BackendEntry {
        macs: Macs {
            destination: MacWords::new([2, 0, 0, 0, 0, 9]),
            source: MacWords::new(OUR_MAC),
        },
        ifindex: INGRESS,
        id,
        mtu: 1500,
        mode: mode as u8,
        tags: TAGS_AS_RECEIVED,
        vlans: [0; 2],
        source_bits: 0,
        flags: 0,
        generation: 0,
        tunnel_source: Addr::from(address(source)),
        address: Addr::from(address(to)),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const MODES: [ForwardMode; 5] = [
    ForwardMode::DirectRouting,
    ForwardMode::TunnelV4,
    ForwardMode::TunnelV6,
    ForwardMode::Local,
    ForwardMode::Unresolved,
];
const INGRESS: u32 = 1;
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Where entries and rings are, behind the front table.
const PLACES: u32 = 64 << 10;
/// Bytes for one entry or one ring.
const PLACE: u32 = 256;
