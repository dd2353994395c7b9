//! One virtual router on one node.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::topology::host_prefix;

/// One entry of `vrrp_instances`, one `vrrp_instance` of keepalived.
#[derive(Clone, Debug)]
#[must_use]
pub struct VirtualRouter {
    /// `name`.
    pub name: String,
    /// `interface`.
    pub interface: String,
    /// `virtual_router_id`.
    pub id: u8,
    /// `version`.
    pub version: Version,
    /// `initial_state`.
    pub starts_as_master: bool,
    /// `priority`.
    pub priority: u8,
    /// `advertisement_interval`: whole seconds in version 2, hundredths in version 3.
    pub interval: Duration,
    /// `preempt`.
    pub preempt: bool,
    /// `unicast_source` and `unicast_peers`.
    pub unicast: Option<(IpAddr, Vec<IpAddr>)>,
    /// `authentication`, version 2 only.
    pub password: Option<String>,
    /// `virtual_addresses`.
    pub addresses: Vec<IpNet>,
    /// The weight with which the process [`TRACKED`] is tracked.
    pub track: Option<i16>,
    /// A program that is run with `notify any`.
    pub notify: Option<PathBuf>,
    /// Lines for Ballast alone, e.g. `garp: { refresh: 1s }`.
    pub yaml: Vec<String>,
}

/// The protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

impl Version {
    /// As it is on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl VirtualRouter {
    /// On `eth0`, by multicast, preempting, a backup at first, priority 100, every second.
    pub fn new(name: &str, id: u8, version: Version) -> Self {
        Self {
            name: name.to_owned(),
            interface: "eth0".to_owned(),
            id,
            version,
            starts_as_master: false,
            priority: 100,
            interval: Duration::from_secs(1),
            preempt: true,
            unicast: None,
            password: None,
            addresses: Vec::new(),
            track: None,
            notify: None,
            yaml: Vec::new(),
        }
    }

    /// Another priority.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Another interval.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// One more virtual address, `/32` or `/128`.
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.addresses.push(host_prefix(address.into()));
        self
    }

    /// Does not take the role from a living master.
    pub fn no_preempt(mut self) -> Self {
        self.preempt = false;
        self
    }

    /// By unicast.
    pub fn unicast(mut self, source: impl Into<IpAddr>, peer: impl Into<IpAddr>) -> Self {
        self.unicast = Some((source.into(), vec![peer.into()]));
        self
    }

    /// With a clear-text password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Tracks the process [`TRACKED`]; weight 0: FAULT without it.
    pub fn track(mut self, weight: i16) -> Self {
        self.track = Some(weight);
        self
    }

    /// Runs a program at every change of role.
    pub fn notify(mut self, program: impl Into<PathBuf>) -> Self {
        self.notify = Some(program.into());
        self
    }

    /// One more line of YAML, for Ballast alone.
    pub fn yaml(mut self, line: &str) -> Self {
        self.yaml.push(line.to_owned());
        self
    }

    /// `(256 - priority) / 256` of the interval (RFC 3768 has seconds, RFC 9568 hundredths).
    #[must_use]
    pub fn skew(&self) -> Duration {
        let unit = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.interval,
        };
        unit * (256 - u32::from(self.priority)) / 256
    }

    /// How long a backup waits for an advert before it takes over.
    #[must_use]
    pub fn master_down(&self) -> Duration {
        3 * self.interval + self.skew()
    }
}

/// The name of the process that tests track.
pub const TRACKED: &str = "lab_tracked";
