//! Where downloads are kept.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};

/// Our cache: `$XDG_CACHE_HOME/ballast`, by default `~/.cache/ballast`.
pub(crate) fn dir() -> Result<PathBuf> {
    let xdg = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let dir = xdg
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(dir.join("ballast"))
}

/// Removes `dir` and all below, if it is there.
pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// A name for what is to become `path`, for this process alone.
pub(crate) fn beside(path: &Path, state: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{state}-{}", process::id()));
    name.into()
}
