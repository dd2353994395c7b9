//! What tests must not leave behind: named network namespaces, pins, running agents.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::sh;

/// Things of ours on the host, each with the command that removes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers(Vec<(String, String)>);

impl Leftovers {
    /// Looks at the host.
    pub(super) fn find() -> Result<Self> {
        let agent = sh::target_dir()?.join("debug/ballast");
        Self::find_in(
            Path::new("/run/netns"),
            Path::new("/sys/fs/bpf"),
            Path::new("/proc"),
            &agent,
        )
    }

    fn find_in(netns: &Path, bpffs: &Path, proc: &Path, agent: &Path) -> Result<Self> {
        let mut found = Vec::new();
        for (name, _) in entries(netns)?
            .into_iter()
            .filter(|(name, _)| name.starts_with("ballast-"))
        {
            found.push((
                format!("network namespace {name}"),
                format!("ip netns del {name}"),
            ));
        }
        for (name, path) in entries(bpffs)? {
            if name.starts_with("ballast-test-") {
                let path = path.display();
                found.push((format!("pins in {path}"), format!("rm -r {path}")));
            }
        }
        for (name, path) in entries(proc)? {
            if name.bytes().all(|byte| byte.is_ascii_digit()) && runs(&path, agent) {
                found.push((
                    format!("process {name} ({})", agent.display()),
                    format!("kill {name}"),
                ));
            }
        }
        Ok(Self(found))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names them all and says how to be rid of them.
    pub(super) fn explain(&self, when: &str) -> String {
        let things: Vec<_> = self.0.iter().map(|(thing, _)| thing.as_str()).collect();
        let remedies: Vec<_> = self.0.iter().map(|(_, remedy)| remedy.as_str()).collect();
        format!(
            "{when}: {}; remove: {}",
            things.join(", "),
            remedies.join("; ")
        )
    }
}

/// Does the process in `/proc/PID` run `agent`, perhaps as it was before the last build?
fn runs(process: &Path, agent: &Path) -> bool {
    // Gone meanwhile, or a kernel thread: no link.
    let Ok(exe) = fs::read_link(process.join("exe")) else {
        return false;
    };
    let exe = exe.to_string_lossy();
    Path::new(exe.strip_suffix(" (deleted)").unwrap_or(&exe)) == agent
}

/// Names and paths in `dir`, sorted; nothing where it does not exist.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let listed = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    let entries = listed.filter_map(Result::ok);
    let mut entries: Vec<_> = entries
        .map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()))
        .collect();
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests;
