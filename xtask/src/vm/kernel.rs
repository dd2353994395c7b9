//! Kernels as Debian builds them, and busybox for the start, in our cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::KERNELS;
use crate::{
    setup::{apt::Apt, cache, distro::Distro, step},
    sh,
};

/// A kernel in the cache.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) release: String,
    /// Holds `lib/modules/RELEASE`, with its indices.
    pub(super) root: PathBuf,
}

impl Kernel {
    /// The kernel itself.
    pub(super) fn image(&self) -> PathBuf {
        self.root.join(IMAGE)
    }
}

/// The kernel of `series`, downloaded if it is not there.
pub(super) fn ensure(series: &str) -> Result<Kernel> {
    let Some((_, suite)) = KERNELS.into_iter().zip(SUITES).find(|(s, _)| *s == series) else {
        bail!("no kernel `{series}`; there are: {}", KERNELS.join(", "));
    };
    let root = cache::dir()?.join("vm").join(format!("linux-{series}"));
    if !root.join(IMAGE).exists() {
        fetch(series, suite, &root)?;
    }
    let modules = root.join("lib/modules");
    let mut releases = fs::read_dir(&modules)
        .with_context(|| format!("cannot read {}", modules.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let release = releases
        .next()
        .with_context(|| format!("{} is empty", modules.display()))?;
    Ok(Kernel { release, root })
}

/// The path of a busybox that needs no library.
pub(super) fn busybox() -> Result<PathBuf> {
    let root = cache::dir()?.join("vm/busybox");
    let path = root.join("bin/busybox");
    if path.exists() {
        return Ok(path);
    }
    step("fetching busybox-static (1 MB) from Debian's bookworm");
    Apt::open("bookworm", Distro::current().codename())?
        .unpack(&["busybox-static".to_owned()], &root)?;
    if !path.exists() {
        bail!("busybox-static has no {}", path.display());
    }
    Ok(path)
}

fn fetch(series: &str, suite: &str, root: &Path) -> Result<()> {
    step(&format!(
        "fetching Linux {series} (70 to 180 MB) from Debian's {suite} to {}",
        root.display()
    ));
    let apt = Apt::open(suite, Distro::current().codename())?;
    let names = apt.output("apt-cache", &["pkgnames", "linux-"])?;
    let Some(version) = newest(&names, series) else {
        bail!("{suite} has no Linux {series} any more");
    };
    let partial = cache::beside(root, "unarranged");
    apt.unpack(&packages(&names, version), &partial)?;
    arrange(&partial)?;
    cache::remove_dir(root)?;
    fs::rename(&partial, root).with_context(|| format!("cannot rename {}", partial.display()))
}

/// The newest version of `series` that has a package of the plain flavour, from package names.
fn newest<'a>(names: &'a str, series: &str) -> Option<&'a str> {
    let versions = names.lines().filter_map(|name| {
        let version = name.strip_prefix("linux-image-")?.strip_suffix(FLAVOUR)?;
        let numbers = version.strip_prefix(series)?.strip_prefix('.')?;
        let plain = !["cloud", "rt", "unsigned"]
            .iter()
            .any(|other| numbers.contains(other));
        plain.then_some((sort_key(numbers), version))
    });
    versions.max().map(|(_, version)| version)
}

/// Orders `12+deb13` after `9+deb13`.
fn sort_key(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// What `version` consists of: one package, or several since 6.19.
fn packages(names: &str, version: &str) -> Vec<String> {
    let wanted = ["image", "base", "binary", "modules"]
        .map(|part| format!("linux-{part}-{version}{FLAVOUR}"));
    let there = |wanted: &String| names.lines().any(|name| name == wanted);
    wanted.into_iter().filter(there).collect()
}

/// Brings what the packages hold, which differs between releases, to one shape: [`IMAGE`] and
/// `lib/modules/RELEASE` with indices. [`IMAGE`] comes last.
fn arrange(root: &Path) -> Result<()> {
    let rename = |from: &Path, to: &Path| {
        fs::rename(from, to).with_context(|| format!("cannot rename {}", from.display()))
    };
    if !root.join("lib").exists() {
        rename(&root.join("usr/lib"), &root.join("lib"))?;
    }
    let modules = root.join("lib/modules");
    let release = only_entry(&modules)?;
    sh::run(sh::command("depmod").arg("-b").arg(root).arg(&release))?;
    let image = [
        root.join(format!("boot/vmlinuz-{release}")),
        modules.join(&release).join("vmlinuz"),
    ];
    let image = image
        .iter()
        .find(|path| path.exists())
        .with_context(|| format!("the packages of Linux {release} have no kernel"))?;
    rename(image, &root.join(IMAGE))?;
    cache::remove_dir(&root.join("usr"))?;
    cache::remove_dir(&root.join("boot"))
}

fn only_entry(dir: &Path) -> Result<String> {
    let entries: Vec<_> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let [only] = entries.as_slice() else {
        bail!(
            "{} holds not one kernel but {}",
            dir.display(),
            entries.len()
        );
    };
    Ok(only.clone())
}

/// Where each of [`KERNELS`] comes from.
const SUITES: [&str; 3] = ["bookworm", "bookworm-backports", "trixie-backports"];
/// Not `cloud`, which lacks IPVS, nor `rt`.
const FLAVOUR: &str = "-amd64";
const IMAGE: &str = "vmlinuz";

#[cfg(test)]
mod tests;
