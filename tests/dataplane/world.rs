//! What the balancer of all cases knows: one service for each way of sending, on an IPv4 and an IPv6
//! address, for TCP and UDP. The port says which: see [`Way`].

mod image;

use std::net::IpAddr;

use lb_common::{addr::Addr, backend::ForwardMode, flow, hash::source_hash};
use lb_tests::packet::{MacAddr, Packet, eth};

pub(crate) use image::image;

/// `lo`, by which frames come in.
pub(crate) const INGRESS: u32 = 1;
/// An interface in the device map.
pub(crate) const OTHER_INTERFACE: u32 = 7;
/// The balancer's MAC; also what the packet builder aims at.
pub(crate) const OUR_MAC: MacAddr = [2, 0, 0, 0, 0, 2];
/// A peer balancer's.
pub(crate) const PEER_MAC: MacAddr = [2, 0, 0, 0, 0, 3];
/// Where clients come from by default.
pub(crate) const CLIENT_PORT: u16 = 40_000;
/// Longest packet that leaves.
pub(crate) const MTU: u16 = 1500;
/// Low bits of the outer source that vary where they do.
pub(crate) const SPREAD_BITS: u8 = 8;
/// VLAN ids a frame leaves with, where they are the backend's own.
pub(crate) const OWN_VLANS: [u16; 2] = [20, 30];

/// The address family of client and virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The services' address.
    pub(crate) fn vip(self) -> &'static str {
        match self {
            Self::V4 => "192.0.2.10",
            Self::V6 => "2001:db8::10",
        }
    }

    /// An address of the balancer that no service has.
    pub(crate) fn own(self) -> &'static str {
        match self {
            Self::V4 => "192.0.2.2",
            Self::V6 => "2001:db8::2",
        }
    }

    /// A client.
    pub(crate) fn client(self) -> &'static str {
        match self {
            Self::V4 => "198.51.100.7",
            Self::V6 => "2001:db8:c::7",
        }
    }

    /// An IP header from `source` to `destination` after what is there.
    pub(crate) fn header(self, before: Packet, source: &str, destination: &str) -> Packet {
        match self {
            Self::V4 => before.ipv4(source, destination),
            Self::V6 => before.ipv6(source, destination),
        }
    }

    /// A frame from the client to the services' address, up to the IP header.
    pub(crate) fn packet(self) -> Packet {
        self.header(eth(), self.client(), self.vip())
    }

    /// Length of the IP header, bytes.
    pub(crate) fn header_length(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(crate) const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];

    /// A transport header from the client's port to that of `way`.
    pub(crate) fn header(self, before: Packet, way: Way) -> Packet {
        match self {
            Self::Tcp => before.tcp(CLIENT_PORT, way.port()),
            Self::Udp => before.udp(CLIENT_PORT, way.port()),
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => flow::TCP,
            Self::Udp => flow::UDP,
        }
    }
}

/// Which tags a frame leaves with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    AsReceived,
    Own(u8),
}

impl Tags {
    pub(crate) const ALL: [Self; 4] = [Self::AsReceived, Self::Own(0), Self::Own(1), Self::Own(2)];
}

/// How packets reach a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Direct,
    Tunnel(Family),
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [
        Self::Direct,
        Self::Tunnel(Family::V4),
        Self::Tunnel(Family::V6),
    ];
}

/// What a service does with its packets; each has a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One backend behind the ingress interface.
    Plain(Mode, Tags),
    /// All backends unavailable.
    NoBackend,
    /// A ring without backends.
    NoLocals,
    /// One backend without a next hop.
    Unresolved,
    /// This host.
    Local,
    /// One backend behind [`OTHER_INTERFACE`].
    Redirect,
    /// One backend behind an interface that is not in the device map.
    NotADevice,
    /// A tunnel whose outer source varies.
    Spread(Family),
    /// Every slot names an owner that is not there.
    BadSlots,
    /// Eight backends of all kinds, and slots of nobody.
    Mixed,
    /// Three backends that get new flows by turns; every flow is remembered.
    Turns,
    /// The same, but hardly any flow may be remembered.
    Thrifty,
    /// Three backends by turns, and clients that stay with theirs.
    Clients,
    /// The same without turns, in a ring whose slots have moved, and hardly anything may be remembered.
    FewClients,
    /// Three backends, and slots of every kind: some have moved, from the living and from the dead.
    Moved,
    /// The same, and all flows of a client go one way.
    MovedBySource,
    /// Three backends, in a ring that had another size before.
    Resized,
}

