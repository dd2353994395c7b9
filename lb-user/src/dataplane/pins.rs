//! Where things are pinned.
//!
//! ```text
//! BPFFS_DIR/services backends service_stats backend_stats drop_stats flow_stats   for people
//! BPFFS_DIR/v<layout>/arena devices connections shared link_<ifindex>      internal
//! BPFFS_DIR/v<layout>_new/…                                             while a set is being made
//! BPFFS_DIR/realserver/…                                                not the agent's: `crate::realserver`
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lb_common::limits::LAYOUT;
use nix::sys::statfs::statfs;

/// The maps, by their names in the object and as pins. The first four are internal.
pub const MAPS: [(&str, &str); 10] = [
    ("ARENA", "arena"),
    ("DEVICES", "devices"),
    ("CONNECTIONS", "connections"),
    ("SHARED", "shared"),
    ("SERVICES", "services"),
    ("BACKENDS", "backends"),
    ("SERVICE_STATS", "service_stats"),
    ("BACKEND_STATS", "backend_stats"),
    ("DROP_STATS", "drop_stats"),
    ("FLOW_STATS", "flow_stats"),
];
const INTERNAL: usize = 4;
/// The directory beside ours that is not the agent's.
pub(crate) const REALSERVER: &str = "realserver";

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// The directory is not on a bpffs.
    #[error(
        "`{}` is not on a BPF file system; mount one with `mount -t bpf bpf /sys/fs/bpf` \
         (systemd does it at boot) or change `bpffs_dir`", .0.display()
    )]
    NotBpffs(PathBuf),
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
}

/// The pin directory of one agent.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Checks that `root` (or where it will be) is on a bpffs, and makes it.
    ///
    /// # Errors
    ///
    /// [`PinsError`]
    pub fn open(root: &Path) -> Result<Self, PinsError> {
        on_bpffs(root)?;
        let pins = Self {
            root: root.to_path_buf(),
        };
        make_dir(&pins.internal())?;
        pins.discard_staged();
        Ok(pins)
    }

    /// `BPFFS_DIR`
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn internal(&self) -> PathBuf {
        self.root.join(format!("v{LAYOUT}"))
    }

    fn staging(&self) -> PathBuf {
        self.root.join(format!("v{LAYOUT}_new"))
    }

    /// The pin of a map that is in use.
    #[must_use]
    pub fn map(&self, index: usize) -> PathBuf {
        let (_, name) = MAPS[index];
        if index < INTERNAL {
            self.internal().join(name)
        } else {
            self.root.join(name)
        }
    }

    /// The pin of a map that is being made.
    #[must_use]
    pub fn staged_map(&self, index: usize) -> PathBuf {
        self.staging().join(MAPS[index].1)
    }

    /// The pin of an interface's link.
    #[must_use]
    pub fn link(&self, ifindex: u32) -> PathBuf {
        self.internal().join(format!("link_{ifindex}"))
    }

    /// Interfaces that have a pinned link, of any layout: whoever comes next takes them over.
    #[must_use]
    pub fn links(&self) -> Vec<(u32, PathBuf)> {
        let mut found = Vec::new();
        for dir in self.entries() {
            for path in entries(&dir) {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
                if let Some(index) = name.strip_prefix("link_").and_then(|n| n.parse().ok()) {
                    found.push((index, path));
                }
            }
        }
        found
    }

    /// Makes the staging directory, empty.
    ///
    /// # Errors
    ///
    /// [`PinsError::File`]
    pub fn stage(&self) -> Result<(), PinsError> {
        self.discard_staged();
        make_dir(&self.staging())
    }

    /// Moves staged maps to their places, over what was there.
    ///
    /// # Errors
    ///
    /// [`PinsError::File`]
    pub fn commit(&self) -> Result<(), PinsError> {
        for index in 0..MAPS.len() {
            let to = self.map(index);
            remove(&to)?;
            fs::rename(self.staged_map(index), &to).map_err(|source| PinsError::File {
                what: "rename to",
                path: to,
                source,
            })?;
        }
        self.discard_staged();
        self.discard_other_layouts();
        Ok(())
    }

    /// Removes everything that is pinned, and the directories.
    pub fn remove_all(&self) {
        for dir in self.entries() {
            for path in entries(&dir) {
                ignore_missing(fs::remove_file(&path), &path);
            }
        }
        for path in self.entries() {
            let removed = if path.is_dir() {
                fs::remove_dir(&path)
            } else {
                fs::remove_file(&path)
            };
            ignore_missing(removed, &path);
        }
        if entries(&self.root).is_empty() {
            ignore_missing(fs::remove_dir(&self.root), &self.root);
        }
    }

    /// After a failed start: removes the new set of maps, and the directories if nothing else is
    /// pinned there. What a predecessor left goes on forwarding.
    pub fn discard_unused(&self) {
        self.discard_staged();
        for dir in [self.internal(), self.root.clone()] {
            if entries(&dir).is_empty() {
                ignore_missing(fs::remove_dir(&dir), &dir);
            }
        }
    }

    /// What is ours in the root.
    fn entries(&self) -> impl Iterator<Item = PathBuf> {
        entries(&self.root)
            .into_iter()
            .filter(|path| !path.ends_with(REALSERVER))
    }

    fn discard_staged(&self) {
        remove_dir(&self.staging());
    }

    fn discard_other_layouts(&self) {
        for dir in self.entries() {
            if dir.is_dir() && dir != self.internal() {
                remove_dir(&dir);
            }
        }
    }
}

/// Expects that `root` (or where it will be) is on a bpffs.
///
/// # Errors
///
/// [`PinsError::NotBpffs`]
pub(crate) fn on_bpffs(root: &Path) -> Result<(), PinsError> {
    let mut existing = root;
    while !existing.exists() {
        existing = existing.parent().unwrap_or(Path::new("/"));
    }
    match statfs(existing) {
        Ok(stat) if stat.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC => Ok(()),
        _ => Err(PinsError::NotBpffs(root.to_path_buf())),
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn remove_dir(dir: &Path) {
    for path in entries(dir) {
        ignore_missing(fs::remove_file(&path), &path);
    }
    ignore_missing(fs::remove_dir(dir), dir);
}

/// Makes a directory, its parents included.
///
/// # Errors
///
/// [`PinsError::File`]
pub(crate) fn make_dir(path: &Path) -> Result<(), PinsError> {
    fs::create_dir_all(path).map_err(|source| PinsError::File {
        what: "create",
        path: path.to_path_buf(),
        source,
    })
}

/// Removes a pin; that there is none is fine.
///
/// # Errors
///
/// [`PinsError::File`]
pub fn remove(path: &Path) -> Result<(), PinsError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(PinsError::File {
            what: "remove",
            path: path.to_path_buf(),
            source: e,
        }),
        _ => Ok(()),
    }
}

fn ignore_missing(result: io::Result<()>, path: &Path) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a pin could not be removed");
    }
}
