//! What was changed, so that exactly that can be undone: `RUNTIME_DIR/realserver/record.json`.
//!
//! The lock is on the directory, and not on `RUNTIME_DIR`, whose lock makes a process *the* agent.
//!
//! An entry is written before the change it is about. Undoing looks whether the change is there, so an
//! entry whose change never came does no harm.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::runtime_file;

/// The record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file operation failed.
    #[error("cannot {what} `{}`", path.display())]
    File {
        /// The operation.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what we write.
    #[error(
        "`{}` cannot be read; if nothing of `ballast realserver` is up any more, remove it",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The boot it is about: addresses and sysctls do not outlive one.
    boot: String,
    /// Whether the directory of this file was made for it.
    made_dir: bool,
    /// The virtual addresses that are up.
    pub(super) vips: BTreeMap<IpAddr, Vip>,
    /// Oldest first.
    pub(super) sysctls: Vec<Change>,
    /// The end of the tunnel.
    pub(super) tunnel: Option<Tunnel>,
}

/// A virtual address; whether we added it, its mark on `lo` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Vip {
    /// It is reached by tunnel.
    pub(super) tunnel: bool,
}

/// A sysctl that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    /// Path below `/proc/sys`.
    pub(super) key: String,
    /// As we found it.
    pub(super) before: i64,
    /// As we left it.
    pub(super) after: i64,
}

/// Who takes packets out of the tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tunnel {
    /// Our program; what it has is in its maps.
    Xdp,
    /// Devices of the kernel.
    Kernel(Devices),
}

/// The kernel's tunnel devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Devices {
    /// Outer sources; empty: everybody.
    pub(super) sources: Vec<IpNet>,
    /// Devices we made.
    pub(super) made: Vec<String>,
    /// Devices we set up that were there.
    pub(super) raised: Vec<String>,
    /// Modules that came with them.
    pub(super) modules: Vec<String>,
}

/// The record in its place, locked: one `ballast realserver` at a time.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) record: Record,
    runtime_dir: PathBuf,
    made_dir: bool,
    _lock: File,
}

impl Kept {
    /// Waits for its turn and reads the record of this boot; makes the directory where there is none.
    pub(super) fn open(runtime_dir: &Path) -> Result<Self, RecordError> {
        let made_dir = !runtime_dir.exists();
        let lock = lock(&runtime_dir.join(DIR))?;
        Ok(Self {
            record: read(runtime_dir)?,
            runtime_dir: runtime_dir.to_path_buf(),
            made_dir,
            _lock: lock,
        })
    }

    /// Writes the record; one of nothing is no file.
    pub(super) fn save(&mut self) -> Result<(), RecordError> {
        let path = path(&self.runtime_dir);
        if self.record.is_empty() {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(file("remove", &path, e));
                }
                _ => return Ok(()),
            }
        }
        self.record.boot = runtime_file::boot();
        self.record.made_dir |= self.made_dir;
        let text = serde_json::to_vec_pretty(&self.record).expect("it is all strings and numbers");
        runtime_file::replace(&path, &text).map_err(|e| file("write", &path, e))
    }

    /// Leaves no directory behind that was made for a record that is gone.
    pub(super) fn close(self) {
        if self.record.is_empty() {
            // Whoever put something in there meanwhile keeps it.
            let gone = fs::remove_dir(self.runtime_dir.join(DIR)).is_ok();
            if gone && (self.made_dir || self.record.made_dir) {
                drop(fs::remove_dir(&self.runtime_dir));
            }
        }
    }
}

/// Makes the directory and locks it. Who had the lock before may have removed the directory.
fn lock(dir: &Path) -> Result<File, RecordError> {
    loop {
        fs::create_dir_all(dir).map_err(|e| file("create", dir, e))?;
        let Ok(directory) = File::open(dir) else {
            continue;
        };
        directory.lock().map_err(|e| file("lock", dir, e))?;
        let locked = directory.metadata().map_err(|e| file("look at", dir, e))?;
        if fs::metadata(dir).is_ok_and(|there| there.ino() == locked.ino()) {
            return Ok(directory);
        }
    }
}

impl Record {
    fn is_empty(&self) -> bool {
        self.vips.is_empty() && self.sysctls.is_empty() && self.tunnel.is_none()
    }

    /// Whether a virtual address is reached by tunnel.
    pub(super) fn has_tunnels(&self) -> bool {
        self.vips.values().any(|vip| vip.tunnel)
    }
}

/// The record of this boot; that of an earlier one is about nothing any more.
pub(super) fn read(runtime_dir: &Path) -> Result<Record, RecordError> {
    let path = path(runtime_dir);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
        Err(e) => return Err(file("read", &path, e)),
    };
    let record: Record =
        serde_json::from_slice(&text).map_err(|source| RecordError::Unreadable { path, source })?;
    if record.boot == runtime_file::boot() {
        Ok(record)
    } else {
        Ok(Record::default())
    }
}

fn file(what: &'static str, path: &Path, source: io::Error) -> RecordError {
    RecordError::File {
        what,
        path: path.to_path_buf(),
        source,
    }
}

fn path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(DIR).join("record.json")
}

const DIR: &str = "realserver";

#[cfg(test)]
mod tests;