/// Direct routing on the same interface: the plainest case.
pub(crate) const WEB: Way = Way::Plain(Mode::Direct, Tags::AsReceived);
/// IPIP with an IPv4 outer header.
pub(crate) const TUNNEL4: Way = Way::Plain(Mode::Tunnel(Family::V4), Tags::AsReceived);
/// IPIP with an IPv6 outer header.
pub(crate) const TUNNEL6: Way = Way::Plain(Mode::Tunnel(Family::V6), Tags::AsReceived);
/// A port of the services' address that no service has.
pub(crate) const NO_SERVICE: u16 = 9999;

impl Way {
    /// Those whose ring alone does not say who gets a flow.
    pub(crate) const REMEMBERING: [Self; 7] = [
        Self::Turns,
        Self::Thrifty,
        Self::Clients,
        Self::FewClients,
        Self::Moved,
        Self::MovedBySource,
        Self::Resized,
    ];

    pub(crate) fn all() -> Vec<Self> {
        let mut all: Vec<_> = Mode::ALL
            .into_iter()
            .flat_map(|mode| Tags::ALL.map(|tags| Self::Plain(mode, tags)))
            .collect();
        all.extend([
            Self::NoBackend,
            Self::NoLocals,
            Self::Unresolved,
            Self::Local,
            Self::Redirect,
            Self::NotADevice,
            Self::Spread(Family::V4),
            Self::Spread(Family::V6),
            Self::BadSlots,
            Self::Mixed,
        ]);
        all.extend(Self::REMEMBERING);
        all
    }

    fn index(self) -> u32 {
        let position = Self::all().iter().position(|way| *way == self);
        u32::try_from(position.expect("`all` lists every way")).expect("there are few")
    }

    /// Its port.
    pub(crate) fn port(self) -> u16 {
        80 + u16::try_from(self.index()).expect("there are few")
    }

    fn mode(self) -> ForwardMode {
        match self {
            Self::Plain(Mode::Tunnel(Family::V4), _) | Self::Spread(Family::V4) => {
                ForwardMode::TunnelV4
            }
            Self::Plain(Mode::Tunnel(Family::V6), _) | Self::Spread(Family::V6) => {
                ForwardMode::TunnelV6
            }
            Self::Local => ForwardMode::Local,
            Self::Unresolved => ForwardMode::Unresolved,
            _ => ForwardMode::DirectRouting,
        }
    }
}

/// A service and its only backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub service: u32,
    pub backend: u32,
}

impl Target {
    pub(crate) fn of(family: Family, protocol: Protocol, way: Way) -> Self {
        let group = 2 * (family as u32) + protocol as u32;
        let number = group * GROUP + way.index();
        Self {
            service: number,
            backend: number,
        }
    }

    /// The MAC of the backend's next hop.
    pub(crate) fn mac(self) -> MacAddr {
        backend_mac(self.backend)
    }

    /// The destination of the backend's outer header.
    pub(crate) fn address(self, outer: Family) -> String {
        match outer {
            Family::V4 => format!("10.1.{}.{}", self.backend >> 8, self.backend & 0xff),
            Family::V6 => format!("2001:db8:b::{:x}", self.backend),
        }
    }
}

/// Outer source.
pub(crate) fn tunnel_source(outer: Family) -> &'static str {
    match outer {
        Family::V4 => "10.0.0.0",
        Family::V6 => "2001:db8:a::",
    }
}

/// The flow hash of a client for any service.
pub(crate) fn hash(client: &str, port: u16) -> u32 {
    source_hash(HASH_KEY, addr(client), port)
}

pub(crate) fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().expect("an address"))
}

fn backend_mac(backend: u32) -> MacAddr {
    let [_, _, high, low] = backend.to_be_bytes();
    [2, 0, 1, 0, high, low]
}

const HASH_KEY: u64 = 7;
/// Services of one family and protocol.
const GROUP: u32 = 40;
