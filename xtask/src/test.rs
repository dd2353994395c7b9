//! `cargo xtask test`: installs, builds, runs the tiers, and leaves the machine as it was.
//!
//! A tier is the unit tests of all packages, or one test binary of `tests/`. Skips are loud:
//! listed at the end, and under `CI=true` failures, unless [`ALLOWED_SKIPS`] names what covers
//! them. A test that waits for real programs is run again when it fails, and is named at the end when
//! it passes then: [`UNSTABLE_LIMIT`] may. The last line is always `N passed, N failed, N skipped`.

mod leftovers;
mod output;
mod report;
mod runner;
mod tiers;

use std::process::ExitCode;

use anyhow::{Result, bail};
use leftovers::Leftovers;
use report::{Outcome, Report};
use tiers::Tier;

use crate::{
    lab,
    setup::{self, Part},
    sh,
    vm::KERNELS,
};

/// A skip that is no failure under `CI=true`.
#[derive(Debug)]
pub(crate) struct AllowedSkip {
    /// What the reason begins with.
    reason: &'static str,
    /// The test that shows the same on an emulated kernel or machine.
    covered_by: &'static str,
}

/// Add a line only together with the test it names.
const ALLOWED_SKIPS: &[AllowedSkip] = &[
    // Kernels before 6.8 take 32 bytes; what a program finds there is the same on all of them.
    AllowedSkip {
        reason: "this kernel takes no ",
        covered_by: "the same test of `dataplane` on the host's kernel",
    },
];

/// How many tests of one run may fail once and pass when run again, alone.
const UNSTABLE_LIMIT: usize = 2;

/// Runs `tier` (`all`, `unit`, `vm`, or a test binary of `tests/`).
///
/// # Errors
/// Something that is needed cannot be installed, or there is no such tier. Failed tests are not
/// an error but an exit code.
pub(crate) fn run(tier: &str, all_kernels: bool) -> Result<ExitCode> {
    // The oldest kernel is the one that is promised.
    let kernels = if all_kernels {
        &KERNELS[..]
    } else {
        &KERNELS[..1]
    };
    let tiers = tiers::select(tier, kernels, &sh::cargo_metadata()?)?;
    let needs_root = tiers.iter().any(|tier| tier.needs_root);
    if needs_root && !sh::is_root() {
        bail!(
            "these tests make network namespaces and load BPF: run them as root, or only `cargo xtask test unit`"
        );
    }
    let emulates = tiers.iter().any(|tier| tier.kernel.is_some());
    let parts = [
        (Part::Build, true),
        (Part::Lab, needs_root),
        (Part::Vm, emulates),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter_map(|(part, needed)| needed.then_some(part))
        .collect();
    setup::ensure(&parts)?;

    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut report = Report::new(if ci { Some(ALLOWED_SKIPS) } else { None });
    if needs_root {
        let before = Leftovers::find()?;
        if !before.is_empty() {
            report.add(Outcome::failed(
                "leftovers",
                before.explain("before the tests"),
            ));
            return Ok(report.finish());
        }
    }
    if ci {
        lint(&mut report);
    }
    run_tiers(&tiers, &mut report);
    if needs_root {
        let after = Leftovers::find()?;
        if !after.is_empty() {
            report.add(Outcome::failed(
                "leftovers",
                after.explain("after the tests"),
            ));
        }
    }
    Ok(report.finish())
}

/// The checks that need no run. A failed one counts like a failed test, a passed one not at all.
fn lint(report: &mut Report) {
    for (name, args) in LINTS {
        report::header(name, "");
        let mut cargo = sh::cargo();
        if *name == EBPF_CLIPPY {
            cargo.env("RUSTC_BOOTSTRAP", "1"); // `-Z build-std` on a stable compiler
        }
        if let Err(error) = sh::run(cargo.args(*args)) {
            report.add(Outcome::failed(name, format!("{error:#}")));
        }
    }
}

const EBPF_CLIPPY: &str = "clippy eBPF";
const LINTS: &[(&str, &[&str])] = &[
    ("fmt", &["fmt", "--all", "--check"]),
    (
        "clippy",
        &["clippy", "--all-targets", "--", "-D", "warnings"],
    ),
    // These are no default members: they have no host build to lint.
    (
        EBPF_CLIPPY,
        &[
            "clippy",
            "-p",
            "lb-ebpf",
            "-p",
            "lb-bench-ebpf",
            "--bins",
            "--target",
            "bpfel-unknown-none",
            "-Z",
            "build-std=core",
            "--",
            "-D",
            "warnings",
        ],
    ),
];

fn run_tiers(tiers: &[Tier], report: &mut Report) {
    eprintln!("[build] ballast and its lab (about 2 min the first time)");
    if let Err(error) = lab::build_binaries() {
        report.add(Outcome::failed("build", format!("{error:#}")));
        return;
    }
    for tier in tiers {
        report::header(&tier.name, tier.about);
        report.add(runner::run(tier));
    }
}
