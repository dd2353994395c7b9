//! Keeps packages from starting daemons while they are installed.
//!
//! Debian's nginx, haproxy and keepalived start themselves when installed. The lab runs its own,
//! in namespaces; on the host they would take port 80 and speak VRRP on the user's network.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};

/// Where `invoke-rc.d` and `deb-systemd-invoke` ask whether they may start a daemon.
pub(super) const PATH: &str = "/usr/sbin/policy-rc.d";

/// While it lives, no package starts a daemon; dropping it puts back what was there.
///
/// If this process dies first, the file it leaves behind decides nothing: it asks for our process
/// and, without it, answers as the one before would have. The next guard removes it.
#[derive(Debug)]
pub(super) struct NoDaemons {
    path: PathBuf,
    saved: PathBuf,
}

impl NoDaemons {
    /// Installs the policy at `path`.
    pub(super) fn install(path: &Path) -> Result<Self> {
        let guard = Self {
            path: path.to_owned(),
            saved: path.with_extension("d.before-ballast"),
        };
        guard.remove_leftover()?;
        if path.symlink_metadata().is_ok() {
            fs::rename(path, &guard.saved)
                .with_context(|| format!("cannot set {} aside", path.display()))?;
        }
        let text = script(process::id(), &guard.saved);
        fs::write(path, text)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(guard)
    }

    /// What a setup that was killed left behind.
    fn remove_leftover(&self) -> Result<()> {
        if fs::read_to_string(&self.path).is_ok_and(|text| text.contains(MARK)) {
            self.restore()?;
        }
        Ok(())
    }

    fn restore(&self) -> Result<()> {
        let restored = if self.saved.symlink_metadata().is_ok() {
            fs::rename(&self.saved, &self.path)
        } else {
            fs::remove_file(&self.path)
        };
        match restored {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot restore {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            super::step(&format!("{error:#}"));
        }
    }
}

/// 101 is "forbidden by policy", 0 "allowed" (invoke-rc.d(8)).
fn script(pid: u32, saved: &Path) -> String {
    let saved = saved.display();
    format!(
        "#!/bin/sh\n\
         {MARK} (process {pid}) so that packages\n\
         # start no daemon while it installs them; it removes this file when done.\n\
         if grep -qs xtask /proc/{pid}/cmdline; then exit 101; fi\n\
         if [ -x {saved} ]; then exec {saved} \"$@\"; fi\n\
         exit 0\n"
    )
}

const MARK: &str = "# Written by `cargo xtask setup`";

#[cfg(test)]
mod tests;
