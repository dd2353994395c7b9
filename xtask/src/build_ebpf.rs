//! The one way to build and look at the eBPF objects: exactly those the agent embeds.

mod elf;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    setup::{self, Part},
    sh,
};

/// Builds, prints each object's path, size and sections, and copies them to `out`.
pub(crate) fn run(out: Option<&Path>) -> Result<()> {
    setup::ensure(&[Part::Build])?;
    eprintln!("[build] the eBPF objects, embedded by lb-user (about 2 min the first time)");
    let objects = objects(&build()?)?;
    if let Some(out) = out {
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    }
    for built in objects {
        let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        let summary = elf::Summary::read(&bytes)
            .with_context(|| format!("{} is no BPF object", built.display()))?;
        let shown = match out {
            None => built,
            Some(out) => copy(&built, out)?,
        };
        println!("{}: {} bytes", shown.display(), bytes.len());
        print!("{summary}");
    }
    Ok(())
}

fn copy(object: &Path, dir: &Path) -> Result<PathBuf> {
    let to = dir.join(object.file_name().context("an object has a name")?);
    fs::copy(object, &to)
        .with_context(|| format!("cannot copy {} to {}", object.display(), to.display()))?;
    Ok(to)
}

/// Builds `lb-user` and returns its build script's `OUT_DIR`.
fn build() -> Result<PathBuf> {
    let mut cargo = sh::cargo();
    cargo.args([
        "build",
        "-p",
        "lb-user",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", sh::display(&cargo)))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut found = None;
    for line in BufReader::new(stdout).lines() {
        found = out_dir(&line.context("cannot read cargo's messages")?).or(found);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("`{}` failed: {status}", sh::display(&cargo));
    }
    found.context("cargo named no OUT_DIR for lb-user")
}

/// The `OUT_DIR` in a cargo message, if it is the one about lb-user's build script.
fn out_dir(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let id = message["package_id"].as_str()?;
    let ours = message["reason"] == "build-script-executed" && id.contains("/lb-user#");
    ours.then(|| message["out_dir"].as_str().map(PathBuf::from))
        .flatten()
}

/// The objects in `dir`: its files, sorted by name.
fn objects(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut objects: Vec<_> = paths.filter(|path| path.is_file()).collect();
    objects.sort();
    if objects.is_empty() {
        bail!("lb-user's build script left nothing in {}", dir.display());
    }
    Ok(objects)
}

#[cfg(test)]
mod tests;
