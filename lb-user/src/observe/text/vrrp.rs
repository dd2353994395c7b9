//! Virtual routers on the screen.

use std::time::Duration;

use super::line;
use crate::observe::snapshot::{Snapshot, VirtualRouter};

pub(super) fn routers(out: &mut String, snapshot: &Snapshot) {
    if snapshot.vrrp.is_empty() {
        return;
    }
    if let Some(reason) = &snapshot.vrrp_scheduling {
        line(out, &format!("PROBLEM     adverts may be late: {reason}"));
    }
    let width = |text: fn(&VirtualRouter) -> &str| {
        let widths = snapshot.vrrp.iter().map(|router| text(router).len());
        widths.max().unwrap_or_default()
    };
    let (name, interface) = (width(|r| &r.name), width(|r| &r.interface));
    for (n, router) in snapshot.vrrp.iter().enumerate() {
        let label = if n == 0 { "\nvrrp" } else { "" };
        let pad = if n == 0 { 13 } else { 12 };
        line(
            out,
            &format!(
                "{label:<pad$}{:<name$}  {:<interface$}  vrid {:<3}  {:<6}  {}",
                router.name,
                router.interface,
                router.virtual_router_id,
                router.state.to_uppercase(),
                facts(router).join(", "),
            ),
        );
        for detail in details(router) {
            line(out, &format!("{:<14}{detail}", ""));
        }
    }
    for group in &snapshot.sync_groups {
        let members = group.members.join(" ");
        line(
            out,
            &format!(
                "{:<12}group {}: {} ({members})",
                "",
                group.name,
                group.state.to_uppercase()
            ),
        );
    }
}

/// What always is said.
fn facts(router: &VirtualRouter) -> Vec<String> {
    let mut facts = vec![if router.effective_priority == router.priority {
        format!("priority {}", router.priority)
    } else {
        format!(
            "priority {} (configured {})",
            router.effective_priority, router.priority
        )
    }];
    if let (Some(master), Some(age)) = (router.master, router.last_advert_age_ms)
        && router.state != "master"
    {
        let priority = router.master_priority.unwrap_or_default();
        facts.push(format!(
            "master {master} (priority {priority}), advert {age} ms ago"
        ));
    }
    facts.push(format!("{} transitions", router.transitions));
    facts.push(router.reason.clone());
    facts
}

/// What is said where there is something to say.
fn details(router: &VirtualRouter) -> Vec<String> {
    let mut details = router.reasons.clone();
    details.extend(router.problem.iter().map(|text| format!("PROBLEM {text}")));
    if let Some(theirs) = &router.peer_virtual_addresses {
        let list = |addresses: &[std::net::IpAddr]| {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        details.push(format!(
            "PROBLEM the peer has other virtual addresses: {} there, {} here",
            list(theirs),
            list(&router.virtual_addresses)
        ));
    }
    let dropped: Vec<String> = router
        .counters
        .dropped
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    if !dropped.is_empty() {
        details.push(format!("adverts ignored: {}", dropped.join(", ")));
    }
    if let Some(last) = router
        .last_transition
        .as_ref()
        .filter(|_| router.transitions > 0)
    {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(last.at_unix_ms);
        details.push(format!(
            "{} to {} at {}: {}",
            last.from,
            last.to,
            humantime::format_rfc3339_seconds(at),
            last.reason
        ));
    }
    details
}
