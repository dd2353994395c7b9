//! Packages of any Debian release, downloaded and unpacked without being installed, and without
//! touching the machine's apt configuration.
//!
//! Only the mirror and the keyring are the machine's own; lists, cache and what is downloaded live in
//! our cache directory. apt checks the signatures as it does for any source.

mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context as _, Result, bail};
use sources::Source;

use super::cache;
use crate::sh;

/// An apt of our own: one source, own lists, own cache. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Apt {
    scratch: PathBuf,
}

impl Apt {
    /// Fetches the lists of `suite` from the mirror of a machine that runs Debian's `codename`, or
    /// from Debian's own where it has none.
    ///
    /// # Errors
    /// The archive cannot be reached, or its signature is not good.
    pub(crate) fn open(suite: &str, codename: &str) -> Result<Self> {
        let apt = Self {
            scratch: cache::dir()?.join(format!("apt-{}", process::id())),
        };
        cache::remove_dir(&apt.scratch)?;
        for name in ["sources", "lists/partial", "cache/archives/partial", "debs"] {
            let dir = apt.scratch.join(name);
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let file = apt.scratch.join("sources/one.sources");
        let source = Source::of_machine(Path::new("/etc/apt"), codename);
        fs::write(&file, source.stanza(suite))
            .with_context(|| format!("cannot write {}", file.display()))?;
        sh::run(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// What one of apt's programs says.
    pub(crate) fn output(&self, program: &str, args: &[&str]) -> Result<String> {
        sh::output(self.command(program).args(args))
    }

    /// Downloads `packages` (`name` or `name=version`) and unpacks them into `to`, which is there as
    /// a whole or not at all.
    pub(crate) fn unpack(&self, packages: &[String], to: &Path) -> Result<()> {
        let debs = self.scratch.join("debs");
        sh::run(
            self.command("apt-get")
                .current_dir(&debs)
                .arg("download")
                .args(packages),
        )?;
        let partial = cache::beside(to, "partial");
        cache::remove_dir(&partial)?;
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot create {}", partial.display()))?;
        let mut unpacked = 0;
        let entries =
            fs::read_dir(&debs).with_context(|| format!("cannot read {}", debs.display()))?;
        for entry in entries {
            let path = entry.context("cannot read a directory")?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                sh::run(sh::command("dpkg-deb").arg("-x").arg(&path).arg(&partial))?;
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
                unpacked += 1;
            }
        }
        if unpacked != packages.len() {
            bail!("apt-get downloaded {unpacked} of: {}", packages.join(" "));
        }
        cache::remove_dir(to)?;
        fs::rename(&partial, to).with_context(|| format!("cannot rename {}", partial.display()))
    }

    fn command(&self, program: &str) -> Command {
        let dir = |name: &str| self.scratch.join(name).display().to_string();
        let options = [
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={}", dir("sources")),
            format!("Dir::State::lists={}", dir("lists")),
            format!("Dir::Cache={}", dir("cache")),
            // apt's own user cannot read a cache below /root.
            "APT::Sandbox::User=root".to_owned(),
        ];
        let mut command = sh::command(program);
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command
    }
}

impl Drop for Apt {
    fn drop(&mut self) {
        if let Err(error) = cache::remove_dir(&self.scratch) {
            super::step(&format!("{error:#}"));
        }
    }
}
