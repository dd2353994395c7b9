//! Pure: what is checked, and for whom.
//!
//! Backends of several services that are checked alike (same address, port, parameters and source) share one [`Target`], which is
//! checked once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

use lb_common::hash::mix64;
use regex::bytes::Regex;

use super::fsm::Timing;
use crate::config::model::{
    Backend, BackendKey, Check, Config, DnsProbe, DnsType, HttpPath, HttpProbe, Payload, Probe,
    ScriptProbe, Service, ServiceKey, UdpProbe,
};

#[cfg(test)]
mod tests;

/// A backend of a service: whom a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The service.
    pub service: ServiceKey,
    /// Its backend.
    pub backend: BackendKey,
}

/// Everything that decides how a check goes: two that are equal have equal outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where to; the port is 0 where the protocol has none.
    pub at: SocketAddr,
    /// Where from; `None`: the kernel chooses.
    pub source: Option<IpAddr>,
    /// When, and how often before something is believed.
    pub timing: Timing,
    /// What.
    pub what: What,
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A connection.
    Tcp,
    /// Requests.
    Http(Http),
    /// A question.
    Dns(DnsQuestion),
    /// A datagram.
    Udp {
        /// What is sent.
        payload: Payload,
        /// How the answer must begin; `None`: silence is good, too.
        reply: Option<Payload>,
    },
    /// An echo request.
    Ping,
    /// A program.
    Script(ScriptProbe),
}

/// What a DNS check asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsQuestion {
    /// The name.
    pub name: String,
    /// The record type.
    pub record: DnsType,
}

/// Requests to one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http {
    /// `None`: in the clear.
    pub tls: Option<Tls>,
    /// The Host header.
    pub host: String,
    /// What is asked, in this order.
    pub pages: Vec<Page>,
}

/// How a server proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The name (or address) the certificate must have, and the SNI.
    pub name: String,
    /// Whether it must.
    pub verify: bool,
}

/// One request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// Path and query.
    pub path: String,
    /// Good status codes.
    pub status: Vec<u16>,
    /// The MD5 of the whole body.
    pub digest: Option<[u8; 16]>,
    /// What must match somewhere in the body.
    pub body: Option<Pattern>,
}

/// A regular expression that is its text when compared.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// [`regex::Error`] where the text is none, or needs too much memory.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(Self)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it matches somewhere. Linear in the length.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Target {
    /// Where in its interval the check runs, as a share of 2^64: the same at every start.
    #[must_use]
    pub fn share(&self) -> u64 {
        let mut mixer = Mixer(0);
        self.hash(&mut mixer);
        mixer.finish()
    }
}

/// Spreads what is hashed evenly; the same in every process, unlike the standard library's.
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        mix64(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = mix64(self.0.rotate_left(5) ^ u64::from_le_bytes(word));
        }
    }
}

/// The check of every backend that has one.
#[must_use]
pub fn targets(config: &Config) -> BTreeMap<Subject, Arc<Target>> {
    let mut maker = Maker::default();
    let mut targets = BTreeMap::new();
    for service in &config.services {
        for backend in &service.backends {
            let Some(check) = backend.health_check.check() else {
                continue;
            };
            let subject = Subject {
                service: service.key(),
                backend: backend.key(),
            };
            targets.insert(subject, maker.make(service, backend, check));
        }
    }
    targets
}

/// Shares what is equal.
#[derive(Default)]
struct Maker {
    targets: HashSet<Arc<Target>>,
    patterns: HashMap<String, Pattern>,
}

impl Maker {
    fn make(&mut self, service: &Service, backend: &Backend, check: &Check) -> Arc<Target> {
        let port = match check.probe {
            Probe::Ping => 0,
            _ => port_of(&check.probe).unwrap_or(backend.port).get(),
        };
        let at = SocketAddr::new(backend.address, port);
        let target = Target {
            at,
            source: check.source,
            timing: Timing::from(check),
            what: self.what(service, at, &check.probe),
        };
        if let Some(known) = self.targets.get(&target) {
            return Arc::clone(known);
        }
        let target = Arc::new(target);
        self.targets.insert(Arc::clone(&target));
        target
    }

    fn what(&mut self, service: &Service, at: SocketAddr, probe: &Probe) -> What {
        match probe {
            Probe::Tcp { .. } => What::Tcp,
            Probe::Http(http) => What::Http(self.http(service, at, http, None)),
            Probe::Https { http, tls_verify } => {
                What::Http(self.http(service, at, http, Some(*tls_verify)))
            }
            Probe::Dns(DnsProbe { name, record, .. }) => What::Dns(DnsQuestion {
                name: name.clone(),
                record: *record,
            }),
            Probe::Udp(UdpProbe { payload, reply, .. }) => What::Udp {
                payload: payload.clone(),
                reply: reply.clone(),
            },
            Probe::Ping => What::Ping,
            Probe::Script(script) => What::Script(script.clone()),
        }
    }

    fn http(
        &mut self,
        service: &Service,
        at: SocketAddr,
        http: &HttpProbe,
        verify: Option<bool>,
    ) -> Http {
        let default_port = if verify.is_some() { 443 } else { 80 };
        let host = http
            .host
            .clone()
            .unwrap_or_else(|| authority(service.address, at.port(), default_port));
        let name = match &http.host {
            Some(host) => without_port(host).to_owned(),
            None => service.address.to_string(),
        };
        Http {
            tls: verify.map(|verify| Tls { name, verify }),
            host,
            pages: http.paths.iter().map(|path| self.page(path)).collect(),
        }
    }

    fn page(&mut self, path: &HttpPath) -> Page {
        Page {
            path: path.path.clone(),
            status: path.status.clone(),
            digest: path.digest,
            body: path.body_regex.as_ref().map(|text| self.pattern(text)),
        }
    }

    fn pattern(&mut self, text: &str) -> Pattern {
        if let Some(pattern) = self.patterns.get(text) {
            return pattern.clone();
        }
        let pattern = Pattern::new(text).expect("validation compiled it");
        self.patterns.insert(text.to_owned(), pattern.clone());
        pattern
    }
}

impl From<&Check> for Timing {
    fn from(check: &Check) -> Self {
        Self {
            interval: check.interval,
            timeout: check.timeout,
            retries: check.retries,
            retry_delay: check.retry_delay,
            rise: check.rise,
        }
    }
}

/// The port that a probe names for itself.
fn port_of(probe: &Probe) -> Option<NonZeroU16> {
    match probe {
        Probe::Tcp { port } => *port,
        Probe::Http(http) | Probe::Https { http, .. } => http.port,
        Probe::Dns(dns) => dns.port,
        Probe::Udp(udp) => udp.port,
        Probe::Ping | Probe::Script(_) => None,
    }
}

/// RFC 9110 section 7.2: the port only where it is not the scheme's.
fn authority(address: IpAddr, port: u16, default_port: u16) -> String {
    match (address, port == default_port) {
        (IpAddr::V4(v4), true) => v4.to_string(),
        (IpAddr::V6(v6), true) => format!("[{v6}]"),
        (address, false) => SocketAddr::new(address, port).to_string(),
    }
}

/// The name in `name:port`, `[address]:port`, or a bare address.
fn without_port(host: &str) -> &str {
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
