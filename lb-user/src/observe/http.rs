//! The listener for `/metrics` and `/api/status`.
//!
//! [`Server::run`] is one future that holds the listening socket and all connections; dropping it ends them. It never has anything
//! but what the agent's loop gave it: a [`Snapshot`], asked for through [`Asked`] at most once in [`FRESH`] however many clients there
//! are, and written out on a thread of its own. At most [`CONNECTIONS`] clients are served at a time, one request each, each within
//! [`HEAD_LIMIT`] and [`LIMIT`]; others wait in the backlog.
//!
//! A place that cannot be had (yet) is tried again every [`AGAIN`]; the agent is told why, and goes on.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::source::Source;
use super::snapshot::Snapshot;

mod respond;
mod source;

#[cfg(test)]
mod tests;

/// The agent is asked for a snapshot.
#[derive(Debug)]
pub struct Asked(oneshot::Sender<Snapshot>);

impl Asked {
    /// Here it is. Nothing happens if nobody waits for it any more.
    pub fn answer(self, snapshot: Snapshot) {
        drop(self.0.send(snapshot));
    }
}

/// Where it is to listen, and why it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// `None`: it does.
    pub problem: Option<String>,
}

/// The agent's end.
#[derive(Debug)]
pub struct Listener {
    wanted: watch::Sender<Option<SocketAddr>>,
    state: watch::Receiver<State>,
    asked: mpsc::Receiver<Asked>,
}

impl Listener {
    /// It is to listen here from now on. Connections to where it listened before are served to their end.
    pub fn listen(&self, wanted: Option<SocketAddr>) {
        self.wanted.send_if_modified(|old| {
            let modified = *old != wanted;
            *old = wanted;
            modified
        });
    }

    /// How that goes.
    #[must_use]
    pub fn state(&self) -> State {
        let wanted = *self.wanted.borrow();
        let state = self.state.borrow().clone();
        let problem = if state.listen == wanted {
            state.problem
        } else {
            Some("not yet".to_owned())
        };
        State {
            listen: wanted,
            problem: problem.filter(|_| wanted.is_some()),
        }
    }

    /// Waits until somebody wants a snapshot. Cancel safe.
    pub async fn asked(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

/// The listener itself; see [`Server::run`].
#[derive(Debug)]
pub struct Server {
    wanted: watch::Receiver<Option<SocketAddr>>,
    state: watch::Sender<State>,
    source: Source,
}

/// A listener that listens nowhere yet, and the agent's end of it.
#[must_use]
pub fn listener() -> (Server, Listener) {
    let (wanted, wanted_here) = watch::channel(None);
    let (state, state_there) = watch::channel(State::default());
    // One: the source asks no more at a time.
    let (ask, asked) = mpsc::channel(1);
    let server = Server {
        wanted: wanted_here,
        state,
        source: Source::new(ask),
    };
    let listener = Listener {
        wanted,
        state: state_there,
        asked,
    };
    (server, listener)
}

impl Server {
    /// Serves until cancelled, or until the agent's end is gone.
    pub async fn run(mut self, cancel: CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.serve() => {}
        }
    }

    async fn serve(&mut self) {
        let source = Arc::new(self.source.clone());
        let mut connections = FuturesUnordered::new();
        let mut place: Option<TcpListener> = None;
        self.wanted.mark_changed();
        loop {
            let listen = *self.wanted.borrow();
            let accepts = connections.len() < CONNECTIONS;
            // All arms are cancel safe: `accept` loses no connection, the others are only waited for.
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Before: two places can overlap.
                    drop(place.take());
                    place = self.bind().await;
                }
                () = sleep(AGAIN), if place.is_none() && listen.is_some() => place = self.bind().await,
                accepted = accept(place.as_ref()), if accepts && place.is_some() => match accepted {
                    Ok(stream) => connections.push(connection(stream, Arc::clone(&source))),
                    Err(error) => {
                        tracing::warn!(%error, "a connection for metrics was not accepted");
                        sleep(PAUSE).await;
                    }
                },
                Some(()) = connections.next() => {}
            }
        }
    }

    /// Takes the wanted place, if it can be had, and tells if that is news.
    async fn bind(&self) -> Option<TcpListener> {
        let listen = *self.wanted.borrow();
        let (place, problem) = match listen {
            None => (None, None),
            Some(at) => match TcpListener::bind(at).await {
                Ok(place) => (Some(place), None),
                Err(error) => (None, Some(remedy(&error))),
            },
        };
        let state = State { listen, problem };
        if *self.state.borrow() != state {
            match (&state.listen, &state.problem) {
                (Some(listen), Some(error)) => {
                    tracing::error!(%listen, %error, "no metrics: cannot listen; trying again");
                }
                (Some(listen), None) => tracing::info!(%listen, "listening for metrics"),
                (None, _) => tracing::info!("not listening for metrics any more"),
            }
            self.state.send_replace(state);
        }
        place
    }
}

/// Why a place cannot be had, and what to do.
fn remedy(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program listens there; change `observability.listen`"
        }
        io::ErrorKind::AddrNotAvailable => ": this host does not have that address",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    };
    // The kernel's words, without the number.
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("{}{hint}", text.to_lowercase())
}

async fn accept(place: Option<&TcpListener>) -> io::Result<TcpStream> {
    match place {
        Some(place) => place.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// One request, one answer.
async fn connection(stream: TcpStream, source: Arc<Source>) {
    let service = service_fn(|request| respond::respond(request, &source));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_headers(HEADERS)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(LIMIT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client of the metrics went away"),
        Err(_) => tracing::debug!("a client of the metrics took too long"),
    }
}

/// Clients served at one time.
const CONNECTIONS: usize = 8;
/// How long a client may take to ask.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// How long a client may take in all.
const LIMIT: Duration = Duration::from_secs(30);
/// Lines of a request at most.
const HEADERS: usize = 64;
/// Bytes of a request at most, and the buffer of an answer.
const HEAD: usize = 16 << 10;
/// How old a snapshot may be.
const FRESH: Duration = Duration::from_millis(200);
/// How long the agent may take to give one.
const AGENT_LIMIT: Duration = Duration::from_secs(5);
/// When a place that cannot be had is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long nothing is accepted when there is a shortage.
const PAUSE: Duration = Duration::from_millis(100);
