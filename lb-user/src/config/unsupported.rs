//! What the schema has and this build cannot do yet. One line each, to be removed by whoever makes it work.

use super::{
    Diagnostic, Diagnostics, Loaded, Severity,
    model::{Config, Engine, Forwarding, Service},
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
        "ipvs",
        Severity::Error,
        "IPVS cannot be used yet",
        Rule::Section(|c| c.ipvs_sync.is_some()),
    ),
    (
        "forwarding",
        Severity::Error,
        "nat does not work yet, use `direct_routing` or `tunnel`",
        Rule::Service(|s| s.forwarding == Forwarding::Nat),
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
