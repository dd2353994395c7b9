//! The driver, and the floors: the least that a balancer of the usual design does, written plainly.
//!
//! `BPF_PROG_TEST_RUN`'s `repeat` hands the same bytes to every round, changed as the last one left
//! them. So the driver writes a flow's addresses and ports, calls the program under test (a tail call
//! out of a subprogram comes back to the subprogram's caller), undoes what it did, and goes on.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "BPF is a 64-bit target, and lengths and offsets of packets and maps fit 32 bits"
)]
#![expect(unsafe_code, reason = "packet memory and map values are raw pointers")]

#[path = "../../../lb-ebpf/src/packet.rs"]
mod packet;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray},
    helpers::bpf_xdp_adjust_head,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use lb_bench_ebpf::{BACKENDS, BATCH, Drive, PORTS, Vip, VipInfo};
use lb_common::{
    addr::Addr,
    backend::BackendEntry,
    counters::TrafficCounters,
    csum,
    encap::{self, Inner},
    flow::{TCP, UDP},
    hash::source_hash,
    packet::{Frame, FrameMut},
    wire::{
        Be16, Raw16, Raw32, Raw64,
        ethernet::{self, Ethernet, MacWords, Macs},
        ipv4::Ipv4,
        ipv6::Ipv6,
        udp::Ports,
    },
};
use packet::Packet;

#[btf_map]
static DRIVE: Array<Drive, 1> = Array::new();
#[btf_map]
static PROGRAMS: ProgramArray<16> = ProgramArray::new();
#[btf_map]
static VIPS: HashMap<Vip, VipInfo, 1024> = HashMap::new();
#[btf_map]
static FLOOR_BACKENDS: Array<BackendEntry, 128> = Array::new();
#[btf_map]
static FLOOR_VIP_STATS: PerCpuArray<TrafficCounters, 64> = PerCpuArray::new();
#[btf_map]
static FLOOR_STATS: PerCpuArray<TrafficCounters, 128> = PerCpuArray::new();
#[btf_map]
static FLOWS: LruHashMap<Vip, u32, 2_097_152> = LruHashMap::new();

/// Prepares a packet, calls, undoes, sixteen times.
#[xdp]
pub(crate) fn driver(ctx: XdpContext) -> u32 {
    let Some(drive) = DRIVE.get_ptr_mut(0) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: the element is there for as long as the program runs; nobody else writes meanwhile.
    let drive = unsafe { &mut *drive };
    for _ in 0..BATCH {
        drive.random ^= drive.random << 13;
        drive.random ^= drive.random >> 7;
        drive.random ^= drive.random << 17;
        let flow = (drive.random >> 20) as u32 & drive.flow_mask;
        let mut packet = Packet::new(XdpContext::new(ctx.ctx));
        if prepare(&mut packet, drive.family, flow).is_none() {
            return xdp_action::XDP_ABORTED;
        }
        let verdict = call(ctx.ctx, drive.program);
        if verdict != drive.verdict {
            drive.mismatches += 1;
            drive.unexpected = verdict;
        }
        if drive.grown != 0 {
            // SAFETY: the helper checks bounds itself.
            unsafe { bpf_xdp_adjust_head(ctx.ctx, drive.grown as i32) };
        }
    }
    xdp_action::XDP_PASS
}

/// Runs another program and comes back with what it returned.
#[inline(never)]
fn call(ctx: *mut aya_ebpf::bindings::xdp_md, program: u32) -> u32 {
    let ctx = XdpContext::new(ctx);
    let no_program: u64;
    // SAFETY: nothing here needs dropping. The value is made where LLVM cannot see it: to its mind a
    // tail call returns nothing, and this function always the same.
    unsafe {
        PROGRAMS.tail_call(&ctx, program);
        core::arch::asm!("{0} = 99", out(reg) no_program);
    }
    no_program as u32
}

