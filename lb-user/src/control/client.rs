//! The command line's end of the control socket. Blocking: a command has nothing else to do.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::proto::{self, DecodeError, Reply, Request};

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens (exit code 5).
    #[error("ballast is not running (nobody listens on `{}`)", .0.display())]
    NotRunning(PathBuf),
    /// The socket is root's (exit code 4).
    #[error("not permitted to use `{}`; run as root", .0.display())]
    NotPermitted(PathBuf),
    /// The agent took the request and did not answer in time.
    #[error("ballast did not answer within {} seconds", REPLY_LIMIT.as_secs())]
    TimedOut,
    /// The agent went away over the request.
    #[error("ballast closed the connection without an answer; it may be stopping")]
    Closed,
    /// Something else about the socket.
    #[error("cannot talk to ballast over `{}`", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Asks the agent behind `socket`.
///
/// # Errors
/// [`AskError`]
pub fn ask(socket: &Path, request: &Request) -> Result<Reply, AskError> {
    let line = proto::encode(request).map_err(DecodeError::from)?;
    let reply = exchange(socket, &line).map_err(|error| classify(socket, error))?;
    match reply.last() {
        Some(b'\n') => Ok(proto::decode(&reply)?),
        _ => Err(AskError::Closed),
    }
}

fn exchange(socket: &Path, line: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(WRITE_LIMIT))?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    stream.write_all(line)?;
    let mut reply = Vec::new();
    BufReader::new(stream).read_until(b'\n', &mut reply)?;
    Ok(reply)
}

fn classify(socket: &Path, error: io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning(socket.to_owned())
        }
        io::ErrorKind::PermissionDenied => AskError::NotPermitted(socket.to_owned()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::TimedOut,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => AskError::Closed,
        _ => AskError::Io {
            path: socket.to_owned(),
            source: error,
        },
    }
}

/// How long the agent may take to accept a request.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to answer: a reload waits for next hops.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
