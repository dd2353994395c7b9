//! The agent's end of the control socket.
//!
//! [`serve`] is one future that holds all connections; dropping it ends them. It only carries
//! requests to the agent's loop and replies back, so a client that hangs holds up nobody but, at
//! [`CONNECTIONS`] of them, other clients, and each for at most [`CLIENT_LIMIT`] at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::{
    SOCKET,
    proto::{self, Reply, Request},
};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// There is an agent already.
    #[error("another ballast is running{}", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Taken {
        /// Its process id, if it can be told.
        pid: Option<i32>,
    },
    /// The directory or the socket cannot be had.
    #[error("cannot make the control socket `{}`", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why the control socket broke down.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Connections cannot be accepted any more.
    #[error("the control socket takes no connections any more")]
    Accept(#[source] io::Error),
}

/// A request that waits for its reply.
#[derive(Debug)]
pub struct Pending {
    /// What is asked.
    pub request: Request,
    /// Where the reply goes; dropped, it tells the client that the agent is stopping.
    pub reply: oneshot::Sender<Reply>,
}

/// The listening socket; dropping it removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Locked as long as it is open: whoever holds the directory's lock is *the* agent. The kernel
    /// unlocks for a killed one, so a file that stayed behind is known to be dead.
    _directory: File,
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket's file was gone already");
        }
    }
}

/// Makes the socket in an existing `runtime_dir`, for root alone.
///
/// # Errors
/// [`BindError`]
///
/// # Panics
/// Outside of a tokio runtime with I/O.
pub fn bind(runtime_dir: &Path) -> Result<Listener, BindError> {
    bind_at(runtime_dir, &runtime_dir.join(SOCKET))
}

/// The same with the socket elsewhere. It is still one agent for each `runtime_dir`.
///
/// # Errors
/// As [`bind`].
pub fn bind_at(runtime_dir: &Path, path: &Path) -> Result<Listener, BindError> {
    let path = path.to_owned();
    let error = |source| BindError::Io {
        path: path.clone(),
        source,
    };
    let directory = File::open(runtime_dir).map_err(error)?;
    match directory.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(BindError::Taken {
                pid: listener_pid(&path),
            });
        }
        Err(TryLockError::Error(source)) => return Err(error(source)),
    }
    let socket = listen(&path).map_err(error)?;
    Ok(Listener {
        socket,
        path: path.clone(),
        _directory: directory,
    })
}

/// Binds, restricts, and only then listens: at no time can anybody else connect.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(
        std::os::fd::OwnedFd::from(socket),
    ))
}

/// Who listens on `path`. 0 is a process of another pid namespace, which has no number here.
fn listener_pid(path: &Path) -> Option<i32> {
    let stream = std::os::unix::net::UnixStream::connect(path).ok()?;
    let pid = getsockopt(&stream, PeerCredentials).ok()?.pid();
    (pid > 0).then_some(pid)
}

/// Carries requests until it is cancelled; then the socket's file is removed.
///
/// # Errors
/// [`ServeError`]
pub async fn serve(
    listener: Listener,
    requests: mpsc::Sender<Pending>,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let mut connections = FuturesUnordered::new();
    loop {
        // All arms are cancel safe: `accept` loses no connection, the others are only awaited on.
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            accepted = listener.socket.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => connections.push(connection(stream, requests.clone())),
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "a connection to the control socket was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(ServeError::Accept(error)),
            },
            Some(ended) = connections.next() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a client of the control socket went away");
                }
            }
        }
    }
}

/// Errors of one connection, or of a shortage that may pass.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNABORTED | libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
    )
}

/// One request, one reply.
async fn connection(mut stream: UnixStream, requests: mpsc::Sender<Pending>) -> io::Result<()> {
    let reply = match tokio::time::timeout(CLIENT_LIMIT, read_line(&mut stream)).await {
        Err(_) => Reply::refused(format!(
            "no request came within {} s",
            CLIENT_LIMIT.as_secs()
        )),
        // A probe for life that sends nothing gets nothing.
        Ok(line) if line.as_ref().is_ok_and(Vec::is_empty) => return Ok(()),
        Ok(line) => answer(&line?, &requests).await,
    };
    let line = proto::encode(&reply)?;
    tokio::time::timeout(CLIENT_LIMIT, stream.write_all(&line)).await?
}

/// Up to a line feed, the end of the stream, or one byte more than is allowed.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream)
        .take(MAX_READ)
        .read_until(b'\n', &mut line)
        .await?;
    Ok(line)
}

async fn answer(line: &[u8], requests: &mpsc::Sender<Pending>) -> Reply {
    if line.len() > proto::MAX_REQUEST {
        return Reply::refused(format!(
            "the request is longer than {} bytes",
            proto::MAX_REQUEST
        ));
    }
    let request = match proto::decode(line) {
        Ok(request) => request,
        Err(error) => return Reply::refused(error.to_string()),
    };
    let stopping = || Reply::refused("ballast is stopping");
    let (reply, answer) = oneshot::channel();
    if requests.send(Pending { request, reply }).await.is_err() {
        return stopping();
    }
    answer.await.unwrap_or_else(|_| stopping())
}

/// Connections served at one time; more wait in the backlog.
const CONNECTIONS: usize = 16;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;
/// How long a client may take for its request, and again for taking the reply.
const CLIENT_LIMIT: Duration = Duration::from_secs(5);
/// How long nothing is accepted when there is a shortage.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_READ: u64 = proto::MAX_REQUEST as u64 + 1;
