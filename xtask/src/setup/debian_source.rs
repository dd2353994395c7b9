//! rust-src from Debian's archive: `trixie-backports` carries the compiler's sources as an
//! architecture-independent package.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{apt::Apt, step};

/// Downloads and unpacks the sources of rustc `version` below `cache`; returns their directory
/// (which has `library/` in it). Does nothing when they are there.
///
/// # Errors
/// The archive cannot be reached, or it does not carry this version.
pub(super) fn fetch(version: &str, codename: &str, cache: &Path) -> Result<PathBuf> {
    let unpacked = cache.join("rust-src");
    let sources = unpacked.join(format!("usr/src/rustc-{version}"));
    if sources.join("library/core/src/lib.rs").exists() {
        return Ok(sources);
    }
    step(&format!(
        "fetching {PACKAGE} {version} from Debian's {SUITE} (45 MB) to {}",
        cache.display()
    ));
    let apt = Apt::open(SUITE, codename)?;
    let madison = apt.output("apt-cache", &["madison", PACKAGE])?;
    let Some(package) = choose(&madison, version) else {
        bail!(
            "{SUITE} has no {PACKAGE} {version}, only:\n{}",
            madison.trim_end()
        );
    };
    apt.unpack(&[format!("{PACKAGE}={package}")], &unpacked)?;
    if !sources.is_dir() {
        bail!("{PACKAGE} {package} has no {}", sources.display());
    }
    Ok(sources)
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

const PACKAGE: &str = "rust-src";
const SUITE: &str = "trixie-backports";

#[cfg(test)]
mod tests;
