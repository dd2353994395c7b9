//! Runs one tier through cargo, its output streaming through [`output::Reader`].

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    UNSTABLE_LIMIT,
    output::{Reader, Tally},
    report::{self, Outcome},
    tiers::{Selection, Tier},
};
use crate::{lab::BALLAST_BIN, sh};

/// Builds and runs the tier's tests. What keeps them from running is a failure of the tier.
pub(super) fn run(tier: &Tier) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome::new(&tier.name);
    for selection in &tier.selections {
        match run_selection(tier, selection) {
            Ok((tally, exited_well)) => {
                // A binary that was killed prints no result: never take silence for success.
                let unexplained = !exited_well && tally.failed == 0;
                outcome.add(tally);
                if unexplained {
                    outcome.fail(format!("`cargo test {}` failed", selection.args.join(" ")));
                }
            }
            Err(error) => outcome.fail(format!("{error:#}")),
        }
    }
    outcome.took = started.elapsed();
    outcome
}

/// The tally, and whether cargo was content.
fn run_selection(tier: &Tier, selection: &Selection) -> Result<(Tally, bool)> {
    // First the build alone, so that its progress reaches the terminal.
    if !selection.args.iter().any(|arg| arg == "--doc") {
        sh::run(sh::cargo().args(["test", "--no-run"]).args(&selection.args))?;
    }
    let (mut tally, mut exited_well) = call(tier, selection, &[])?;
    let named = tally.failures.len() == tally.failed;
    if selection.on_the_clock && named && (1..=UNSTABLE_LIMIT).contains(&tally.failed) {
        for test in tally.failures.clone() {
            report::header("once more, alone", &test);
            match call(tier, selection, &["--exact", &test]) {
                Ok((again, true)) => tally.repeated(&test, again),
                Ok((_, false)) => {}
                Err(error) => eprintln!("it could not be run again: {error:#}"),
            }
        }
        exited_well = tally.failed == 0;
    }
    Ok((tally, exited_well))
}

/// One call of `cargo test`: its tally, and whether cargo was content.
fn call(tier: &Tier, selection: &Selection, filter: &[&str]) -> Result<(Tally, bool)> {
    let mut cargo = sh::cargo();
    if let Some(kernel) = tier.kernel {
        cargo.arg("--config").arg(in_guest(kernel)?);
    }
    cargo
        .args(["test", "--no-fail-fast"])
        .args(&selection.args)
        .args(["--", "--show-output"])
        .args(filter);
    if tier.one_by_one {
        cargo.arg("--test-threads=1");
    }
    cargo.env(BALLAST_BIN, sh::target_dir()?.join("debug/ballast"));
    stream(&mut cargo)
}

/// A setting that makes cargo run test binaries under `kernel`.
fn in_guest(kernel: &str) -> Result<String> {
    let xtask = env::current_exe().context("cannot find our own program")?;
    let xtask = xtask.to_str().context("our own path is no text")?;
    let seconds = GUEST_LIMIT.as_secs().to_string();
    let words = [xtask, "vm", "--kernel", kernel, "--timeout", &seconds, "--"];
    let words = words.map(|word| format!("{word:?}")).join(", ");
    Ok(format!("target.'cfg(all())'.runner = [{words}]"))
}

/// How long a test binary may run under an emulated kernel.
const GUEST_LIMIT: Duration = Duration::from_secs(1800);

fn stream(command: &mut Command) -> Result<(Tally, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", sh::display(command)))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    // What tests write around the capture, and their children, also says SKIPPED.
    let other = thread::spawn(move || forward(stderr, &mut io::stderr()));
    let mut tally = forward(stdout, &mut io::stdout())?;
    tally.merge(other.join().expect("the reader of stderr does not panic")?);
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for `{}`", sh::display(command)))?;
    Ok((tally, status.success()))
}

/// Passes on the lines that are worth it.
fn forward(from: impl Read, to: &mut impl Write) -> Result<Tally> {
    let mut reader = Reader::default();
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from
        .read_until(b'\n', &mut bytes)
        .context("cannot read the tests' output")?
        > 0
    {
        let line = String::from_utf8_lossy(&bytes);
        if reader.line(line.trim_end_matches(['\n', '\r'])) {
            to.write_all(&bytes)
                .context("cannot pass on the tests' output")?;
        }
        bytes.clear();
    }
    Ok(reader.finish())
}
