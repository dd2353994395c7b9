//! Virtual routers as keepalived's configuration has them.

use std::{fmt::Write as _, time::Duration};

use super::{TRACKED, VirtualRouter};

/// A `keepalived.conf` for one node.
///
/// keepalived's `track_process` asks the kernel's process connector, which serves nobody in a network
/// namespace; so here it tracks [`TRACKED`] with the script that its manual has for that, as often as it can.
#[must_use]
pub fn keepalived_conf(node: &str, routers: &[VirtualRouter]) -> String {
    let mut conf = format!(
        "global_defs {{
    router_id {node}
    script_user root
    enable_script_security
    vrrp_rt_priority 50
    vrrp_rlimit_rttime 1000000
}}
"
    );
    for router in routers {
        if let Some(weight) = router.track {
            write!(
                conf,
                "vrrp_script track_{} {{
    script \"/usr/bin/pgrep -x {TRACKED}\"
    interval 1
    rise 1
    fall 1
    weight {weight}
}}
",
                router.name
            )
            .expect("a string takes everything");
        }
    }
    routers
        .iter()
        .fold(conf, |conf, router| conf + &instance(router))
}

fn instance(router: &VirtualRouter) -> String {
    let state = if router.starts_as_master {
        "MASTER"
    } else {
        "BACKUP"
    };
    let mut lines = vec![
        format!("version {}", router.version.number()),
        format!("state {state}"),
        format!("interface {}", router.interface),
        format!("virtual_router_id {}", router.id),
        format!("priority {}", router.priority),
        format!("advert_int {}", seconds(router.interval)),
    ];
    if !router.preempt {
        lines.push("nopreempt".to_owned());
    }
    if let Some((source, peers)) = &router.unicast {
        lines.push(format!("unicast_src_ip {source}"));
        lines.push(block("unicast_peer", peers));
    }
    if let Some(password) = &router.password {
        let auth = ["auth_type PASS".to_owned(), format!("auth_pass {password}")];
        lines.push(block("authentication", &auth));
    }
    lines.push(block("virtual_ipaddress", &router.addresses));
    if router.track.is_some() {
        lines.push(block("track_script", &[format!("track_{}", router.name)]));
    }
    if let Some(program) = &router.notify {
        lines.push(format!("notify {}", program.display()));
    }
    block(&format!("vrrp_instance {}", router.name), &lines) + "\n"
}

fn block<T: std::fmt::Display>(name: &str, lines: &[T]) -> String {
    let mut text = format!("{name} {{\n");
    for line in lines {
        for line in line.to_string().lines() {
            writeln!(text, "    {line}").expect("a string takes everything");
        }
    }
    text + "}"
}

/// `1`, `0.1`, `0.01`.
fn seconds(interval: Duration) -> String {
    interval.as_secs_f64().to_string()
}

#[cfg(test)]
mod tests;
