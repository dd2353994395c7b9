//! Every way out × every way in: family, protocol, mode, tags as they come, tags as they leave.

use anyhow::Result;
use lb_tests::packet::{Packet, eth, tcp_flags};

use crate::{
    harness::{Action, Bench, Expect, Sent, cases},
    world::{self, CLIENT_PORT, Family, Mode, OUR_MAC, OWN_VLANS, Protocol, Tags, Target, Way},
};

/// VLANs a frame comes with; the first is a service tag where there are two.
const RECEIVED_VLANS: [u16; 2] = [0x6064, 0x2065];

/// A frame up to its tags, as it comes in.
fn received(tags: u8) -> Packet {
    tagged(eth(), tags, RECEIVED_VLANS)
}

/// A frame up to its tags, as it leaves for `target`.
pub(crate) fn leaving(target: Target, own: Tags, received: u8) -> Packet {
    let macs = eth().src_mac(OUR_MAC).dst_mac(target.mac());
    match own {
        Tags::AsReceived => tagged(macs, received, RECEIVED_VLANS),
        Tags::Own(count) => tagged(macs, count, OWN_VLANS),
    }
}

fn tagged(packet: Packet, count: u8, [outer, inner]: [u16; 2]) -> Packet {
    match count {
        0 => packet,
        1 => packet.vlan(outer),
        _ => packet.service_vlan(outer).vlan(inner),
    }
}

/// The outer header that `mode` puts in front, for the client `client` and its port `port`.
pub(crate) fn encapsulated(
    before: Packet,
    mode: Mode,
    target: Target,
    tos: u8,
    (client, port): (&str, u16),
) -> Packet {
    let Mode::Tunnel(outer) = mode else {
        return before;
    };
    let (source, destination) = (world::tunnel_source(outer), target.address(outer));
    let header = outer.header(before, source, &destination).tos(tos);
    match outer {
        Family::V4 => header,
        Family::V6 => header.flow_label(world::hash(client, port)),
    }
}

/// The packet itself, after whatever is in front of it.
fn packet(before: Packet, family: Family, protocol: Protocol, way: Way, ttl: u8) -> Packet {
    let ip = family
        .header(before, family.client(), family.vip())
        .ttl(ttl)
        .tos(0x2e << 2 | 1);
    protocol.header(ip, way).payload(b"a request of odd length")
}

fn one(bench: &mut Bench, family: Family, protocol: Protocol, way: Way, tags: u8) -> Result<()> {
    let Way::Plain(mode, own) = way else {
        return Ok(());
    };
    let target = Target::of(family, protocol, way);
    let frame = packet(received(tags), family, protocol, way, 64).build();
    let client = (family.client(), CLIENT_PORT);
    let head = encapsulated(
        leaving(target, own, tags),
        mode,
        target,
        0x2e << 2 | 1,
        client,
    );
    let out = packet(head, family, protocol, way, 63).build();
    let sent = Sent {
        action: Action::Tx,
        target,
        bytes: frame.len() - 14 - 4 * usize::from(tags),
        new_flow: protocol == Protocol::Tcp,
        frame: out,
    };
    let name = format!("{family:?} {protocol:?} with {tags} tags by {way:?}");
    bench.case(name, &frame, &Expect::Send(sent))
}

#[test]
fn every_way_out_takes_every_way_in() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for way in Way::all() {
                    for tags in 0..3 {
                        one(bench, family, protocol, way, tags)?;
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn another_interface_is_redirected_to_if_it_is_known() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                let target = Target::of(family, protocol, Way::Redirect);
                let frame = packet(eth(), family, protocol, Way::Redirect, 64).build();
                let head = leaving(target, Tags::AsReceived, 0);
                let sent = Sent {
                    action: Action::Redirect,
                    target,
                    bytes: frame.len() - 14,
                    new_flow: protocol == Protocol::Tcp,
                    frame: packet(head, family, protocol, Way::Redirect, 63).build(),
                };
                let name = format!("{family:?} {protocol:?} to another interface");
                bench.case(name, &frame, &Expect::Send(sent))?;
                bench.drops(
                    format!("{family:?} {protocol:?} to an interface that is no device"),
                    &packet(eth(), family, protocol, Way::NotADevice, 64),
                    lb_common::verdict::DropReason::RedirectFailed,
                )?;
            }
        }
        Ok(())
    });
}

#[test]
fn one_5_tuple_is_two_flows_by_tcp_and_by_udp() {
    cases(|bench| {
        for family in Family::BOTH {
            let tcp = Target::of(family, Protocol::Tcp, world::WEB);
            let udp = Target::of(family, Protocol::Udp, world::WEB);
            bench.check("two services", tcp.service != udp.service);
            one(bench, family, Protocol::Tcp, world::WEB, 0)?;
            one(bench, family, Protocol::Udp, world::WEB, 0)?;
        }
        Ok(())
    });
}

/// What a frame to `way` becomes when all is well, by the packet after the link layer and its copy
/// with one hop less.
pub(crate) fn sent(
    family: Family,
    protocol: Protocol,
    way: Way,
    after: impl Fn(Packet, u8) -> Packet,
) -> (Vec<u8>, Sent) {
    let target = Target::of(family, protocol, way);
    let frame = after(eth(), 64).build();
    let mode = match way {
        Way::Plain(mode, _) => mode,
        _ => Mode::Direct,
    };
    let client = (family.client(), CLIENT_PORT);
    let head = encapsulated(
        leaving(target, Tags::AsReceived, 0),
        mode,
        target,
        0,
        client,
    );
    let sent = Sent {
        action: Action::Tx,
        target,
        bytes: frame.len() - 14,
        new_flow: false,
        frame: after(head, 63).build(),
    };
    (frame, sent)
}

#[test]
fn only_a_syn_without_ack_is_a_new_flow() {
    use tcp_flags::{ACK, FIN, PSH, RST, SYN, URG};
    let flags = [
        ("SYN", SYN, true),
        ("SYN with PSH and URG", SYN | PSH | URG, true),
        ("SYN+FIN", SYN | FIN, true),
        ("SYN+ACK", SYN | ACK, false),
        ("ACK", ACK, false),
        ("RST", RST, false),
        ("RST+ACK", RST | ACK, false),
        ("FIN", FIN, false),
        ("FIN+ACK", FIN | ACK, false),
        ("no flag", 0, false),
        ("FIN+PSH+URG", FIN | PSH | URG, false),
        ("every flag", 0xff, false),
    ];
    cases(|bench| {
        for family in Family::BOTH {
            for (name, flags, new_flow) in flags {
                let (frame, mut sent) = sent(family, Protocol::Tcp, world::WEB, |before, ttl| {
                    let ip = family
                        .header(before, family.client(), family.vip())
                        .ttl(ttl);
                    Protocol::Tcp.header(ip, world::WEB).flags(flags)
                });
                sent.new_flow = new_flow;
                bench.case(format!("{family:?} {name}"), &frame, &Expect::Send(sent))?;
            }
        }
        Ok(())
    });
}
