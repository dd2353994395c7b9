//! How a backend is checked.

use std::{net::IpAddr, num::NonZeroU16, time::Duration};

use super::{Command, words::words};

/// Whether and how a backend is checked, and whether the file said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Never: the file says nothing, and the protocol has no default (UDP).
    Unset,
    /// Never: the file says `none`.
    Off,
    /// By what the file leaves to the default (TCP: a connection to the port).
    Default(Check),
    /// As the file says.
    Explicit(Check),
}

impl HealthCheck {
    /// The check to run, if any.
    #[must_use]
    pub fn check(&self) -> Option<&Check> {
        match self {
            Self::Unset | Self::Off => None,
            Self::Default(check) | Self::Explicit(check) => Some(check),
        }
    }
}

/// When to check, and what counts as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// From the start of one check to the start of the next.
    pub interval: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Further attempts after a failed one, before the backend counts as down.
    pub retries: u32,
    /// The pause before each of them.
    pub retry_delay: Duration,
    /// Good checks in a row before the backend counts as up again.
    pub rise: u32,
    /// Source address of the check, of the backend's family.
    pub source: Option<IpAddr>,
    /// What is tried.
    pub probe: Probe,
}

/// One attempt to reach a backend. A port of `None` is the backend's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A TCP connection is accepted.
    Tcp {
        /// Where to connect.
        port: Option<NonZeroU16>,
    },
    /// Every path answers as expected.
    Http(HttpProbe),
    /// The same over TLS.
    Https {
        /// What is asked.
        http: HttpProbe,
        /// Whether the certificate must be good.
        tls_verify: bool,
    },
    /// A name resolves.
    Dns(DnsProbe),
    /// A datagram is answered.
    Udp(UdpProbe),
    /// An echo request is answered.
    Ping,
    /// A program ends with 0.
    Script(ScriptProbe),
}

/// What an HTTP check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// Where to connect.
    pub port: Option<NonZeroU16>,
    /// The Host header and the TLS server name; `None`: the service's address.
    pub host: Option<String>,
    /// Not empty.
    pub paths: Vec<HttpPath>,
}

/// One request of an HTTP check and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpPath {
    /// Begins with `/`.
    pub path: String,
    /// Status codes that are good; not empty.
    pub status: Vec<u16>,
    /// The MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// An expression that must match somewhere in the body.
    pub body_regex: Option<String>,
}

/// What a DNS check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsProbe {
    /// Where to ask.
    pub port: Option<NonZeroU16>,
    /// The name asked for.
    pub name: String,
    /// The record type asked for.
    pub record: DnsType,
}

/// What a UDP check sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpProbe {
    /// Where to send.
    pub port: Option<NonZeroU16>,
    /// What is sent.
    pub payload: Payload,
    /// How the answer must begin; `None`: anything but "port unreachable".
    pub reply: Option<Payload>,
}

/// The bytes of a datagram, written as text or as `0x…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payload(pub Vec<u8>);

/// A program that checks a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptProbe {
    /// What is run.
    pub command: Command,
    /// As whom.
    pub user: String,
}

words! {
    /// What a failed check does to a backend.
    OnFailure {
        /// It is out; its connections move.
        Remove = "remove",
        /// It gets no new connections; the existing ones stay.
        WeightZero = "weight_zero",
    }

    /// The record type a DNS check asks for.
    DnsType {
        /// An IPv4 address.
        A = "A",
        /// An IPv6 address.
        Aaaa = "AAAA",
        /// A canonical name.
        Cname = "CNAME",
        /// Mail exchangers.
        Mx = "MX",
        /// Name servers.
        Ns = "NS",
        /// The start of authority.
        Soa = "SOA",
        /// Text.
        Txt = "TXT",
    }
}
