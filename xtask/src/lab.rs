//! Hands over to the programs of `tests/`: the lab, the demo on it, the benchmark.
//!
//! They are replaced into this process, so Ctrl-C, the exit code and stdout are theirs alone:
//! with `--json` their document is the last thing on stdout. Progress goes to stderr.

use std::{convert::Infallible, ffi::OsString};

use anyhow::Result;

use crate::{
    setup::{self, Part},
    sh,
};

/// `lab demo`, over the programs it starts.
pub(crate) fn demo(keep: bool, json: bool) -> Result<Infallible> {
    let flags = [("--keep", keep), ("--json", json)];
    let flags = flags
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(flag, _)| flag);
    let args: Vec<OsString> = ["demo"]
        .into_iter()
        .chain(flags)
        .map(OsString::from)
        .collect();
    lab(&args)
}

/// `lab ARGS`.
pub(crate) fn lab(args: &[OsString]) -> Result<Infallible> {
    setup::ensure(&[Part::Build, Part::Lab])?;
    eprintln!("[build] ballast and the lab (about 2 min the first time)");
    build_binaries()?;
    let debug = sh::target_dir()?.join("debug");
    sh::exec(
        sh::command(debug.join("lab"))
            .args(args)
            .env(BALLAST_BIN, debug.join("ballast")),
    )
}

/// `bench ARGS`, as a release build: it times itself. `bench --failover ARGS` is `lab failover ARGS`,
/// and `bench --backend-death ARGS` is `lab backend-death ARGS`: they time a network.
pub(crate) fn bench(args: &[OsString]) -> Result<Infallible> {
    let first = args.split_first();
    if let Some((first, rest)) = first.and_then(|(first, rest)| Some((first.to_str()?, rest)))
        && let Some(command @ ("failover" | "backend-death")) = first.strip_prefix("--")
    {
        let command = std::iter::once(command.into());
        let args: Vec<_> = command.chain(rest.iter().cloned()).collect();
        return lab(&args);
    }
    setup::ensure(&[Part::Build])?;
    eprintln!("[build] the benchmark, optimised (about 5 min the first time)");
    sh::run(sh::cargo().args(["build", "--release", "-p", "lb-tests", "--bins"]))?;
    sh::exec(sh::command(sh::target_dir()?.join("release/bench")).args(args))
}

/// Builds `ballast` and the programs of `tests/` that drive it.
pub(crate) fn build_binaries() -> Result<()> {
    sh::run(sh::cargo().args(["build", "-p", "lb-user", "-p", "lb-tests", "--bins"]))
}

/// Where the tests and the lab find the agent.
pub(crate) const BALLAST_BIN: &str = "BALLAST_BIN";
