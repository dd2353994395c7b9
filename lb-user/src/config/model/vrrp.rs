//! The sections `vrrp_instances`, `vrrp_sync_groups` and `scripts`.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{Command, words::words};
use crate::types::{
    GroupName, IfName, InstanceName, Priority, RouterId, ScriptName, ServiceName, Vip,
};

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpInstance {
    /// Unique among the instances.
    pub name: InstanceName,
    /// Where adverts are sent and received.
    pub interface: IfName,
    /// Unique on its interface and family.
    pub virtual_router_id: RouterId,
    /// The family of adverts and addresses. IPv6 only with version 3.
    pub family: Family,
    /// The protocol's version.
    pub version: VrrpVersion,
    /// The role before the first advert.
    pub initial_state: InitialState,
    /// Who wins; never [`Priority::RELEASE`].
    pub priority: Priority,
    /// Version 2: whole seconds; version 3: hundredths of a second up to 40.95 s.
    pub advertisement_interval: Duration,
    /// Whether a higher priority takes the role from a living master; always true for [`Priority::OWNER`].
    pub preempt: bool,
    /// How long it waits before it does.
    pub preempt_delay: Duration,
    /// How version 3 over IPv4 is summed.
    pub checksum: Checksum,
    /// Where adverts come from; of the instance's family.
    pub unicast_source: Option<IpAddr>,
    /// Adverts by unicast; `None`: by multicast.
    pub unicast: Option<Unicast>,
    /// The clear-text password; only version 2.
    pub authentication: Option<Password>,
    /// What a master holds, all of the instance's family; may be empty.
    pub virtual_addresses: Vec<VirtualAddress>,
    /// Routes of a master.
    pub virtual_routes: Vec<VirtualRoute>,
    /// How a new master announces itself.
    pub garp: Garp,
    /// What changes the priority.
    pub track: Track,
    /// Programs run at a change of role.
    pub notify: Notify,
}

/// Adverts by unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicast {
    /// The other routers; not empty, each once, of the instance's family.
    pub peers: Vec<IpAddr>,
    /// Whether an advert must arrive with a TTL of 255.
    pub ttl_check: bool,
}

/// The clear-text password of version 2, at most 8 bytes on the wire. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// `None` for the empty string.
    #[must_use]
    pub fn new(password: String) -> Option<Self> {
        (!password.is_empty()).then_some(Self(password))
    }

    /// The secret, as it was written.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// An address that a master holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// The address and its prefix.
    pub vip: Vip,
    /// Where it is added; `None`: the instance's interface.
    pub interface: Option<IfName>,
    /// The address's label, as `ip address` shows it (IPv4).
    pub label: Option<String>,
}

/// A route that a master holds; it has a gateway or an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualRoute {
    /// Where it leads.
    pub to: RouteTarget,
    /// The gateway, of the target's family.
    pub via: Option<IpAddr>,
    /// The interface.
    pub interface: Option<IfName>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// Everywhere, in the gateway's family, else the instance's.
    Default,
    /// A network.
    Network(IpNet),
}

/// How a new master announces its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garp {
    /// Announcements in a burst.
    pub repeat: u8,
    /// The time to the second burst; zero: none.
    pub delay: Duration,
    /// The time between further bursts while master; zero: none.
    pub refresh: Duration,
}

/// What changes an instance's priority or stops it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// Other interfaces than the instance's own, which always is tracked.
    pub interfaces: Vec<TrackedInterface>,
    /// Scripts by name.
    pub scripts: Vec<TrackedScript>,
    /// Processes by name.
    pub processes: Vec<TrackedProcess>,
    /// Numbers in files.
    pub files: Vec<TrackedFile>,
    /// Services that may be below quorum.
    pub services: Vec<TrackedService>,
}

/// What a failing (or, if positive, a working) thing adds to the priority; 0: the instance goes to FAULT when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackWeight(i16);

impl TrackWeight {
    /// The instance goes to FAULT.
    pub const FAULT: Self = Self(0);
    /// The largest weight and, negated, the smallest: from one end of the ordinary priorities to the other.
    pub const MAX: i16 = 253;

    /// `None` beyond ±[`MAX`](Self::MAX).
    #[must_use]
    pub fn new(weight: i16) -> Option<Self> {
        (-Self::MAX..=Self::MAX)
            .contains(&weight)
            .then_some(Self(weight))
    }

    /// The weight as a number.
    #[must_use]
    pub fn get(self) -> i16 {
        self.0
    }
}

/// A tracked interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedInterface {
    /// Its name.
    pub name: IfName,
    /// What its being down does.
    pub weight: TrackWeight,
}

/// A tracked script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedScript {
    /// A name of [`Config::scripts`](super::Config::scripts).
    pub name: ScriptName,
    /// What its result does, the script's own weight already applied as the default.
    pub weight: TrackWeight,
}

/// A tracked process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedProcess {
    /// Its name, as in `/proc/PID/comm`.
    pub name: String,
    /// What its absence does.
    pub weight: TrackWeight,
}

/// A tracked file: the number in it times the weight is added to the priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedFile {
    /// An absolute path.
    pub path: PathBuf,
    /// The factor.
    pub weight: TrackWeight,
}

/// A tracked service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedService {
    /// A name of [`Config::services`](super::Config::services).
    pub name: ServiceName,
    /// What its being below quorum does.
    pub weight: TrackWeight,
}

/// Programs run at a change of role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// On becoming master.
    pub master: Option<Command>,
    /// On becoming backup.
    pub backup: Option<Command>,
    /// On going to fault.
    pub fault: Option<Command>,
    /// On stopping.
    pub stop: Option<Command>,
    /// At every change, with `INSTANCE|GROUP NAME STATE PRIORITY` as arguments.
    pub any: Option<Command>,
}

/// Virtual routers that change role together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Unique among the groups.
    pub name: GroupName,
    /// Names of instances; not empty, none in two groups.
    pub members: Vec<InstanceName>,
    /// Programs run at a change of the group's role.
    pub notify: Notify,
}

/// A script that virtual routers track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Unique among the scripts.
    pub name: ScriptName,
    /// What is run.
    pub command: Command,
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// Good runs in a row that count as good.
    pub rise: u32,
    /// Bad runs in a row that count as bad.
    pub fall: u32,
    /// What its result does where an instance says nothing else.
    pub weight: TrackWeight,
    /// As whom it is run.
    pub user: String,
}

words! {
    /// An address family.
    Family {
        /// IPv4.
        V4 = "IPv4",
        /// IPv6.
        V6 = "IPv6",
    }

    /// The protocol's version.
    VrrpVersion {
        /// RFC 3768: IPv4, whole seconds, passwords.
        V2 = "2",
        /// RFC 9568: both families, hundredths of a second.
        V3 = "3",
    }

    /// The role before the first advert.
    InitialState {
        /// Announce at once.
        Master = "master",
        /// Listen first.
        Backup = "backup",
    }

    /// How version 3 over IPv4 is summed.
    Checksum {
        /// Send with the pseudo-header, accept both.
        Auto = "auto",
        /// With the pseudo-header.
        PseudoHeader = "pseudo_header",
        /// Without it.
        Rfc9568 = "rfc9568",
    }
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}
