//! What the schema has and this build cannot do yet. One line each, to be removed by whoever makes it work.

use super::{
    Diagnostic, Diagnostics, Loaded, Severity,
    model::{Config, Engine, Forwarding, OnFailure, Scheduler, Service},
};

#[cfg(test)]
mod tests;

/// What a line looks at.
enum Rule {
    /// A part of the document.
    Section(fn(&Config) -> bool),
    /// A part of each service, at this path below it.
    Service(fn(&Service) -> bool),
}

/// Path (below the item that the rule looks at), whether `run` refuses or only warns, what to say, and what to look at.
type Line = (&'static str, Severity, &'static str, Rule);

const TABLE: &[Line] = &[
    (
        "datapath.engine",
        Severity::Error,
        "XDP forwards no nat; use `auto`, so that IPVS does",
        Rule::Section(|c| {
            let nat = |s: &Service| s.forwarding == Forwarding::Nat;
            c.datapath.engine == Engine::Xdp && c.services.iter().any(nat)
        }),
    ),
    (
        "alerts",
        Severity::Error,
        "alerts are not sent yet",
        Rule::Section(|c| c.alerts != Default::default()),
    ),
    (
        "observability",
        Severity::Error,
        "there is no listener for metrics yet",
        Rule::Section(|c| c.observability.is_some()),
    ),
    (
        "scheduler",
        Severity::Error,
        "only maglev works yet",
        Rule::Service(|s| s.forwarding != Forwarding::Nat && s.scheduler != Scheduler::Maglev),
    ),
    (
        "persistence",
        Severity::Error,
        "persistence does not work yet",
        Rule::Service(|s| s.forwarding != Forwarding::Nat && s.persistence.is_some()),
    ),
    (
        "quorum",
        Severity::Error,
        "commands of a quorum are not run yet",
        Rule::Service(|s| s.quorum.on_up.is_some() || s.quorum.on_down.is_some()),
    ),
    (
        "fallback",
        Severity::Error,
        "a fallback does not serve yet",
        Rule::Service(|s| s.forwarding != Forwarding::Nat && s.fallback.is_some()),
    ),
    (
        "on_failure",
        Severity::Error,
        "weight_zero does not keep connections yet, use `remove`",
        Rule::Service(|s| s.forwarding != Forwarding::Nat && s.on_failure == OnFailure::WeightZero),
    ),
];

/// Everything of `loaded` that is in the table.
pub(super) fn of(loaded: &Loaded) -> Diagnostics {
    let mut found: Vec<Diagnostic> = Vec::new();
    for (path, severity, message, rule) in TABLE {
        let mut add = |path: &str| {
            found.push(loaded.diagnostic(path, *severity, message));
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
        }
    }
    Diagnostics::new(found)
}
