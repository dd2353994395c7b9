//! Adverts that nobody may listen to, each wrong in one thing, all of priority 254 unless they say otherwise.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{Version, VirtualRouter};
use crate::{
    netns::Host,
    packet::{self, MacAddr, internet_checksum, pseudo_checksum},
    sys,
    topology::Node,
};

/// A forged advert.
#[derive(Clone, Debug)]
pub struct Forged {
    /// What is wrong with it.
    pub what: &'static str,
    /// Under which of these names it is counted: the first fault that is found counts.
    pub reasons: &'static [&'static str],
    /// The frame.
    pub frame: Vec<u8>,
}

/// The virtual routers that [`corpus`] attacks, as the node `own` with this `peer` would configure them:
/// version 2 with a password, version 3, version 3 by unicast, version 3 over IPv6.
#[must_use]
pub fn targets(own: Ipv4Addr, peer: Ipv4Addr) -> Vec<VirtualRouter> {
    vec![
        VirtualRouter::new("v2", V2, Version::V2)
            .password(PASSWORD)
            .address(crate::topology::VIP),
        VirtualRouter::new("v3", V3, Version::V3).address([10, 0, 0, 126]),
        VirtualRouter::new("unicast", UNICAST, Version::V3)
            .unicast(own, peer)
            .address([10, 0, 0, 127]),
        VirtualRouter::new("v6", V6, Version::V3).address(crate::topology::VIP6),
    ]
}

/// Frames against `node`, whose peer is `peer`, from `attacker`.
#[must_use]
pub fn corpus(node: &Node, peer: &Node, attacker: &Node) -> Vec<Forged> {
    let v2 = || Forge::v2(attacker);
    let v3 = || Forge::v3(V3, attacker.v4.into(), GROUP.into(), attacker.port.mac());
    let unicast = |source: Ipv4Addr| {
        let mut forge = Forge::v3(UNICAST, source.into(), node.v4.into(), attacker.port.mac());
        forge.to_mac = node.port.mac();
        forge
    };
    let v6 = || {
        let group = IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]);
        Forge::v3(V6, link_local(attacker), group, attacker.port.mac())
    };
    let mut corpus = Vec::new();
    let mut add = |what, reasons, forge: Forge| {
        let frame = forge.frame();
        corpus.push(Forged {
            what,
            reasons,
            frame,
        });
    };

    // Where it comes from.
    add("v2 with TTL 254", TTL, v2().ttl(254));
    add("v2 with TTL 1", TTL, v2().ttl(1));
    add("v3 with TTL 254", TTL, v3().ttl(254));
    add("v3 with TTL 64", TTL, v3().ttl(64));
    add("IPv6 with hop limit 254", TTL, v6().ttl(254));
    add("IPv6 with hop limit 1", TTL, v6().ttl(1));
    add(
        "unicast from a peer with TTL 64",
        TTL,
        unicast(peer.v4).ttl(64),
    );
    add("unicast from a stranger", &["source"], unicast(attacker.v4));
    add(
        "unicast from a stranger, release",
        &["source"],
        unicast(attacker.v4).priority(0),
    );
    add(
        "unicast that came to the group",
        &["destination", "source"],
        unicast_to_group(peer, attacker),
    );
    add(
        "multicast router asked by unicast",
        &["destination"],
        to_one(v3(), node),
    );
    // The kernel knows that such a packet cannot come from outside, and keeps it to itself.
    add(
        "v2 from our own address",
        KERNEL,
        only_to(v2().source(node.v4), node),
    );
    add(
        "v3 from our own address",
        KERNEL,
        only_to(v3().source(node.v4), node),
    );

    // What it says it is.
    add("version 0", VERSION, v2().version(0));
    add("version 1", VERSION, v2().version(1));
    add("version 4", VERSION, v3().version(4));
    add("version 15", VERSION, v3().version(15));
    add("v3 for a v2 router", VERSION, v3().id(V2));
    add("v2 for a v3 router", VERSION, v2().id(V3));
    add(
        "v2 over IPv6",
        &["version_family", "version"],
        v6().version(2),
    );
    add("type 0", &["type"], v2().kind(0));
    add("type 2", &["type"], v3().kind(2));
    add("type 15 over IPv6", &["type"], v6().kind(15));
    add("router 0", VRID, v2().id(0));
    add("v2 for a router that is not ours", VRID, v2().id(STRANGER));
    add("v3 for a router that is not ours", VRID, v3().id(STRANGER));
    add(
        "IPv6 for a router that is not ours",
        VRID,
        v6().id(STRANGER),
    );

    // What is in it.
    add("v2 with a wrong checksum", CHECKSUM, v2().checksum(0xdead));
    add("v2 with checksum 0", CHECKSUM, v2().checksum(0));
    add("v3 with a wrong checksum", CHECKSUM, v3().checksum(0xdead));
    add(
        "release with a wrong checksum",
        CHECKSUM,
        v3().priority(0).checksum(0xdead),
    );
    add(
        "IPv6 with a wrong checksum",
        CHECKSUM,
        v6().checksum(0xdead),
    );
    add("wrong password", PASS, v2().password("public"));
    add("half the password", PASS, v2().password(&PASSWORD[..3]));
    add("no password", PASS, v2().authentication(0).password(""));
    add(
        "release with a wrong password",
        PASS,
        v2().priority(0).password("public"),
    );
    add(
        "owner with a wrong password",
        PASS,
        v2().priority(255).password("public"),
    );
    add(
        "IPsec authentication",
        &["authentication_type", "password"],
        v2().authentication(2),
    );
    add("v2 with another interval", &["interval"], v2().interval(2));
    add("v2 with interval 0", &["interval"], v2().interval(0));
    add("v3 with interval 0", &["interval"], v3().interval(0));

    // How long it is.
    add("nothing at all", LENGTH, v2().cut(0));
    add("4 bytes", LENGTH, v2().cut(4));
    add("7 bytes of v3", LENGTH, v3().cut(7));
    add("v2 without its password's bytes", LENGTH, v2().cut(12));
    add("v2 that says 255 addresses", LENGTH, v2().count(255));
    add("v3 that says 2 addresses", LENGTH, v3().count(2));
    add("IPv6 that says 200 addresses", LENGTH, v6().count(200));
    corpus
}

