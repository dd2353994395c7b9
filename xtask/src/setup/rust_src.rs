//! rust-src: the sources of `core`, which is built for BPF because no compiler ships it.

use std::{fs, io, os::unix, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{cache, debian_source, distro::Distro, step, toolchain::Toolchain};
use crate::sh;

/// Installs the component: from rustup, else from Debian's archive.
pub(super) fn ensure(toolchain: &Toolchain) -> Result<()> {
    if is_there(&toolchain.sysroot) {
        return Ok(());
    }
    let channel = &toolchain.channel;
    step(&format!("installing rust-src {channel} with rustup"));
    let args = ["component", "add", "rust-src", "--toolchain", channel];
    let rustup = sh::run(sh::command("rustup").args(args));
    if is_there(&toolchain.sysroot) {
        return Ok(());
    }
    let why = rustup
        .err()
        .map_or_else(|| "rustup did not bring it".into(), |e| format!("{e:#}"));
    let Distro::Debian { codename } = Distro::current() else {
        bail!("rust-src {channel} is missing: {why}");
    };
    step(&format!("{why}; trying Debian's package"));
    let sources = debian_source::fetch(channel, &codename, &cache::dir()?)?;
    link(&sources, &toolchain.sysroot)?;
    if !is_there(&toolchain.sysroot) {
        bail!("{} has no sources of core", sources.display());
    }
    Ok(())
}

fn is_there(sysroot: &Path) -> bool {
    sysroot.join(PLACE).join("library/core/src/lib.rs").exists()
}

/// Makes `sources` the sysroot's rust-src.
fn link(sources: &Path, sysroot: &Path) -> Result<()> {
    let place = sysroot.join(PLACE);
    let parent = place.parent().expect("PLACE has directories");
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    // A link whose target was cleaned from the cache, or what an interrupted rustup left.
    let removed = match place.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&place),
        Ok(_) => fs::remove_file(&place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot replace {}", place.display()))?;
    step(&format!(
        "linking {} to {}",
        place.display(),
        sources.display()
    ));
    unix::fs::symlink(sources, &place).with_context(|| format!("cannot link {}", place.display()))
}

const PLACE: &str = "lib/rustlib/src/rust";

#[cfg(test)]
mod tests;
