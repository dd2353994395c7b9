//! What is particular to tunnels: lengths, what the outer header takes over, its source, room in front.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use lb_common::verdict::DropReason;
use lb_tests::packet::{Frame, Packet, eth, internet_checksum};

use crate::{
    forwarding::{encapsulated, leaving, sent},
    harness::{Action, Bench, Expect, Sent, cases},
    world::{
        CLIENT_PORT, Family, MTU, OUR_MAC, Protocol, SPREAD_BITS, TUNNEL4, TUNNEL6, Tags, Target,
        WEB, Way, tunnel_source,
    },
};

const TUNNELS: [(Way, usize); 2] = [(TUNNEL4, 20), (TUNNEL6, 40)];

#[test]
fn ethernet_padding_never_enters_an_outer_length() {
    cases(|bench| {
        for way in [TUNNEL4, TUNNEL6, WEB] {
            for protocol in Protocol::BOTH {
                // 14 + 20 + 8 or 20 bytes: shorter than Ethernet carries, so the frame has padding.
                let (plain, mut sent) = sent(Family::V4, protocol, way, |before, ttl| {
                    let ip = before.ipv4(Family::V4.client(), Family::V4.vip()).ttl(ttl);
                    match protocol {
                        Protocol::Tcp => ip.tcp(CLIENT_PORT, way.port()).flags(0x10),
                        Protocol::Udp => ip.udp(CLIENT_PORT, way.port()),
                    }
                });
                let padding = vec![0xee; 60 - plain.len()];
                let frame = [plain, padding.clone()].concat();
                sent.frame.extend(padding);
                bench.case(
                    format!("a padded {protocol:?} frame by {way:?}"),
                    &frame,
                    &Expect::Send(sent),
                )?;
            }
        }
        Ok(())
    });
}

/// A packet whose IP length is `length` by all headers, to `way`.
fn of_length(family: Family, way: Way, length: usize) -> impl Fn(Packet, u8) -> Packet {
    let payload = vec![b'x'; length - family.header_length() - 8];
    move |before, ttl| {
        let ip = family
            .header(before, family.client(), family.vip())
            .ttl(ttl);
        ip.udp(CLIENT_PORT, way.port()).payload(&payload)
    }
}

#[test]
fn a_packet_fits_with_its_outer_header_or_is_too_big() {
    cases(|bench| {
        for family in Family::BOTH {
            for (way, overhead) in [(WEB, 0), TUNNELS[0], TUNNELS[1]] {
                let fits = usize::from(MTU) - overhead;
                let (frame, sent) = sent(family, Protocol::Udp, way, of_length(family, way, fits));
                bench.case(
                    format!("{family:?}, {fits} bytes by {way:?}"),
                    &frame,
                    &Expect::Send(sent),
                )?;
                for length in [fits + 1, fits + 500] {
                    let frame = of_length(family, way, length)(eth(), 64).build();
                    let name = format!("{family:?}, {length} bytes by {way:?}");
                    let answer = Expect::Answer(too_big(family, eth(), &frame[14..], fits));
                    bench.case(name, &frame, &answer)?;
                }
            }
        }
        Ok(())
    });
}

/// What the client hears of a packet that does not fit; `before` has the tags.
fn too_big(family: Family, before: Packet, packet: &[u8], mtu: usize) -> Vec<u8> {
    let mtu = u32::try_from(mtu).expect("small");
    let before = before.src_mac(OUR_MAC).dst_mac([2, 0, 0, 0, 0, 1]);
    let ip = family.header(before, family.vip(), family.client()).ttl(64);
    let message = match family {
        Family::V4 => ip.dont_fragment(true).icmp(3, 4, mtu),
        Family::V6 => ip.icmpv6(2, 0, mtu),
    };
    message.payload(&packet[..128]).build()
}

