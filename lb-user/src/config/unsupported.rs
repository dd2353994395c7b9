//! What the schema has and this build cannot do yet. One line each, to be removed by whoever makes it work.

use std::collections::HashSet;

use super::{
    Diagnostic, Diagnostics, Loaded, Severity,
    model::{Backend, Config, Engine, Forwarding, HealthCheck, Scheduler, Service},
};

#[cfg(test)]
mod tests;

/// What a line looks at.
enum Rule {
    /// A part of the document.
    Section(fn(&Config) -> bool),
    /// A part of each service, at this path below it.
    Service(fn(&Service) -> bool),
    /// A part of each backend of each service.
    Backend(fn(&Backend) -> bool),
}

/// Path (below the item that the rule looks at), whether `run` refuses or only warns, what to say, and what to look at.
type Line = (&'static str, Severity, &'static str, Rule);

const TABLE: &[Line] = &[
    (
        "vrrp_instances",
        Severity::Error,
        "`track.services` needs health checks, which do not run yet",
        Rule::Section(|c| {
            c.vrrp_instances
                .iter()
                .any(|i| !i.track.services.is_empty())
        }),
    ),
    (
        "datapath.engine",
        Severity::Error,
        "IPVS cannot be used yet, use `auto` or `xdp`",
        Rule::Section(|c| c.datapath.engine == Engine::Ipvs),
    ),
    (
        "datapath.manage_sysctls",
        Severity::Error,
        "sysctls cannot be managed yet",
        Rule::Section(|c| c.datapath.manage_sysctls),
    ),
    (
        "alerts",
        Severity::Error,
        "alerts are not sent yet",
        Rule::Section(|c| c.alerts != Default::default()),
    ),
    (
        "ipvs",
        Severity::Error,
        "IPVS cannot be used yet",
        Rule::Section(|c| c.ipvs_sync.is_some()),
    ),
    (
        "observability",
        Severity::Error,
        "there is no listener for metrics yet",
        Rule::Section(|c| c.observability.is_some()),
    ),
    (
        "forwarding",
        Severity::Error,
        "nat does not work yet, use `direct_routing` or `tunnel`",
        Rule::Service(|s| s.forwarding == Forwarding::Nat),
    ),
    (
        "scheduler",
        Severity::Error,
        "only maglev works yet",
        Rule::Service(|s| s.scheduler != Scheduler::Maglev),
    ),
    (
        "persistence",
        Severity::Error,
        "persistence does not work yet",
        Rule::Service(|s| s.persistence.is_some()),
    ),
    (
        "quorum",
        Severity::Error,
        "a quorum needs health checks, which do not run yet",
        Rule::Service(has_quorum),
    ),
    (
        "fallback",
        Severity::Error,
        "a fallback needs health checks, which do not run yet",
        Rule::Service(|s| s.fallback.is_some()),
    ),
    (
        "health_check",
        Severity::Warning,
        "health checks do not run yet, all backends count as up (`health_check: none` says so)",
        Rule::Service(|s| {
            s.backends
                .iter()
                .any(|b| matches!(b.health_check, HealthCheck::Default(_)))
        }),
    ),
    (
        "health_check",
        Severity::Error,
        "health checks do not run yet, use `health_check: none`",
        Rule::Backend(|b| matches!(b.health_check, HealthCheck::Explicit(_))),
    ),
];

fn has_quorum(service: &Service) -> bool {
    let quorum = &service.quorum;
    quorum.up != 1 || quorum.hysteresis != 0 || quorum.on_up.is_some() || quorum.on_down.is_some()
}

/// Everything of `loaded` that is in the table.
pub(super) fn of(loaded: &Loaded) -> Diagnostics {
    let mut found: Vec<Diagnostic> = Vec::new();
    // Backends that inherit a check share its place: one line for all of them.
    let mut places: HashSet<(u32, u32, &str)> = HashSet::new();
    for (path, severity, message, rule) in TABLE {
        let mut add = |path: &str| {
            let diagnostic = loaded.diagnostic(path, *severity, message);
            if places.insert((diagnostic.line, diagnostic.column, message)) {
                found.push(diagnostic);
            }
        };
        match rule {
            Rule::Section(applies) => {
                if applies(&loaded.config) {
                    add(path);
                }
            }
            Rule::Service(applies) => {
                for (s, _) in loaded
                    .config
                    .services
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| applies(s))
                {
                    add(&format!("services[{s}].{path}"));
                }
            }
            Rule::Backend(applies) => {
                for (s, service) in loaded.config.services.iter().enumerate() {
                    for (b, _) in service
                        .backends
                        .iter()
                        .enumerate()
                        .filter(|(_, b)| applies(b))
                    {
                        let own = format!("services[{s}].backends[{b}].{path}");
                        let path = if loaded.says(&own) {
                            own
                        } else {
                            format!("services[{s}].{path}")
                        };
                        add(&path);
                    }
                }
            }
        }
    }
    Diagnostics::new(found)
}
