//! What is wrong, and under which name it is counted.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    PASSWORD, UNICAST, V2, V3, V6,
    forge::{Forge, GROUP},
};
use crate::topology::Node;

/// What is wrong with it, the names one of which it is counted under, and the advert.
pub(super) type Case = (&'static str, &'static [&'static str], Forge);

/// Who attacks whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attack<'a> {
    pub(super) node: &'a Node,
    /// The other balancer.
    pub(super) peer: &'a Node,
    pub(super) attacker: &'a Node,
}

impl Attack<'_> {
    /// Where it comes from.
    pub(super) fn origin(&self) -> Vec<Case> {
        vec![
            ("v2 with TTL 254", TTL, self.v2().ttl(254)),
            ("v2 with TTL 1", TTL, self.v2().ttl(1)),
            ("v3 with TTL 254", TTL, self.v3().ttl(254)),
            ("v3 with TTL 64", TTL, self.v3().ttl(64)),
            ("IPv6 with hop limit 254", TTL, self.v6().ttl(254)),
            ("IPv6 with hop limit 1", TTL, self.v6().ttl(1)),
            (
                "unicast from a peer with TTL 64",
                TTL,
                self.unicast(self.peer.v4).ttl(64),
            ),
            (
                "unicast from a stranger",
                &["source"],
                self.unicast(self.attacker.v4),
            ),
            (
                "unicast from a stranger, release",
                &["source"],
                self.unicast(self.attacker.v4).priority(0),
            ),
            (
                "unicast that came to the group",
                &["destination", "source"],
                self.unicast_to_group(),
            ),
            (
                "multicast router asked by unicast",
                &["destination"],
                self.by_unicast(self.v3()),
            ),
            // The kernel knows that such a packet cannot come from outside, and keeps it to itself.
            (
                "v2 from our own address",
                KERNEL,
                self.for_one_alone(self.v2().source(self.node.v4)),
            ),
            (
                "v3 from our own address",
                KERNEL,
                self.for_one_alone(self.v3().source(self.node.v4)),
            ),
        ]
    }

    /// What it says it is.
    pub(super) fn identity(&self) -> Vec<Case> {
        vec![
            ("version 0", VERSION, self.v2().version(0)),
            ("version 1", VERSION, self.v2().version(1)),
            ("version 4", VERSION, self.v3().version(4)),
            ("version 15", VERSION, self.v3().version(15)),
            ("v3 for a v2 router", VERSION, self.v3().id(V2)),
            ("v2 for a v3 router", VERSION, self.v2().id(V3)),
            (
                "v2 over IPv6",
                &["version_family", "version"],
                self.v6().version(2),
            ),
            ("type 0", &["type"], self.v2().kind(0)),
            ("type 2", &["type"], self.v3().kind(2)),
            ("type 15 over IPv6", &["type"], self.v6().kind(15)),
            ("router 0", VRID, self.v2().id(0)),
            (
                "v2 for a router that is not ours",
                VRID,
                self.v2().id(STRANGER),
            ),
            (
                "v3 for a router that is not ours",
                VRID,
                self.v3().id(STRANGER),
            ),
            (
                "IPv6 for a router that is not ours",
                VRID,
                self.v6().id(STRANGER),
            ),
        ]
    }

    /// What is in it.
    pub(super) fn content(&self) -> Vec<Case> {
        vec![
            (
                "v2 with a wrong checksum",
                CHECKSUM,
                self.v2().checksum(0xdead),
            ),
            ("v2 with checksum 0", CHECKSUM, self.v2().checksum(0)),
            (
                "v3 with a wrong checksum",
                CHECKSUM,
                self.v3().checksum(0xdead),
            ),
            (
                "release with a wrong checksum",
                CHECKSUM,
                self.v3().priority(0).checksum(0xdead),
            ),
            (
                "IPv6 with a wrong checksum",
                CHECKSUM,
                self.v6().checksum(0xdead),
            ),
            ("wrong password", PASS, self.v2().password("public")),
            (
                "half the password",
                PASS,
                self.v2().password(&PASSWORD[..3]),
            ),
            (
                "no password",
                PASS,
                self.v2().authentication(0).password(""),
            ),
            (
                "release with a wrong password",
                PASS,
                self.v2().priority(0).password("public"),
            ),
            (
                "owner with a wrong password",
                PASS,
                self.v2().priority(255).password("public"),
            ),
            (
                "IPsec authentication",
                &["authentication_type", "password"],
                self.v2().authentication(2),
            ),
            (
                "v2 with another interval",
                &["interval"],
                self.v2().interval(2),
            ),
            ("v2 with interval 0", &["interval"], self.v2().interval(0)),
            ("v3 with interval 0", &["interval"], self.v3().interval(0)),
        ]
    }

    /// How long it is.
    pub(super) fn length(&self) -> Vec<Case> {
        vec![
            ("nothing at all", LENGTH, self.v2().cut(0)),
            ("4 bytes", LENGTH, self.v2().cut(4)),
            ("7 bytes of v3", LENGTH, self.v3().cut(7)),
            ("v2 without its password's bytes", LENGTH, self.v2().cut(12)),
            ("v2 that says 255 addresses", LENGTH, self.v2().count(255)),
            ("v3 that says 2 addresses", LENGTH, self.v3().count(2)),
            ("IPv6 that says 200 addresses", LENGTH, self.v6().count(200)),
        ]
    }

    fn v2(&self) -> Forge {
        Forge::v2(V2, self.attacker.v4, self.attacker.port.mac())
    }

    fn v3(&self) -> Forge {
        let Node { v4, port, .. } = self.attacker;
        Forge::v3(V3, (*v4).into(), GROUP.into(), port.mac())
    }

    fn v6(&self) -> Forge {
        let group = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]);
        Forge::v3(
            V6,
            link_local(self.attacker),
            group,
            self.attacker.port.mac(),
        )
    }

    fn unicast(&self, source: Ipv4Addr) -> Forge {
        let mac = self.attacker.port.mac();
        self.by_unicast(Forge::v3(UNICAST, source.into(), GROUP.into(), mac))
    }

    fn unicast_to_group(&self) -> Forge {
        let mac = self.attacker.port.mac();
        Forge::v3(UNICAST, self.peer.v4.into(), GROUP.into(), mac)
    }

    fn by_unicast(&self, mut forge: Forge) -> Forge {
        forge.destination = self.node.v4.into();
        self.for_one_alone(forge)
    }

    /// The frame is for one node alone: to the other this would be the peer's word, and a good one.
    fn for_one_alone(&self, mut forge: Forge) -> Forge {
        forge.to_mac = self.node.port.mac();
        forge
    }
}

/// fe80:: with the interface identifier that the kernel makes of a MAC (RFC 4291, appendix A).
fn link_local(node: &Node) -> IpAddr {
    let [a, b, c, d, e, f] = node.port.mac().map(u16::from);
    IpAddr::from([
        0xfe80,
        0,
        0,
        0,
        (a ^ 2) << 8 | b,
        c << 8 | 0xff,
        0xfe00 | d,
        e << 8 | f,
    ])
}

const STRANGER: u8 = 99;

/// Refused by the kernel already.
const KERNEL: &[&str] = &[];
const TTL: &[&str] = &["ttl"];
const VERSION: &[&str] = &["version"];
const VRID: &[&str] = &["vrid", "virtual_router_id"];
const CHECKSUM: &[&str] = &["checksum"];
const PASS: &[&str] = &["password"];
const LENGTH: &[&str] = &["length", "truncated"];