const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Writes everything that a program under test may have changed, and the flow.
#[inline(always)]
fn prepare(packet: &mut Packet, family: u32, flow: u32) -> Option<()> {
    if family == 0 {
        return Some(());
    }
    let macs = Macs {
        destination: MacWords::new(OUR_MAC),
        source: MacWords::new(CLIENT_MAC),
    };
    let ethertype = if family == 4 {
        ethernet::IPV4
    } else {
        ethernet::IPV6
    };
    packet.store(
        0,
        Ethernet {
            macs,
            ethertype: Be16::new(ethertype),
        },
    )?;
    let port = Be16::new(1024 + (flow % PORTS) as u16);
    let host = (0x0a40_0000 + flow / PORTS).to_be();
    if family == 4 {
        let ip = packet.view::<Ipv4>(ethernet::LEN)?;
        let changed = Ipv4 {
            ttl: 64,
            checksum: Raw16::new(0x1234),
            source: Raw32::new(host),
            ..*ip
        };
        packet.store(ethernet::LEN, changed)?;
        packet.store(ethernet::LEN + 20, port)
    } else {
        packet.store(ethernet::LEN + 7, 64u8)?;
        packet.store(ethernet::LEN + 20, Raw32::new(host))?;
        packet.store(ethernet::LEN + 40, port)
    }
}

/// The cost of being called.
#[xdp]
pub(crate) fn empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// Parsing and a rewrite, nothing looked up.
#[xdp]
pub(crate) fn rewrite(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(ctx);
    let entry = FIXED;
    match parse(&packet).and_then(|parsed| direct(&mut packet, &parsed, &entry)) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_PASS,
    }
}

/// One hash map, one array, counters, a rewrite.
#[xdp]
pub(crate) fn floor_direct(ctx: XdpContext) -> u32 {
    floor(ctx, false)
}

/// One hash map, one array, counters, an outer header.
#[xdp]
pub(crate) fn floor_tunnel(ctx: XdpContext) -> u32 {
    floor(ctx, true)
}

