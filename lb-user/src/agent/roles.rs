//! Virtual routers in the words of `status`.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::trackers::Seen;
use crate::{
    observe::snapshot,
    track::TrackerState,
    vrrp::view::{Counters, GroupView, RouterView, Transition},
};

pub(super) fn router(view: &RouterView) -> snapshot::VirtualRouter {
    let contributions = view.contributions.iter().map(ToString::to_string);
    let waiting = view.waiting.iter().map(|cause| format!("waits: {cause}"));
    let master = view.master.as_ref();
    snapshot::VirtualRouter {
        name: view.name.to_string(),
        interface: view.interface.to_string(),
        virtual_router_id: view.virtual_router_id.get(),
        state: view.role.name().to_owned(),
        reason: view.reason.to_string(),
        priority: view.priority.get(),
        effective_priority: view.effective_priority.get(),
        reasons: view
            .faults
            .iter()
            .cloned()
            .chain(waiting)
            .chain(contributions)
            .collect(),
        source: view.source,
        master: master.map(|master| master.address),
        master_priority: master.map(|master| master.priority.get()),
        last_advert_age_ms: master.map(|master| millis(master.advert_age)),
        advertisement_interval_ms: millis(view.interval),
        virtual_addresses: view.addresses.clone(),
        peer_virtual_addresses: view.differing_addresses.clone(),
        transitions: view.transitions,
        last_transition: view.last_transition.as_ref().map(transition),
        problem: view.trouble.clone(),
        counters: counters(&view.counters),
    }
}

pub(super) fn group(view: &GroupView) -> snapshot::SyncGroup {
    snapshot::SyncGroup {
        name: view.name.to_string(),
        state: view.role.name().to_owned(),
        members: view.members.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn tracker(seen: &Seen) -> snapshot::Tracker {
    snapshot::Tracker {
        name: seen.input.to_string(),
        state: match seen.state {
            TrackerState::Unknown => "unknown".to_owned(),
            TrackerState::Good => "good".to_owned(),
            TrackerState::Bad => "bad".to_owned(),
            TrackerState::Missing => "missing".to_owned(),
            TrackerState::Number(number) => number.to_string(),
        },
        text: seen.text.clone(),
        for_seconds: seen.since.elapsed().as_secs(),
    }
}

fn transition(transition: &Transition) -> snapshot::RoleChange {
    let since_epoch = transition.at.duration_since(SystemTime::UNIX_EPOCH);
    snapshot::RoleChange {
        from: transition.from.name().to_owned(),
        to: transition.to.name().to_owned(),
        reason: transition.reason.to_string(),
        at_unix_ms: millis(since_epoch.unwrap_or_default()),
    }
}

fn counters(counters: &Counters) -> snapshot::AdvertCounters {
    snapshot::AdvertCounters {
        sent: counters.sent,
        send_errors: counters.send_errors,
        received: counters.received,
        released: counters.released,
        checksum_forms: named(&counters.checksum_forms),
        dropped: named(&counters.dropped),
        announcements: counters.announcements,
        restored: counters.restored,
    }
}

/// Counters with names that can be read back.
pub(super) fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
