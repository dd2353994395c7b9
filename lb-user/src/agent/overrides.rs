//! What the operator said about backends at run time, kept in `runtime_dir` over reloads, restarts and
//! crashes.
//!
//! One small JSON file. For a `runtime_dir` that is not on a tmpfs it says in which boot it was written:
//! after a reboot it counts for nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::model::{BackendKey, Protocol, ServiceKey},
    health::{
        Subject,
        service::{Mode, Override},
    },
    runtime_file,
    types::Weight,
};

#[cfg(test)]
mod tests;

/// The file, and what is in it.
pub(super) struct Overrides {
    path: PathBuf,
    boot: String,
    kept: BTreeMap<Subject, Kept>,
}

/// What the operator said about one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// What.
    pub(super) asked: Override,
    /// When it became what it is; Unix time, seconds.
    pub(super) since_unix: u64,
}

/// Why a file is ignored.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not what ballast wrote: {0}")]
    Json(#[from] serde_json::Error),
    #[error("of version {0}, this ballast writes version {VERSION}")]
    Version(u32),
    #[error("longer than {MAX_FILE} bytes")]
    TooLong,
}

impl Overrides {
    /// Reads what a predecessor left. A file that cannot be read is reported and ignored.
    pub(super) fn load(runtime_dir: &Path) -> Self {
        let path = runtime_dir.join(FILE);
        let boot = runtime_file::boot();
        let kept = read(&path, &boot).unwrap_or_else(|error| {
            tracing::error!(
                path = %path.display(), %error,
                "what operators said about backends is lost; say it again (`ballast backend …`)"
            );
            BTreeMap::new()
        });
        Self { path, boot, kept }
    }

    /// What was said about a backend.
    pub(super) fn get(&self, subject: Subject) -> Option<Kept> {
        self.kept.get(&subject).copied()
    }

    /// All that was said.
    pub(super) fn all(&self) -> BTreeMap<Subject, Override> {
        let all = self.kept.iter();
        all.map(|(subject, kept)| (*subject, kept.asked)).collect()
    }

    /// Notes what is said now. Whether it is something new.
    ///
    /// # Errors
    /// The file cannot be written; nothing has changed.
    pub(super) fn put(
        &mut self,
        subject: Subject,
        asked: Override,
        since_unix: u64,
    ) -> io::Result<bool> {
        let before = self.get(subject).map(|kept| kept.asked).unwrap_or_default();
        if before == asked {
            return Ok(false);
        }
        let mut kept = self.kept.clone();
        if asked == Override::default() {
            kept.remove(&subject);
        } else {
            kept.insert(subject, Kept { asked, since_unix });
        }
        self.replace(kept)?;
        Ok(true)
    }

    /// Forgets backends that are not among these.
    pub(super) fn retain(&mut self, known: impl Fn(Subject) -> bool) {
        if self.kept.keys().all(|subject| known(*subject)) {
            return;
        }
        let mut kept = self.kept.clone();
        kept.retain(|subject, _| known(*subject));
        if let Err(error) = self.replace(kept) {
            tracing::warn!(path = %self.path.display(), %error, "what was said about removed backends stays in the file");
        }
    }

    fn replace(&mut self, kept: BTreeMap<Subject, Kept>) -> io::Result<()> {
        let text = render(&kept, &self.boot)?;
        runtime_file::replace(&self.path, &text)?;
        self.kept = kept;
        Ok(())
    }
}

fn read(path: &Path, boot: &str) -> Result<BTreeMap<Subject, Kept>, ReadError> {
    let length = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        metadata => metadata?.len(),
    };
    if length > MAX_FILE {
        return Err(ReadError::TooLong);
    }
    parse(&fs::read(path)?, boot)
}

fn parse(text: &[u8], boot: &str) -> Result<BTreeMap<Subject, Kept>, ReadError> {
    // The version first: what else is in a file of another version is not ours to judge.
    let VersionOnly { version } = serde_json::from_slice(text)?;
    if version != VERSION {
        return Err(ReadError::Version(version));
    }
    let document: Document = serde_json::from_slice(text)?;
    if document.boot_id != boot {
        return Ok(BTreeMap::new());
    }
    Ok(document.backends.into_iter().map(Entry::kept).collect())
}

fn render(kept: &BTreeMap<Subject, Kept>, boot: &str) -> io::Result<Vec<u8>> {
    let document = Document {
        version: VERSION,
        boot_id: boot.to_owned(),
        backends: kept.iter().map(|(s, k)| Entry::new(*s, *k)).collect(),
    };
    Ok(serde_json::to_vec_pretty(&document)?)
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    boot_id: String,
    backends: Vec<Entry>,
}

/// Services and backends by what identifies them, so that new names change nothing.
#[derive(Serialize, Deserialize)]
struct Entry {
    service_address: IpAddr,
    service_port: NonZeroU16,
    protocol: Transport,
    address: IpAddr,
    port: NonZeroU16,
    mode: Asked,
    weight: Option<u16>,
    since_unix: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Transport {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Enabled,
    Drain,
    Disabled,
}

impl Entry {
    fn new(subject: Subject, kept: Kept) -> Self {
        Self {
            service_address: subject.service.address,
            service_port: subject.service.port,
            protocol: match subject.service.protocol {
                Protocol::Tcp => Transport::Tcp,
                Protocol::Udp => Transport::Udp,
            },
            address: subject.backend.address,
            port: subject.backend.port,
            mode: match kept.asked.mode {
                Mode::Enabled => Asked::Enabled,
                Mode::Drain => Asked::Drain,
                Mode::Disabled => Asked::Disabled,
            },
            weight: kept.asked.weight.map(Weight::get),
            since_unix: kept.since_unix,
        }
    }

    fn kept(self) -> (Subject, Kept) {
        let subject = Subject {
            service: ServiceKey {
                address: self.service_address,
                port: self.service_port,
                protocol: match self.protocol {
                    Transport::Tcp => Protocol::Tcp,
                    Transport::Udp => Protocol::Udp,
                },
            },
            backend: BackendKey {
                address: self.address,
                port: self.port,
            },
        };
        let asked = Override {
            mode: match self.mode {
                Asked::Enabled => Mode::Enabled,
                Asked::Drain => Mode::Drain,
                Asked::Disabled => Mode::Disabled,
            },
            weight: self.weight.map(Weight::new),
        };
        let since_unix = self.since_unix;
        (subject, Kept { asked, since_unix })
    }
}

/// In `runtime_dir`.
const FILE: &str = "overrides.json";
const VERSION: u32 = 1;
/// Room for every backend there can be.
const MAX_FILE: u64 = 64 << 20;
