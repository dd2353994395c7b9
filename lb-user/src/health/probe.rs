//! One attempt to reach a backend, and its outcome.
//!
//! An attempt ends by its deadline, keeps a bounded amount of what it is sent, and turns whatever happens into an [`Outcome`] with a
//! printable reason. Dropping its future closes its socket.

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;

use self::failure::Failure;
use super::{
    target::{Target, What},
    text::Text,
};
use crate::config::model::ScriptProbe;

mod blame;
mod failure;

mod socket;

mod tcp;

mod tls;

mod http;

mod udp;

mod dns;

mod ping;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend answered as it should.
    Good(Text),
    /// It did not.
    Bad(Text),
    /// Something of ours failed: nothing is known about the backend.
    Inconclusive(Text),
}

impl Outcome {
    /// What there is to say.
    #[must_use]
    pub fn text(&self) -> &Text {
        match self {
            Self::Good(text) | Self::Bad(text) | Self::Inconclusive(text) => text,
        }
    }

    /// The word for logs and `status`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Bad(_) => "bad",
            Self::Inconclusive(_) => "inconclusive",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.text())
    }
}

/// Makes attempts.
pub trait Prober: Send + Sync + 'static {
    /// One attempt, which ends by `deadline`. Dropping the future ends it early.
    fn attempt(
        &self,
        target: Arc<Target>,
        deadline: Instant,
    ) -> impl Future<Output = Outcome> + Send + 'static;
}

/// Runs the programs of script checks.
pub trait RunScript: Send + Sync + 'static {
    /// Runs it for the backend `at`, for at most `timeout`. What kept it from running is [`Outcome::Inconclusive`]. Dropping the future
    /// kills it.
    fn run(
        &self,
        script: &ScriptProbe,
        at: SocketAddr,
        timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;
}

/// Makes attempts over the network.
#[derive(Clone)]
pub struct Network {
    tls: Arc<RwLock<tls::Clients>>,
    scripts: Option<Arc<dyn RunScript>>,
}

impl Network {
    /// Reads the host's root certificates. Without `scripts`, script checks are inconclusive.
    #[must_use]
    pub fn new(scripts: Option<Arc<dyn RunScript>>) -> Self {
        Self {
            tls: Arc::new(RwLock::new(tls::Clients::load())),
            scripts,
        }
    }

    /// Reads the host's root certificates again.
    pub fn refresh(&self) {
        let clients = tls::Clients::load();
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    /// Trusts only these roots, in DER, in place of the host's.
    #[must_use]
    pub fn with_roots(roots: Vec<Vec<u8>>) -> Self {
        Self {
            tls: Arc::new(RwLock::new(tls::Clients::with_roots(roots))),
            scripts: None,
        }
    }
}

impl Prober for Network {
    fn attempt(
        &self,
        target: Arc<Target>,
        deadline: Instant,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let network = self.clone();
        async move {
            let result = match &target.what {
                What::Tcp => tcp::attempt(&target, deadline).await,
                What::Http(http) => {
                    let clients = network
                        .tls
                        .read()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    http::attempt(&target, http, &clients, deadline).await
                }
                What::Dns(question) => dns::attempt(&target, question, deadline).await,
                What::Udp { payload, reply } => {
                    udp::attempt(&target, &payload.0, reply.as_ref(), deadline).await
                }
                What::Ping => ping::attempt(&target, deadline).await,
                What::Script(script) => {
                    return match &network.scripts {
                        Some(scripts) => {
                            let timeout = deadline.saturating_duration_since(Instant::now());
                            scripts.run(script, target.at, timeout).await
                        }
                        None => Outcome::Inconclusive(Text::new("nobody runs scripts here")),
                    };
                }
            };
            match result {
                Ok(text) => Outcome::Good(text),
                Err(Failure::Theirs(text)) => Outcome::Bad(text),
                Err(Failure::Ours(text)) => Outcome::Inconclusive(text),
            }
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