#[test]
fn the_answer_has_the_tags_of_the_packet() {
    cases(|bench| {
        for family in Family::BOTH {
            for tags in 0..3 {
                let tagged = |packet: Packet| match tags {
                    0 => packet,
                    1 => packet.vlan(0x2064),
                    _ => packet.service_vlan(0x6064).vlan(0x2065),
                };
                let frame = of_length(family, TUNNEL4, 1481)(tagged(eth()), 64).build();
                let packet = &frame[14 + 4 * tags..];
                let answer = too_big(family, tagged(eth()), packet, 1480);
                let name = format!("{family:?} with {tags} tags");
                bench.case(name, &frame, &Expect::Answer(answer))?;
            }
        }
        Ok(())
    });
}

#[test]
fn the_answer_carries_options_and_still_the_ports() {
    cases(|bench| {
        let frame = eth()
            .ipv4(Family::V4.client(), Family::V4.vip())
            .dont_fragment(true)
            .ip_options([1; 40])
            .tcp(CLIENT_PORT, TUNNEL6.port())
            .payload([7; 1400])
            .build();
        let answer = too_big(Family::V4, eth(), &frame[14..], 1460);
        bench.case("40 bytes of options", &frame, &Expect::Answer(answer))
    });
}

#[test]
fn answers_are_limited_in_number() {
    cases(|bench| {
        // All on one CPU: the limit is each CPU's own.
        let cpu = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))?;
        let first = (0..nix::sched::CpuSet::count()).find(|n| cpu.is_set(*n).unwrap_or(false));
        let mut one = nix::sched::CpuSet::new();
        one.set(first.context("a CPU to run on")?)?;
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &one)?;
        let frame = of_length(Family::V4, TUNNEL4, 1481)(eth(), 64).build();
        let began = std::time::Instant::now();
        let mut answered = 0;
        for _ in 0..1000 {
            let (code, _) = bench.run(&frame)?;
            answered += u64::from(code == Action::Tx as u32);
        }
        // Ticks that have begun meanwhile, with one to spare for the clock's own grain.
        let ticks = began.elapsed().as_secs() + 3;
        bench.check(
            &format!("{answered} of 1000 answered"),
            (1..=100 * ticks).contains(&answered) && answered < 1000,
        );
        Ok(())
    });
}

#[test]
fn without_dont_fragment_nobody_is_told() {
    cases(|bench| {
        let packet = eth()
            .ipv4(Family::V4.client(), Family::V4.vip())
            .dont_fragment(false)
            .udp(CLIENT_PORT, TUNNEL4.port())
            .payload(vec![0; 1481 - 28]);
        bench.drops("1481 bytes without DF", &packet, DropReason::TooBig)
    });
}

#[test]
fn every_dscp_and_ecn_is_copied_to_the_outer_header() {
    cases(|bench| {
        for family in Family::BOTH {
            for (way, _) in TUNNELS {
                for tos in 0..=255 {
                    one_tos(bench, family, way, tos)?;
                }
            }
        }
        Ok(())
    });
}

fn one_tos(bench: &mut Bench, family: Family, way: Way, tos: u8) -> Result<()> {
    let Way::Plain(mode, _) = way else {
        return Ok(());
    };
    let target = Target::of(family, Protocol::Udp, way);
    let packet = |before: Packet, ttl| {
        let ip = family
            .header(before, family.client(), family.vip())
            .ttl(ttl)
            .tos(tos);
        ip.udp(CLIENT_PORT, way.port()).payload(b"x")
    };
    let frame = packet(eth(), 64).build();
    let client = (family.client(), CLIENT_PORT);
    let head = encapsulated(
        leaving(target, Tags::AsReceived, 0),
        mode,
        target,
        tos,
        client,
    );
    let sent = Sent {
        action: Action::Tx,
        target,
        bytes: frame.len() - 14,
        new_flow: false,
        frame: packet(head, 63).build(),
    };
    let name = format!("{family:?} by {way:?} with TOS {tos:#04x}");
    bench.case(name, &frame, &Expect::Send(sent))
}

#[test]
fn the_outer_ipv4_checksum_is_right_for_every_length_and_flow() {
    cases(|bench| {
        for length in 0..1400u16 {
            let [tos, _] = length.to_le_bytes();
            let way = if length % 2 == 0 {
                TUNNEL4
            } else {
                Way::Spread(Family::V4)
            };
            let frame = Family::V4
                .packet()
                .tos(tos)
                .udp(1000 + length, way.port())
                .payload(vec![0xa5; length.into()])
                .build();
            let (_, out) = bench.run(&frame)?;
            let header = out.get(14..34).context("an outer header")?;
            bench.check(
                &format!("checksum of {length} bytes: {header:02x?}"),
                internet_checksum(header) == 0 && header[..2] == [0x45, tos],
            );
        }
        Ok(())
    });
}

