//! A lab: the scratch directory and the hosts of one test or demo, and what is shown when it fails.

mod backend_death;
pub mod cli;
mod demo;
mod failover;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tempfile::TempDir;

use crate::{
    netns::Host,
    require::{self, Need},
};

/// Makes hosts, and keeps their logs and captures when the test fails.
#[derive(Debug)]
pub struct Lab {
    dir: TempDir,
}

/// Runs one test in a lab of its own. When it fails, the tail of every program's log is printed and
/// the directory with logs and captures is kept and named. Skips loudly where `needs` are not met.
///
/// # Panics
/// When the body fails.
pub fn test(needs: &[Need], body: impl FnOnce(&Lab) -> Result<()>) {
    if !require::have(Need::LAB) || !require::have(needs) {
        return;
    }
    let lab = Lab::new().expect("a scratch directory");
    let mut watch = FailureReport { lab: Some(lab) };
    let result = watch.lab.as_ref().map_or(Ok(()), body);
    if let Err(error) = result {
        panic!("{error:#}");
    }
    drop(watch.lab.take());
}

impl Lab {
    /// An empty lab.
    ///
    /// # Errors
    /// When no scratch directory can be made.
    pub fn new() -> Result<Self> {
        Ok(Self {
            dir: TempDir::with_prefix("ballast-lab-")?,
        })
    }

    /// Its scratch directory, with one directory for each host.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Prints the tail of every program's log to stderr.
    pub fn show_logs(&self) {
        for log in logs(self.dir()) {
            show_tail(&log);
        }
    }

    /// Boots a host.
    ///
    /// # Errors
    /// See [`Host::boot`].
    pub fn host(&self, name: &str) -> Result<Host> {
        Host::boot(name, &self.dir.path().join(name))
    }
}

/// Armed while a test runs: dropped with its lab, it reports, whether the test panicked or returned.
struct FailureReport {
    lab: Option<Lab>,
}

impl Drop for FailureReport {
    fn drop(&mut self) {
        let Some(lab) = self.lab.take() else { return };
        lab.show_logs();
        let dir = lab.dir.keep();
        eprintln!("logs and captures are kept in {}", dir.display());
    }
}

fn logs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn show_tail(path: &Path) {
    let text = fs::read(path)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    if lines.is_empty() {
        return;
    }
    eprintln!(
        "--- {} ({} lines), its last ones:",
        path.display(),
        lines.len()
    );
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        eprintln!("    {line}");
    }
}

const LINES_SHOWN: usize = 60;
