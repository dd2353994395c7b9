//! Virtual routers, their groups, and what they track.

use std::fmt;

use super::{Labels, Page, seconds, yes};
use crate::{
    observe::snapshot::{AdvertCounters, Snapshot, VirtualRouter},
    vrrp::{accept::Rejected, machine::Role, wire::AdvertError},
};

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let named: Vec<Named<'_>> = snapshot.vrrp.iter().map(Named::of).collect();
    roles(page, &named)?;
    adverts(page, &named)?;
    page.counters(
        "ballast_vrrp_unclaimed_advertisements",
        "Advertisements for no virtual router of this node, by reason.",
        snapshot
            .vrrp_unclaimed
            .iter()
            .map(|(reason, count)| ([("reason", reason.as_str())], *count)),
    )?;
    if !named.is_empty() {
        page.gauge(
            "ballast_vrrp_realtime",
            "Whether advertisements are sent with real-time priority.",
            yes(snapshot.vrrp_scheduling.is_none()),
        )?;
    }
    groups_and_trackers(page, snapshot)
}

/// A router, and what labels want as text.
struct Named<'a> {
    router: &'a VirtualRouter,
    vrid: String,
    family: &'static str,
}

impl<'a> Named<'a> {
    fn of(router: &'a VirtualRouter) -> Self {
        let any = router.virtual_addresses.iter().chain(&router.source).next();
        Self {
            router,
            vrid: router.virtual_router_id.to_string(),
            family: if any.is_some_and(std::net::IpAddr::is_ipv6) {
                "ipv6"
            } else {
                "ipv4"
            },
        }
    }

    fn labels(&self) -> Labels<'_, 4> {
        [
            ("instance", &self.router.name),
            ("interface", &self.router.interface),
            ("vrid", &self.vrid),
            ("family", self.family),
        ]
    }

    fn labels_and(&self, label: &'static str, value: &'a str) -> Labels<'_, 5> {
        let [instance, interface, vrid, family] = self.labels();
        [instance, interface, vrid, family, (label, value)]
    }
}

fn roles(page: &mut Page<'_>, named: &[Named<'_>]) -> fmt::Result {
    page.gauges(
        "ballast_vrrp_state",
        "Role of a virtual router, one series for each role there is.",
        named.iter().flat_map(|one| {
            STATES.map(|state| {
                let is = one.router.state == state.name();
                (one.labels_and("state", state.name()), yes(is))
            })
        }),
    )?;
    page.gauges(
        "ballast_vrrp_priority",
        "Configured priority of a virtual router.",
        named
            .iter()
            .map(|one| (one.labels(), u32::from(one.router.priority))),
    )?;
    page.gauges(
        "ballast_vrrp_effective_priority",
        "Priority of a virtual router after tracking.",
        named
            .iter()
            .map(|one| (one.labels(), u32::from(one.router.effective_priority))),
    )?;
    page.gauges(
        "ballast_vrrp_last_advertisement_age_seconds",
        "Time since the master's last advertisement, its own included.",
        named.iter().filter_map(|one| {
            let age = one.router.last_advert_age_ms?;
            Some((one.labels(), seconds(age)))
        }),
    )?;
    page.gauges(
        "ballast_vrrp_problem",
        "Whether something keeps a virtual router's addresses or routes from being as they should.",
        named
            .iter()
            .map(|one| (one.labels(), yes(one.router.problem.is_some()))),
    )?;
    page.counters(
        "ballast_vrrp_transitions",
        "Changes of a virtual router's role.",
        named
            .iter()
            .map(|one| (one.labels(), one.router.transitions)),
    )
}

fn adverts(page: &mut Page<'_>, named: &[Named<'_>]) -> fmt::Result {
    let mut counters = |name: &str, help: &str, of: fn(&AdvertCounters) -> u64| {
        let samples = named
            .iter()
            .map(|one| (one.labels(), of(&one.router.counters)));
        page.counters(name, help, samples)
    };
    counters(
        "ballast_vrrp_advertisements_sent",
        "Advertisements that a virtual router sent.",
        |counters| counters.sent,
    )?;
    counters(
        "ballast_vrrp_advertisements_send_errors",
        "Advertisements that could not be sent.",
        |counters| counters.send_errors,
    )?;
    counters(
        "ballast_vrrp_advertisements_received",
        "Advertisements that a virtual router listened to.",
        |counters| counters.received,
    )?;
    counters(
        "ballast_vrrp_priority_zero_received",
        "Advertisements listened to that gave up the role.",
        |counters| counters.released,
    )?;
    counters(
        "ballast_vrrp_announcements",
        "Bursts of gratuitous ARP or unsolicited neighbour advertisements.",
        |counters| counters.announcements,
    )?;
    counters(
        "ballast_vrrp_addresses_restored",
        "Virtual addresses put back that somebody else had removed.",
        |counters| counters.restored,
    )?;
    page.counters(
        "ballast_vrrp_advertisements_refused",
        "Advertisements that a virtual router ignored, by reason.",
        named.iter().flat_map(|one| {
            let dropped = &one.router.counters.dropped;
            refusals().map(move |reason| {
                let count = dropped.get(reason).copied().unwrap_or(0);
                (one.labels_and("reason", reason), count)
            })
        }),
    )
}

/// Every reason there is, each once.
fn refusals() -> impl Iterator<Item = &'static str> {
    let of_wire = AdvertError::NAMES.into_iter();
    of_wire.chain(
        Rejected::NAMES
            .into_iter()
            .filter(|name| !AdvertError::NAMES.contains(name)),
    )
}

fn groups_and_trackers(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    page.gauges(
        "ballast_vrrp_sync_group_state",
        "Role of a group of virtual routers, one series for each role there is.",
        snapshot.sync_groups.iter().flat_map(|group| {
            STATES.map(|state| {
                let labels = [("group", group.name.as_str()), ("state", state.name())];
                (labels, yes(group.state == state.name()))
            })
        }),
    )?;
    page.gauges(
        "ballast_tracker_state",
        "What was last seen of something tracked, one series for each state there is.",
        snapshot.trackers.iter().flat_map(|tracker| {
            ["unknown", "good", "bad", "missing"].map(|state| {
                let labels = [("tracker", tracker.name.as_str()), ("state", state)];
                (labels, yes(tracker.state == state))
            })
        }),
    )
}

const STATES: [Role; 4] = [Role::Initialize, Role::Backup, Role::Master, Role::Fault];
