//! What an agent that was killed leaves for the next: the role of each virtual router, and when it
//! last spoke.
//!
//! One small file for each router in `runtime_dir/vrrp/`, one line of fixed width, overwritten in
//! place: `master 0000012345.678901234 120`, seconds of `CLOCK_BOOTTIME` and the effective priority. An agent that begins before any
//! peer can have missed its predecessor's adverts goes on as master, and nobody notices.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use super::machine::Role;
use crate::{
    config::model::VrrpInstance,
    types::{InstanceName, Priority},
};

#[cfg(test)]
mod tests;

/// The directory of all records.
#[derive(Clone, Debug)]
pub struct Records {
    dir: PathBuf,
}

/// The record of one router.
#[derive(Debug)]
pub struct Record {
    file: Option<File>,
    role: Role,
}

/// What a predecessor left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// It was master.
    pub master: bool,
    /// The time since its last advert.
    pub silent: Duration,
    /// What its tracking made of its priority.
    pub priority: Option<Priority>,
}

impl Records {
    /// In this `runtime_dir`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(runtime_dir: &Path) -> io::Result<Self> {
        let dir = runtime_dir.join(DIRECTORY);
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// What was left of a router, and the record to go on with. Without a file (a full disk) the
    /// router works, and a restart is a change of role.
    #[must_use]
    pub fn router(&self, name: &InstanceName) -> (Option<Left>, Record) {
        let path = self.path(name);
        let left = self.left(name);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path);
        if let Err(error) = &file {
            tracing::warn!(path = %path.display(), %error, "the role cannot be recorded: a restart will change it");
        }
        let record = Record {
            file: file.ok(),
            role: Role::Initialize,
        };
        (left, record)
    }

    fn left(&self, name: &InstanceName) -> Option<Left> {
        let line = std::fs::read_to_string(self.path(name)).ok()?;
        parse(&line, boot_time())
    }

    /// Forgets a router.
    pub fn remove(&self, name: &InstanceName) {
        // Nothing there is as good as nothing left.
        drop(std::fs::remove_file(self.path(name)));
    }

    fn path(&self, name: &InstanceName) -> PathBuf {
        // A name may hold slashes; a file's may not. `%` keeps the two apart.
        let name = name.as_str().replace('%', "%25").replace('/', "%2f");
        self.dir.join(format!("{name}.role"))
    }
}

impl Left {
    /// Whether the role can be taken up as if nothing had been: the least that a peer waits is three
    /// intervals, and its skew.
    #[must_use]
    pub fn can_resume(self, interval: Duration) -> bool {
        self.master && self.silent < 3 * interval
    }
}

impl Record {
    /// Notes role and effective priority, and that an advert was sent just now.
    pub fn note(&mut self, role: Role, priority: Priority) {
        // Only a master's time matters.
        if role != Role::Master && role == self.role {
            return;
        }
        self.role = role;
        if let Some(file) = &self.file {
            let line = render(role, boot_time(), priority);
            if let Err(error) = file.write_all_at(line.as_bytes(), 0) {
                tracing::warn!(%error, "the role cannot be recorded: a restart will change it");
                self.file = None;
            }
        }
    }
}

/// Whether one of these routers was master so shortly ago that no peer can know that it is gone. Looks
/// only.
#[must_use]
pub fn can_resume(runtime_dir: &Path, instances: &[VrrpInstance]) -> bool {
    let records = Records {
        dir: runtime_dir.join(DIRECTORY),
    };
    instances.iter().any(|instance| {
        records
            .left(&instance.name)
            .is_some_and(|left| left.can_resume(instance.advertisement_interval))
    })
}

/// Forgets all routers: none goes on with its role.
pub fn forget_all(runtime_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(runtime_dir.join(DIRECTORY)) else {
        return;
    };
    for entry in entries.flatten() {
        if let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a role cannot be forgotten");
        }
    }
}

fn render(role: Role, at: Duration, priority: Priority) -> String {
    let role = if role == Role::Master {
        "master"
    } else {
        "backup"
    };
    let (seconds, nanoseconds) = (at.as_secs(), at.subsec_nanos());
    format!(
        "{role} {seconds:010}.{nanoseconds:09} {:03}\n",
        priority.get()
    )
}

fn parse(line: &str, now: Duration) -> Option<Left> {
    let mut words = line.split_whitespace();
    let (role, at) = (words.next()?, words.next()?);
    let priority = words
        .next()
        .and_then(|word| Priority::new(word.parse().ok()?));
    let (seconds, nanoseconds) = at.split_once('.')?;
    let at = Duration::new(seconds.parse().ok()?, 0)
        + Duration::from_nanos(nanoseconds.parse().ok().filter(|n| *n < 1_000_000_000)?);
    Some(Left {
        master: role == "master",
        // From the future: another boot.
        silent: now.checked_sub(at)?,
        priority,
    })
}

/// Time since the start of the machine, sleep included.
#[must_use]
pub fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

const DIRECTORY: &str = "vrrp";
