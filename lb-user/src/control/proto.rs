//! Pure: the lines that go over the control socket.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::observe::snapshot::Snapshot;

/// What this build speaks. A command and an agent of different builds find out by it.
pub const VERSION: u32 = 1;
/// Longest request, bytes, its line feed included.
pub const MAX_REQUEST: usize = 64 << 10;

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Everything there is to see.
    Status,
    /// Read the configuration file again.
    Reload,
    /// Where a flow would go.
    Explain {
        /// Transport protocol.
        protocol: Protocol,
        /// The client.
        source: SocketAddr,
        /// What it aims at.
        destination: SocketAddr,
    },
    /// Change a backend at run time.
    Backend {
        /// Name of its service.
        service: String,
        /// Its name.
        backend: String,
        /// What is to change.
        change: BackendChange,
    },
}

/// A transport protocol that services have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A change of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendChange {
    /// No new flows; present ones stay.
    Drain,
    /// Back to what the configuration says.
    Enable,
    /// No packets.
    Disable,
    /// Another weight.
    Weight(u16),
}

/// What the agent says to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Snapshot>),
    /// To [`Request::Reload`].
    Reloaded(Reloaded),
    /// To [`Request::Explain`].
    Explained(Box<Explanation>),
    /// To [`Request::Backend`]: it is as asked.
    Changed(Changed),
    /// The request cannot be met; nothing has changed.
    Refused {
        /// One line a reason.
        errors: Vec<String>,
    },
}

impl Reply {
    /// A refusal with one reason.
    #[must_use]
    pub fn refused(error: impl Into<String>) -> Self {
        Self::Refused {
            errors: vec![error.into()],
        }
    }
}

/// What is said about a backend now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its service.
    pub service: String,
    /// Its name.
    pub backend: String,
    /// `enabled`, `drained` or `disabled`.
    pub mode: String,
    /// The weight in force.
    pub weight: u16,
    /// Whether it was something else before.
    pub changed: bool,
    /// Since when it is other than configured (Unix time, seconds); `null`: it is as configured.
    pub since_unix: Option<u64>,
    /// What somebody should know about it.
    pub warning: Option<String>,
}

/// Services that a reload concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// New ones.
    pub added: usize,
    /// Gone ones.
    pub removed: usize,
    /// Those that are not as before.
    pub changed: usize,
    /// Those that were not touched.
    pub unchanged: usize,
}

/// Where a flow would go, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Transport protocol.
    pub protocol: Protocol,
    /// The client.
    pub source: SocketAddr,
    /// What it aims at.
    pub destination: SocketAddr,
    /// What becomes of its packets.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
    /// The service it aims at.
    pub service: Option<String>,
    /// The backend that gets it.
    pub backend: Option<String>,
    /// That backend's address and port.
    pub backend_address: Option<SocketAddr>,
    /// Hash of the flow under the service's key.
    pub hash: Option<u32>,
    /// Slot of the service's ring.
    pub slot: Option<u32>,
    /// Slots of that ring.
    pub ring_slots: Option<u32>,
    /// What else decides it: a service below quorum, backends that get no new flows.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What decided: `owner`, `turn`, `remembered`, `client` or `previous`.
    #[serde(default)]
    pub decided_by: Option<String>,
    /// The slot's last move, while flows that are older than it are looked after.
    #[serde(default)]
    pub moved: Option<Moved>,
    /// What is remembered of the flow, or of its client.
    #[serde(default)]
    pub remembered: Option<Remembered>,
}

/// A slot that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When.
    pub seconds_ago: u32,
    /// The backend that older flows stay with.
    pub from: String,
    /// The backend that new ones go to.
    pub to: String,
}

/// A flow or a client in the connection table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// How far it has got: `closing`, `opening`, `glimpsed`, `established`; a client is `newcomer` or `client`.
    pub state: String,
    /// When it is forgotten if no more of it is seen.
    pub seconds_left: u64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is sent to the backend.
    Forward,
    /// The backend is this host: it goes up the stack.
    Local,
    /// It is dropped.
    Drop,
    /// It is none of ours: it goes up the stack.
    Pass,
}

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is no JSON, or says something unknown.
    #[error("not a message of the control protocol: {0}")]
    Json(#[from] serde_json::Error),
    /// The other end is of another build.
    #[error(
        "the running ballast speaks version {theirs} of the control protocol, this one {VERSION}; use the same build for both"
    )]
    Version {
        /// What it speaks.
        theirs: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    version: u32,
    body: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// A line, with its line feed.
///
/// # Errors
/// The message has no JSON form.
pub fn encode<T: Serialize>(body: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(&Line {
        version: VERSION,
        body,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// The message of a line, with or without its line feed.
///
/// # Errors
/// [`DecodeError`]
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, DecodeError> {
    // The version first: what else is in a line of another version is not ours to judge.
    let VersionOnly { version } = serde_json::from_slice(line)?;
    if version != VERSION {
        return Err(DecodeError::Version { theirs: version });
    }
    Ok(serde_json::from_slice::<Line<T>>(line)?.body)
}
