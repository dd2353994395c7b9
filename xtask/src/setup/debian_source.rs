//! rust-src from Debian's archive, without touching the machine's apt configuration.
//!
//! `trixie-backports` carries the compiler's sources as an architecture-independent package. Only
//! the mirror and the keyring are the machine's own; lists, cache and the downloaded package live
//! in our cache directory.

mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use sources::Source;

use super::step;
use crate::sh;

/// Downloads and unpacks the sources of rustc `version` below `cache`; returns their directory
/// (which has `library/` in it). Does nothing when they are there.
///
/// # Errors
/// `apt` is configured in `apt_dir` in a way we cannot follow, the archive cannot be reached, or
/// it does not carry this version.
pub(super) fn fetch(
    version: &str,
    codename: &str,
    apt_dir: &Path,
    cache: &Path,
) -> Result<PathBuf> {
    let unpacked = cache.join("rust-src");
    let sources = unpacked.join(format!("usr/src/rustc-{version}"));
    if sources.join("library/core/src/lib.rs").exists() {
        return Ok(sources);
    }
    step(&format!(
        "fetching {PACKAGE} {version} from Debian's {SUITE} (45 MB) to {}",
        cache.display()
    ));
    let scratch = cache.join("apt");
    let apt = Apt::prepare(&Source::of_machine(apt_dir, codename), &scratch)?;
    sh::run(apt.command("apt-get").arg("update"))?;
    let madison = sh::output(apt.command("apt-cache").args(["madison", PACKAGE]))?;
    let Some(package) = choose(&madison, version) else {
        bail!(
            "{SUITE} has no {PACKAGE} {version}, only:\n{}",
            madison.trim_end()
        );
    };
    let download = format!("{PACKAGE}={package}");
    sh::run(
        apt.command("apt-get")
            .current_dir(&scratch)
            .args(["download", &download]),
    )?;
    let deb = find_deb(&scratch)?;

    // Unpack aside and rename: an interrupted run must not look like a finished one.
    let partial = cache.join("rust-src.partial");
    remove_dir(&partial)?;
    sh::run(sh::command("dpkg-deb").arg("-x").arg(&deb).arg(&partial))?;
    remove_dir(&unpacked)?;
    fs::rename(&partial, &unpacked)
        .with_context(|| format!("cannot rename {}", partial.display()))?;
    remove_dir(&scratch)?;
    if !sources.is_dir() {
        bail!("{PACKAGE} {package} has no {}", sources.display());
    }
    Ok(sources)
}

/// An apt of our own: one source, own lists, own cache.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn prepare(source: &Source, scratch: &Path) -> Result<Self> {
        remove_dir(scratch)?;
        let dir = |name: &str| scratch.join(name);
        for name in ["sources", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir(name))
                .with_context(|| format!("cannot create {}", dir(name).display()))?;
        }
        let file = dir("sources/backports.sources");
        fs::write(&file, source.stanza(SUITE))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let options = [
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={}", dir("sources").display()),
            format!("Dir::State::lists={}", dir("lists").display()),
            format!("Dir::Cache={}", dir("cache").display()),
            // apt's own user cannot read a cache below /root.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self {
            options: options.into(),
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = sh::command(program);
        command.args(self.options.iter().flat_map(|option| ["-o", option]));
        command
    }
}

/// The package version in `apt-cache madison` output whose sources are exactly rustc `version`:
/// any other would give `core` a compiler it was not written for.
fn choose<'a>(madison: &'a str, version: &str) -> Option<&'a str> {
    madison.lines().find_map(|line| {
        let package = line.split('|').nth(1)?.trim();
        // [epoch:]upstream[-revision]; Debian marks removed files as `+dfsg` in the upstream part.
        let upstream = package
            .split_once(':')
            .map_or(package, |(_epoch, rest)| rest);
        let upstream = upstream.split(['+', '-', '~']).next()?;
        (upstream == version).then_some(package)
    })
}

fn find_deb(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded nothing to {}", dir.display()))
}

fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

const PACKAGE: &str = "rust-src";
const SUITE: &str = "trixie-backports";

#[cfg(test)]
mod tests;
