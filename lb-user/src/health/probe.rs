//! One attempt to reach a backend, and its outcome.
//!
//! An attempt ends by its deadline, keeps a bounded amount of what it is sent, and turns whatever happens into an [`Outcome`] with a
//! printable reason. Dropping its future closes its socket.

use std::{
    fmt,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::time::Instant;

use self::failure::Failure;
use super::{
    target::{Target, What},
    text::Text,
};

mod blame;
mod failure;

mod socket;

mod tcp;

mod tls;

mod http;

mod udp;

mod dns;

mod ping;

mod script;

#[cfg(test)]
mod tests;

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

/// Makes attempts over the network.
#[derive(Clone)]
pub struct Network {
    tls: Arc<RwLock<tls::Clients>>,
}

impl Network {
    /// Reads the host's root certificates, which blocks on files.
    #[must_use]
    pub fn new() -> Self {
        Self::of(tls::Clients::load())
    }

    /// Trusts only these roots, in DER, in place of the host's.
    #[must_use]
    pub fn with_roots(roots: Vec<Vec<u8>>) -> Self {
        Self::of(tls::Clients::with_roots(roots))
    }

    fn of(clients: tls::Clients) -> Self {
        Self {
            tls: Arc::new(RwLock::new(clients)),
        }
    }

    /// Reads the host's root certificates again.
    pub fn refresh(&self) {
        let clients = tls::Clients::load();
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    fn clients(&self) -> tls::Clients {
        let clients = self.tls.read();
        clients.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
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
                    http::attempt(&target, http, &network.clients(), deadline).await
                }
                What::Dns(question) => dns::attempt(&target, question, deadline).await,
                What::Udp { payload, reply } => {
                    udp::attempt(&target, &payload.0, reply.as_ref(), deadline).await
                }
                What::Ping => ping::attempt(&target, deadline).await,
                What::Script(script) => script::attempt(script, deadline).await,
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