/// One hash map, one LRU (a hit), one array, counters, a rewrite.
#[xdp]
pub(crate) fn floor_lru(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(ctx);
    match remembered(&mut packet) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn floor(ctx: XdpContext, tunnel: bool) -> u32 {
    let mut packet = Packet::new(ctx);
    match forward(&mut packet, tunnel) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn forward(packet: &mut Packet, tunnel: bool) -> Option<()> {
    let parsed = parse(packet)?;
    // SAFETY: the value is only read, at once.
    let vip = unsafe { VIPS.get(parsed.vip)? };
    let hash = source_hash(0, parsed.source, parsed.port);
    let index = lb_common::hash::slot_of(hash, BACKENDS);
    let backend = FLOOR_BACKENDS.get(index)?;
    if tunnel {
        encapsulate(packet, &parsed, backend, hash)?;
    } else {
        direct(packet, &parsed, backend)?;
    }
    count(FLOOR_VIP_STATS.get_ptr_mut(vip.id), parsed.length);
    count(FLOOR_STATS.get_ptr_mut(index), parsed.length);
    Some(())
}

#[inline(always)]
fn remembered(packet: &mut Packet) -> Option<()> {
    let parsed = parse(packet)?;
    // SAFETY: the value is only read, at once.
    let vip = unsafe { VIPS.get(parsed.vip)? };
    let [high, low] = parsed.source.words();
    let key = Vip {
        address: [high, low],
        port_protocol: u64::from(parsed.port),
    };
    // SAFETY: the value is only read, at once.
    let index = match unsafe { FLOWS.get(key) } {
        Some(index) => *index,
        None => {
            let hash = source_hash(0, parsed.source, parsed.port);
            let index = lb_common::hash::slot_of(hash, BACKENDS);
            FLOWS.insert(key, index, 0).ok()?;
            index
        }
    };
    let backend = FLOOR_BACKENDS.get(index)?;
    direct(packet, &parsed, backend)?;
    count(FLOOR_VIP_STATS.get_ptr_mut(vip.id), parsed.length);
    count(FLOOR_STATS.get_ptr_mut(index), parsed.length);
    Some(())
}

/// What the floors need to know of a packet.
struct Parsed {
    v4: bool,
    vip: Vip,
    source: Addr,
    port: u16,
    length: u32,
    tos: u8,
}

/// Untagged, no options, no extension headers: all that the bench sends.
#[inline(always)]
fn parse(packet: &Packet) -> Option<Parsed> {
    let ethertype = packet.view::<Ethernet>(0)?.ethertype.get();
    if ethertype == ethernet::IPV4 {
        let ip = packet.view::<Ipv4>(ethernet::LEN)?;
        if ip.version_ihl != 0x45 || ip.ttl <= 1 || (ip.protocol != TCP && ip.protocol != UDP) {
            return None;
        }
        let ports = packet.view::<Ports>(ethernet::LEN + 20)?;
        let address = Addr::from_v4_word(ip.destination.get()).words();
        Some(Parsed {
            v4: true,
            vip: vip(address, ports, ip.protocol),
            source: Addr::from_v4_word(ip.source.get()),
            port: ports.source.get(),
            length: u32::from(ip.total_length.get()),
            tos: ip.tos,
        })
    } else if ethertype == ethernet::IPV6 {
        let ip = packet.view::<Ipv6>(ethernet::LEN)?;
        if ip.hop_limit <= 1 || (ip.next_header != TCP && ip.next_header != UDP) {
            return None;
        }
        let ports = packet.view::<Ports>(ethernet::LEN + 40)?;
        let words = |[high, low]: [Raw64; 2]| [high.get(), low.get()];
        Some(Parsed {
            v4: false,
            vip: vip(words(ip.destination), ports, ip.next_header),
            source: Addr::from_words(words(ip.source)),
            port: ports.source.get(),
            length: u32::from(ip.payload_length.get()) + 40,
            tos: 0,
        })
    } else {
        None
    }
}

#[inline(always)]
fn vip(address: [u64; 2], ports: &Ports, protocol: u8) -> Vip {
    Vip {
        address,
        port_protocol: u64::from(ports.destination.get()) << 8 | u64::from(protocol),
    }
}

#[inline(always)]
fn direct(packet: &mut Packet, parsed: &Parsed, backend: &BackendEntry) -> Option<()> {
    packet.store(0, backend.macs)?;
    if parsed.v4 {
        let ip = packet.view::<Ipv4>(ethernet::LEN)?;
        let ttl = ip.ttl - 1;
        let old = u16::from_ne_bytes([ip.ttl, ip.protocol]);
        let new = u16::from_ne_bytes([ttl, ip.protocol]);
        let checksum = csum::replace(ip.checksum.get(), old, new);
        packet.store(ethernet::LEN + 8, ttl)?;
        packet.store(ethernet::LEN + 10, Raw16::new(checksum))
    } else {
        let limit = packet.view::<Ipv6>(ethernet::LEN)?.hop_limit;
        packet.store(ethernet::LEN + 7, limit - 1)
    }
}

#[inline(always)]
fn encapsulate(
    packet: &mut Packet,
    parsed: &Parsed,
    backend: &BackendEntry,
    hash: u32,
) -> Option<()> {
    let inner = Inner {
        v4: parsed.v4,
        length: parsed.length,
        tos: parsed.tos,
        hash,
    };
    let (by, ethertype) = if parsed.v4 {
        (20, ethernet::IPV4)
    } else {
        (40, ethernet::IPV6)
    };
    packet.grow_head(by)?;
    packet.store(
        0,
        Ethernet {
            macs: backend.macs,
            ethertype: Be16::new(ethertype),
        },
    )?;
    if parsed.v4 {
        packet.store(ethernet::LEN, encap::outer_v4(backend, &inner))
    } else {
        packet.store(ethernet::LEN, encap::outer_v6(backend, &inner))
    }
}

#[inline(always)]
fn count(counters: Option<*mut TrafficCounters>, length: u32) {
    let Some(counters) = counters else { return };
    // SAFETY: this CPU's own element.
    let counters = unsafe { &mut *counters };
    counters.packets += 1;
    counters.bytes += u64::from(length);
}

/// A backend for the program that looks nothing up.
const FIXED: BackendEntry = BackendEntry {
    macs: zerocopy::transmute!([0x02u8, 0, 0, 0, 0, 0x21, 0x02, 0, 0, 0, 0, 0x02]),
    ifindex: 1,
    id: 0,
    mtu: 1500,
    mode: 1,
    tags: 0,
    vlans: [0; 2],
    source_bits: 0,
    flags: 0,
    generation: 0,
    tunnel_source: Addr::UNSPECIFIED,
    address: Addr::UNSPECIFIED,
};

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