#[test]
fn the_outer_source_spreads_flows_within_its_prefix_and_keeps_each() {
    cases(|bench| {
        for family in Family::BOTH {
            for outer in Family::BOTH {
                let sources = outer_sources(bench, family, outer)?;
                // 1024 flows on 256 addresses: each is missed with a probability of 2 %.
                bench.check(
                    &format!("{family:?} over {outer:?}: {} sources", sources.len()),
                    sources.len() > 220 && sources.len() <= 1 << SPREAD_BITS,
                );
            }
        }
        Ok(())
    });
}

fn outer_sources(
    bench: &mut Bench,
    family: Family,
    outer: Family,
) -> Result<BTreeSet<std::net::IpAddr>> {
    let mut sources = BTreeSet::new();
    let base = tunnel_source(outer).to_owned();
    for port in 2000..3024 {
        let packet = |payload: &[u8]| {
            let packet = family.packet().tcp(port, Way::Spread(outer).port());
            packet.payload(payload).build()
        };
        let mut of_flow = BTreeSet::new();
        for payload in ["", "another packet of the flow"] {
            let (_, out) = bench.run(&packet(payload.as_bytes()))?;
            let out = Frame::parse(&out).context("a frame")?;
            let ip = out.ip.first().context("an outer header")?;
            of_flow.insert(ip.src);
        }
        bench.check("one flow, one source", of_flow.len() == 1);
        sources.extend(of_flow);
    }
    let prefix = |ip: &std::net::IpAddr| match ip {
        std::net::IpAddr::V4(v4) => u128::from(v4.to_bits()) >> SPREAD_BITS,
        std::net::IpAddr::V6(v6) => v6.to_bits() >> SPREAD_BITS,
    };
    let base = prefix(&base.parse()?);
    bench.check(
        "every source is in the prefix",
        sources.iter().all(|source| prefix(source) == base),
    );
    Ok(sources)
}

#[test]
fn without_room_in_front_a_tunnelled_packet_is_dropped() {
    cases(|bench| {
        for (way, overhead) in TUNNELS {
            let frame = Family::V6.packet().udp(CLIENT_PORT, way.port()).build();
            // The kernel needs 40 bytes in front of the metadata for itself.
            let least = (256 - 40 - overhead) & !3;
            if !bench.takes_metadata(least + 4) {
                return Ok(());
            }
            let (fits, _) = bench.run_with(&frame, least)?;
            bench.check("just enough room", fits == Action::Tx as u32);
            let before = lb_user::dataplane::stats::read(&bench.bpf);
            let (code, _) = bench.run_with(&frame, least + 4)?;
            bench.check("too little room", code == Action::Drop as u32);
            let after = lb_user::dataplane::stats::read(&bench.bpf);
            bench.check(
                "and it is counted so",
                after.drops[&DropReason::NoHeadroom] == before.drops[&DropReason::NoHeadroom] + 1
                    && after.backends == before.backends,
            );
        }
        Ok(())
    });
}

#[test]
fn the_inner_packet_keeps_its_options_and_its_bad_checksum() {
    cases(|bench| {
        for way in [WEB, TUNNEL4, TUNNEL6] {
            let (frame, sent) = sent(Family::V4, Protocol::Udp, way, |before, ttl| {
                before
                    .ipv4(Family::V4.client(), Family::V4.vip())
                    .ip_options([1, 1, 1, 0])
                    .ttl(ttl)
                    // Wrong before; the difference of one hop is 0x0100.
                    .ip_checksum(if ttl == 64 { 0x1234 } else { 0x1334 })
                    .udp(CLIENT_PORT, way.port())
                    .payload(b"x")
            });
            bench.case(format!("by {way:?}"), &frame, &Expect::Send(sent))?;
        }
        Ok(())
    });
}
