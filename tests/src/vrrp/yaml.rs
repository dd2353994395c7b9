//! Virtual routers as Ballast's configuration has them.

use std::{fmt::Write as _, time::Duration};

use super::{TRACKED, VirtualRouter};

/// The section `vrrp_instances`; empty without routers.
#[must_use]
pub fn vrrp_yaml(routers: &[VirtualRouter]) -> String {
    if routers.is_empty() {
        return String::new();
    }
    routers
        .iter()
        .fold("vrrp_instances:\n".to_owned(), |yaml, router| {
            yaml + &instance(router)
        })
}

/// A section `vrrp_sync_groups` with one group.
#[must_use]
pub fn sync_group(name: &str, members: &[&str]) -> String {
    let members = members.join(", ");
    format!("vrrp_sync_groups:\n  - {{ name: {name}, members: [{members}] }}\n")
}

fn instance(router: &VirtualRouter) -> String {
    let mut lines = vec![
        format!("name: {}", router.name),
        format!("interface: {}", router.interface),
        format!("virtual_router_id: {}", router.id),
        format!("version: {}", router.version.number()),
        format!("priority: {}", router.priority),
        format!("advertisement_interval: {}", duration(router.interval)),
    ];
    if router.starts_as_master {
        lines.push("initial_state: master".to_owned());
    }
    if !router.preempt {
        lines.push("preempt: false".to_owned());
    }
    if let Some((source, peers)) = &router.unicast {
        lines.push(format!("unicast_source: \"{source}\""));
        let peers: Vec<_> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        lines.push(format!("unicast_peers: [{}]", peers.join(", ")));
    }
    if let Some(password) = &router.password {
        lines.push(format!("authentication: {{ pass: \"{password}\" }}"));
    }
    let addresses: Vec<_> = router
        .addresses
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    lines.push(format!("virtual_addresses: [{}]", addresses.join(", ")));
    if let Some(weight) = router.track {
        lines.push(format!(
            "track: {{ processes: [{{ name: {TRACKED}, weight: {weight} }}] }}"
        ));
    }
    if let Some(program) = &router.notify {
        lines.push(format!("notify: {{ any: [{}] }}", program.display()));
    }
    lines.extend(router.yaml.iter().cloned());
    let mut yaml = String::new();
    for (at, line) in lines.iter().enumerate() {
        let bullet = if at == 0 { "-" } else { " " };
        writeln!(yaml, "  {bullet} {line}").expect("a string takes everything");
    }
    yaml
}

fn duration(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests;
