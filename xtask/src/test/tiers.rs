//! Which tests there are, from what cargo says of the workspace.

use anyhow::{Result, bail};
use serde_json::Value;

/// Tests that run together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tier {
    /// As given on the command line.
    pub(super) name: String,
    /// For its header.
    pub(super) about: &'static str,
    /// Its calls of `cargo test`.
    pub(super) selections: Vec<Selection>,
    /// It makes namespaces and loads BPF.
    pub(super) needs_root: bool,
    /// Its tests measure time under load, or share names on the host: one after the other.
    pub(super) one_by_one: bool,
    /// It runs under this emulated kernel instead of the host's.
    pub(super) kernel: Option<&'static str>,
}

/// One call of `cargo test`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// What selects the tests.
    pub(super) args: Vec<String>,
    /// They wait for real programs with limits, which a machine that others make stall can break:
    /// a failed one is run once more, alone, and named in the report.
    pub(super) on_the_clock: bool,
}

impl Selection {
    fn new(args: impl IntoIterator<Item = impl Into<String>>, on_the_clock: bool) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            on_the_clock,
        }
    }
}

/// The tiers that `wanted` names, in the order they run: cheapest first. `kernels`: those to emulate.
///
/// # Errors
/// There is no such tier; the error lists those there are.
pub(super) fn select(
    wanted: &str,
    kernels: &[&'static str],
    metadata: &Value,
) -> Result<Vec<Tier>> {
    let mut tiers = all(kernels, metadata);
    if wanted == "all" {
        return Ok(tiers);
    }
    let names: Vec<_> = tiers.iter().map(|tier| tier.name.clone()).collect();
    tiers.retain(|tier| tier.name == wanted || (wanted == VM && tier.kernel.is_some()));
    if tiers.is_empty() {
        bail!(
            "no tests `{wanted}`; there are: all, {VM}, {}",
            names.join(", ")
        );
    }
    Ok(tiers)
}

fn all(kernels: &[&'static str], metadata: &Value) -> Vec<Tier> {
    let mut elsewhere = Vec::new();
    let mut harness = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let targets = package["targets"].as_array().into_iter().flatten();
        let tests = targets.filter(|target| target["kind"][0] == "test");
        let names = tests.filter_map(|target| target["name"].as_str());
        let list = if package["name"] == HARNESS {
            &mut harness
        } else {
            &mut elsewhere
        };
        list.extend(names);
    }
    harness.sort_by_key(|name| {
        (
            KNOWN
                .iter()
                .position(|known| known.name == *name)
                .unwrap_or(usize::MAX),
            *name,
        )
    });
    [unit(&elsewhere)]
        .into_iter()
        .chain(harness.into_iter().filter(|name| *name != VM).map(tier))
        .chain(kernels.iter().map(|kernel| emulated(kernel)))
        .collect()
}

/// Everything but the test binaries of the harness. No `-p`: with the same packages selected in
/// every call, cargo builds their dependencies with the same features, once.
fn unit(integration_tests: &[&str]) -> Tier {
    let mut code = vec!["--lib".to_owned(), "--bins".to_owned()];
    code.extend(
        integration_tests
            .iter()
            .flat_map(|name| ["--test".to_owned(), (*name).to_owned()]),
    );
    Tier {
        name: "unit".to_owned(),
        about: "pure parts, properties and doc tests",
        selections: vec![
            Selection::new(code, false),
            Selection::new(["--doc"], false),
        ],
        needs_root: false,
        one_by_one: false,
        kernel: None,
    }
}

fn tier(name: &str) -> Tier {
    let known = KNOWN.iter().find(|known| known.name == name);
    let one_by_one = known.is_none_or(|known| known.one_by_one);
    let on_the_clock = known.is_none_or(|known| known.on_the_clock);
    Tier {
        name: name.to_owned(),
        about: known.map_or("", |known| known.about),
        selections: vec![Selection::new(["--test", name], on_the_clock)],
        needs_root: true,
        one_by_one,
        kernel: None,
    }
}

/// What an emulated kernel shows: the packet corpus, and all that takes modules.
fn emulated(kernel: &'static str) -> Tier {
    Tier {
        name: format!("{VM}-{kernel}"),
        about: "IPVS, the kernel's tunnels and the packet corpus under an emulated kernel",
        selections: [VM, "dataplane"]
            .map(|name| Selection::new(["--test", name], name == VM))
            .into(),
        // In the guest; here it installs packages.
        needs_root: true,
        // Nothing in there measures time, and most of what it takes is the guest's other processor's.
        one_by_one: false,
        kernel: Some(kernel),
    }
}

/// What is known of a test binary; one that is not listed runs last, one by one and on the clock.
struct Known {
    name: &'static str,
    about: &'static str,
    one_by_one: bool,
    on_the_clock: bool,
}

const KNOWN: &[Known] = &[
    Known {
        name: "model",
        about: "random histories of a balancer: living flows stay on living backends",
        one_by_one: false,
        on_the_clock: false,
    },
    Known {
        name: "dataplane",
        about: "packets through the real XDP program by BPF_PROG_TEST_RUN",
        one_by_one: false,
        on_the_clock: false,
    },
    Known {
        name: "scenarios",
        about: "real agents, servers and clients in network namespaces",
        one_by_one: true,
        on_the_clock: true,
    },
    Known {
        name: "harness",
        about: "the hosts, networks and captures of the tests themselves",
        one_by_one: true,
        on_the_clock: true,
    },
    Known {
        name: "sim",
        about: "virtual routers on a virtual clock: promises hold in every history",
        one_by_one: false,
        on_the_clock: false,
    },
];

/// The test binary that wants a kernel with modules.
const VM: &str = "vm";

/// The package whose test binaries need root.
const HARNESS: &str = "lb-tests";

#[cfg(test)]
mod tests;
