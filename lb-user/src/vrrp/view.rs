//! What others see of the virtual routers: plain data.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{
    machine::{Reason, Role},
    track::{Cause, Contribution},
};
use crate::types::{GroupName, IfName, InstanceName, Priority, RouterId};

/// All routers at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// In the order of the configuration.
    pub routers: Vec<RouterView>,
    /// In the order of the configuration.
    pub groups: Vec<GroupView>,
    /// Messages that no router of ours could be found for, by reason; in all since the start.
    pub unclaimed: BTreeMap<&'static str, u64>,
    /// Why adverts may be late on a busy machine; `None`: they have a thread of real-time priority.
    pub ordinary_scheduling: Option<String>,
}

/// One router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterView {
    /// Its name.
    pub name: InstanceName,
    /// Where it speaks.
    pub interface: IfName,
    /// Its number.
    pub virtual_router_id: RouterId,
    /// What it is.
    pub role: Role,
    /// Why.
    pub reason: Reason,
    /// As configured.
    pub priority: Priority,
    /// After tracking.
    pub effective_priority: Priority,
    /// What tracking adds.
    pub contributions: Vec<Contribution>,
    /// Why it is at fault.
    pub faults: Vec<String>,
    /// What it waits for before it begins.
    pub waiting: Vec<Cause>,
    /// The master: ourselves, or who last said so.
    pub master: Option<MasterView>,
    /// Where our adverts come from.
    pub source: Option<IpAddr>,
    /// The time between our adverts.
    pub interval: Duration,
    /// What it holds as master.
    pub addresses: Vec<IpAddr>,
    /// Virtual addresses of a peer that lists others than we do.
    pub differing_addresses: Option<Vec<IpAddr>>,
    /// Changes of role since the start of the agent, the start itself not counted.
    pub transitions: u64,
    /// The last one.
    pub last_transition: Option<Transition>,
    /// What keeps addresses or routes from being as they should.
    pub trouble: Option<String>,
    /// Messages.
    pub counters: Counters,
}

/// Who is master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterView {
    /// Its address.
    pub address: IpAddr,
    /// It is this router.
    pub ours: bool,
    /// Its priority.
    pub priority: Priority,
    /// The time since its last advert.
    pub advert_age: Duration,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: GroupName,
    /// What all its members are.
    pub role: Role,
    /// Its members.
    pub members: Vec<InstanceName>,
}

/// A change of role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// From what.
    pub from: Role,
    /// To what.
    pub to: Role,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: SystemTime,
}

/// Messages of one router since the start of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts sent.
    pub sent: u64,
    /// Adverts that could not be sent.
    pub send_errors: u64,
    /// Adverts listened to.
    pub received: u64,
    /// Those of them whose priority was 0.
    pub released: u64,
    /// Version 3 over IPv4: how those received were summed.
    pub checksum_forms: BTreeMap<&'static str, u64>,
    /// Messages not listened to, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Bursts of announcements.
    pub announcements: u64,
    /// Times a virtual address was put back that somebody else had removed.
    pub restored: u64,
}

/// What the agent must know at once. Level triggered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The role of each router.
    pub routers: BTreeMap<InstanceName, Role>,
    /// Other routers, configured and heard.
    pub peers: BTreeSet<IpAddr>,
    /// Routers of ours that gave up the role and have not heard a new master yet.
    pub awaiting: usize,
}

/// Something to tell the operator's scripts, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who changed.
    pub who: Who,
    /// To what.
    pub role: Role,
    /// Why.
    pub reason: Reason,
    /// The effective priority; of a group, the least of its members'.
    pub priority: Priority,
}

/// A router or a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A router.
    Instance(InstanceName),
    /// A group.
    Group(GroupName),
}
