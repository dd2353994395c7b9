//! Feeds the parsers of untrusted input with what libFuzzer makes up: a few seconds of every target,
//! or one target for long.
//!
//! `tests/fuzz` is a workspace of its own, because everything in it is built with coverage counters
//! (its `.cargo/config.toml`); that takes minutes the first time, so `cargo xtask test` does without
//! and runs the same targets over mutated seeds instead (`lb-user/tests/mutations.rs`).

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    setup::{self, Part},
    sh,
};

/// Runs `target`, or each of [`TARGETS`], for `seconds`.
///
/// # Errors
/// There is no such target, or it cannot be built. An input that breaks something is not an error but
/// an exit code.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<ExitCode> {
    let targets: Vec<_> = TARGETS
        .iter()
        .filter(|known| target.is_none_or(|wanted| wanted == known.name))
        .collect();
    if targets.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|known| known.name).collect();
        bail!(
            "no fuzz target `{}`; there are: {}",
            target.unwrap_or_default(),
            names.join(", ")
        );
    }
    setup::ensure(&[Part::Fuzz])?;
    eprintln!("[build] the fuzz targets, with coverage counters (about 4 min the first time)");
    sh::run(cargo().args(["build", "--bins"]))?;

    let mut broken = 0;
    for target in targets {
        let passed = target.run(seconds)?;
        broken += u32::from(!passed);
    }
    Ok(match broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// A parser of untrusted input.
struct Target {
    /// The binary's.
    name: &'static str,
    /// Inputs to begin with, from the workspace's root.
    seeds: &'static str,
}

impl Target {
    /// Prints the number of executions, or the input that breaks something; true if there is none.
    fn run(&self, seconds: u32) -> Result<bool> {
        let target_dir = sh::target_dir()?.join("fuzz");
        let found = make_dir(&target_dir.join("corpus").join(self.name))?;
        let broken = make_dir(&target_dir.join("artifacts").join(self.name))?;
        eprintln!("[fuzz] {} for {seconds} s", self.name);
        let mut command = cargo();
        command
            .args(["run", "--quiet", "--bin", self.name, "--"])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", broken.display()))
            .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"])
            .arg(&found)
            .arg(sh::workspace_root().join(self.seeds));
        let (log, passed) = stderr_of(&mut command)?;
        if passed {
            let executions = executions(&log);
            println!("{}: {executions} executions, nothing broken", self.name);
        } else {
            eprintln!("{}", log.join("\n"));
            println!(
                "{name}: BROKEN; the input is in {}, and again: cd tests/fuzz && cargo run --bin {name} -- INPUT",
                broken.display(),
                name = self.name,
            );
        }
        Ok(passed)
    }
}

/// Cargo in the fuzz targets' workspace, whose own flags must win.
fn cargo() -> Command {
    let mut cargo = sh::cargo();
    cargo
        .current_dir(sh::workspace_root().join("tests/fuzz"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    cargo
}

fn make_dir(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir.to_owned())
}

/// The last lines of what libFuzzer reports, and whether it is content. It reports every new path, so
/// the lines are not passed on.
fn stderr_of(command: &mut Command) -> Result<(Vec<String>, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", sh::display(command)))?;
    let stderr = child.stderr.take().expect("stderr is piped");
    let mut log = Vec::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = line.context("cannot read libFuzzer's report")?;
        log.push(String::from_utf8_lossy(&line).into_owned());
        if log.len() > 2 * LOG_LINES {
            log.drain(..LOG_LINES);
        }
    }
    let status = child.wait().context("cannot wait for the fuzz target")?;
    Ok((log, status.success()))
}

/// From `-print_final_stats`.
fn executions(log: &[String]) -> &str {
    let stat = log
        .iter()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    stat.map_or("an unknown number of", str::trim)
}

const TARGETS: &[Target] = &[
    Target {
        name: "vrrp_advert",
        seeds: "tests/fuzz/seeds/vrrp_advert",
    },
    Target {
        name: "config_yaml",
        seeds: "config",
    },
    Target {
        name: "keepalived_conf",
        seeds: "tests/fixtures/keepalived",
    },
    Target {
        name: "packet_parse",
        seeds: "tests/fuzz/seeds/packet_parse",
    },
    Target {
        name: "control_request",
        seeds: "tests/fuzz/seeds/control_request",
    },
];

/// Lines of a report that are kept: a panic's message and its stack are among the last.
const LOG_LINES: usize = 100;