/// Sends a frame out of `eth0` of `host`, as it is.
///
/// # Errors
/// When it cannot be sent.
pub fn send(host: &Host, frame: &[u8]) -> Result<()> {
    host.run(|| {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        Ok(sys::send_frame(&socket, if_nametoindex("eth0")?, frame)?)
    })
}

/// A right advert, to be made wrong.
#[derive(Clone, Debug)]
struct Forge {
    source: IpAddr,
    destination: IpAddr,
    from_mac: MacAddr,
    to_mac: MacAddr,
    ttl: u8,
    version: u8,
    kind: u8,
    id: u8,
    priority: u8,
    count: u8,
    /// Version 2: the authentication type.
    authentication: u8,
    /// Seconds in version 2, hundredths in version 3.
    interval: u8,
    password: [u8; 8],
    checksum: Option<u16>,
    cut: usize,
}

impl Forge {
    fn v2(attacker: &Node) -> Self {
        let mut forge = Self::v3(V2, attacker.v4.into(), GROUP.into(), attacker.port.mac());
        forge.version = 2;
        forge.authentication = 1;
        forge.interval = 1;
        forge.password(PASSWORD)
    }

    fn v3(id: u8, source: IpAddr, destination: IpAddr, from_mac: MacAddr) -> Self {
        Self {
            source,
            destination,
            from_mac,
            to_mac: match destination {
                IpAddr::V4(_) => [0x01, 0, 0x5e, 0, 0, 0x12],
                IpAddr::V6(_) => [0x33, 0x33, 0, 0, 0, 0x12],
            },
            ttl: 255,
            version: 3,
            kind: 1,
            id,
            priority: 254,
            count: 1,
            authentication: 0,
            interval: 100,
            password: [0; 8],
            checksum: None,
            cut: usize::MAX,
        }
    }

    fn source(mut self, source: Ipv4Addr) -> Self {
        self.source = source.into();
        self
    }

    fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    fn kind(mut self, kind: u8) -> Self {
        self.kind = kind;
        self
    }

    fn id(mut self, id: u8) -> Self {
        self.id = id;
        self
    }

    fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    fn count(mut self, count: u8) -> Self {
        self.count = count;
        self
    }

    fn authentication(mut self, kind: u8) -> Self {
        self.authentication = kind;
        self
    }

    fn interval(mut self, interval: u8) -> Self {
        self.interval = interval;
        self
    }

    fn password(mut self, password: &str) -> Self {
        self.password = [0; 8];
        for (to, from) in self.password.iter_mut().zip(password.bytes()) {
            *to = from;
        }
        self
    }

    fn checksum(mut self, checksum: u16) -> Self {
        self.checksum = Some(checksum);
        self
    }

    fn cut(mut self, length: usize) -> Self {
        self.cut = length;
        self
    }

    fn frame(&self) -> Vec<u8> {
        let first = match self.version {
            3 => 0,
            _ => self.authentication,
        };
        let mut bytes = vec![
            self.version << 4 | self.kind,
            self.id,
            self.priority,
            self.count,
            first,
            self.interval,
            0,
            0,
        ];
        match self.source {
            IpAddr::V4(_) => bytes.extend([10, 0, 0, 125]),
            IpAddr::V6(_) => bytes.extend(crate::topology::VIP6.octets()),
        }
        if self.version == 2 {
            bytes.extend(self.password);
        }
        let sum = self.checksum.unwrap_or_else(|| match self.version {
            2 => internet_checksum(&bytes),
            _ => pseudo_checksum(self.source, self.destination, VRRP, &bytes),
        });
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes.truncate(self.cut);
        let frame = packet::eth().src_mac(self.from_mac).dst_mac(self.to_mac);
        let frame = match self.source {
            IpAddr::V4(_) => frame.ipv4(self.source, self.destination),
            IpAddr::V6(_) => frame.ipv6(self.source, self.destination),
        };
        frame.ttl(self.ttl).protocol(VRRP).payload(bytes).build()
    }
}

/// The frame is for one node alone: to the other this would be the peer's word, and a good one.
fn only_to(mut forge: Forge, node: &Node) -> Forge {
    forge.to_mac = node.port.mac();
    forge
}

fn to_one(mut forge: Forge, node: &Node) -> Forge {
    forge.destination = node.v4.into();
    forge.to_mac = node.port.mac();
    forge
}

fn unicast_to_group(peer: &Node, attacker: &Node) -> Forge {
    Forge::v3(UNICAST, peer.v4.into(), GROUP.into(), attacker.port.mac())
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

const V2: u8 = 51;
const V3: u8 = 52;
const UNICAST: u8 = 53;
const V6: u8 = 54;
const STRANGER: u8 = 99;
const PASSWORD: &str = "secret";
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const VRRP: u8 = 112;

/// Refused by the kernel already.
const KERNEL: &[&str] = &[];
const TTL: &[&str] = &["ttl"];
const VERSION: &[&str] = &["version"];
const VRID: &[&str] = &["vrid", "virtual_router_id"];
const CHECKSUM: &[&str] = &["checksum"];
const PASS: &[&str] = &["password"];
const LENGTH: &[&str] = &["length", "truncated"];
