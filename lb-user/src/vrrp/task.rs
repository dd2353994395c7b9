//! The thread of VRRP: nothing else runs on it, so nothing else can delay an advert.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    engine::{Command, Ends, Engine, Setup},
    last_word,
    machine::Role,
    realtime,
    record::{self, Records},
    track::{Input, State},
    view::{Notice, Roles, View},
};
use crate::{
    net::{Net, chain, monitor::Monitor},
    types::InstanceName,
};

/// The agent's end of the thread.
#[derive(Debug)]
pub struct Vrrp {
    commands: mpsc::UnboundedSender<Command>,
    /// Roles, peers, and how a stop goes on.
    pub roles: watch::Receiver<Roles>,
    /// What the operator's scripts are to be told.
    pub notices: mpsc::UnboundedReceiver<Notice>,
    /// Why the thread ended, if it did by itself.
    pub ended: oneshot::Receiver<String>,
    runtime_dir: PathBuf,
    /// What the routers were last told to be.
    setup: Setup,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    gone: Receiver<()>,
}

/// How the roles were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// There was nothing to give up.
    NoMaster,
    /// Peers have taken over.
    Taken,
    /// Nobody did, in the time that any peer needs.
    NotTaken,
    /// The thread is gone or does not answer. Peers were told; addresses and routes are where they were.
    Failed,
}

/// VRRP could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No directory for what a restart needs.
    #[error("cannot make a directory for roles in `runtime_dir`")]
    Records(#[source] std::io::Error),
    /// No thread.
    #[error("cannot start the thread of VRRP")]
    Thread(#[source] std::io::Error),
    /// The thread could not begin its work.
    #[error("{0}")]
    Begin(String),
}

impl Vrrp {
    /// Starts the thread, in the network namespace of this one.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(runtime_dir: &Path) -> Result<Self, StartError> {
        let records = Records::open(runtime_dir).map_err(StartError::Records)?;
        Self::with_body(runtime_dir, |ends, ready| run(records, ends, ready)).await
    }

    async fn with_body(
        runtime_dir: &Path,
        body: impl FnOnce(Ends, oneshot::Sender<Result<(), String>>) -> Result<(), String>
        + Send
        + 'static,
    ) -> Result<Self, StartError> {
        let (commands, orders) = mpsc::unbounded_channel();
        let (roles_out, roles) = watch::channel(Roles::default());
        let (notices_out, notices) = mpsc::unbounded_channel();
        let (ready_out, ready) = oneshot::channel();
        let (ended_out, ended) = oneshot::channel();
        let (here, gone) = sync_channel(1);
        let ends = Ends {
            commands: orders,
            roles: roles_out,
            notices: notices_out,
        };
        let thread = std::thread::Builder::new()
            .name("vrrp".to_owned())
            .spawn(move || {
                let _here = here;
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    body(ends, ready_out)
                }));
                let text = match result {
                    Ok(Ok(())) => return,
                    Ok(Err(text)) => text,
                    Err(_) => "the thread of VRRP panicked".to_owned(),
                };
                // The agent may be gone.
                drop(ended_out.send(text));
            })
            .map_err(StartError::Thread)?;
        let begun = ready.await;
        let vrrp = Self {
            commands,
            roles,
            notices,
            ended,
            runtime_dir: runtime_dir.to_owned(),
            setup: Setup::default(),
            thread: Some(thread),
            gone,
        };
        match begun {
            Ok(Ok(())) => Ok(vrrp),
            Ok(Err(text)) => Err(StartError::Begin(text)),
            Err(_) => Err(StartError::Begin("the thread of VRRP panicked".to_owned())),
        }
    }

    /// Makes the routers what the setup says; returns when adverts follow it.
    pub async fn configure(&mut self, setup: Setup) {
        self.setup = setup.clone();
        let (done, wait) = oneshot::channel();
        if self
            .commands
            .send(Command::Configure(Box::new(setup), done))
            .is_ok()
        {
            // An end without an answer is seen by `ended`.
            drop(wait.await);
        }
    }

    /// For those who see what is tracked.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer(self.commands.downgrade())
    }

    /// What the routers are doing. Empty if the thread does not answer.
    pub async fn view(&self) -> View {
        let (reply, view) = oneshot::channel();
        if self.commands.send(Command::View(reply)).is_err() {
            return View::default();
        }
        match tokio::time::timeout(ANSWER_LIMIT, view).await {
            Ok(Ok(view)) => view,
            Ok(Err(_)) | Err(_) => View::default(),
        }
    }

    /// Gives up every role and what goes with it; then waits until the peers have taken over, as
    /// long as they may need.
    pub async fn hand_over(&mut self) -> HandOver {
        let (reply, stopped) = oneshot::channel();
        // Refused by a thread that is gone; so is the answer of one that goes now.
        self.commands.send(Command::Stop(reply)).ok();
        let limit = match tokio::time::timeout(RELEASE_LIMIT, stopped).await {
            Ok(Ok(limit)) => limit,
            Ok(Err(_)) => return self.give_up("the thread of VRRP is gone"),
            Err(_) => return self.give_up("addresses could not be given up in time"),
        };
        if limit.is_zero() {
            return HandOver::NoMaster;
        }
        let taken = self.roles.wait_for(|roles| roles.awaiting == 0);
        match tokio::time::timeout(limit, taken).await {
            Ok(Ok(_)) => HandOver::Taken,
            Ok(Err(_)) | Err(_) => HandOver::NotTaken,
        }
    }

    /// What can be done without the thread: masters say that they are none, and nobody goes on with
    /// their roles.
    fn give_up(&self, error: &'static str) -> HandOver {
        tracing::error!(
            error,
            "VRRP cannot hand over by itself; its roles are given up"
        );
        let roles = self.roles.borrow().clone();
        let is_master = |name: &InstanceName| roles.routers.get(name) == Some(&Role::Master);
        let all = self.setup.instances.iter();
        all.filter(|instance| is_master(&instance.name))
            .for_each(last_word::say);
        record::forget_all(&self.runtime_dir);
        HandOver::Failed
    }
}

/// Tells the thread what trackers see. Does not keep it alive.
#[derive(Clone, Debug)]
pub struct Observer(mpsc::WeakUnboundedSender<Command>);

impl Observer {
    /// These inputs have these states now.
    pub fn observed(&self, states: Vec<(Input, State)>) {
        if let Some(commands) = self.0.upgrade() {
            // An ended thread is seen by `Vrrp::ended`.
            drop(commands.send(Command::Observed(states)));
        }
    }
}

impl Drop for Vrrp {
    /// Ends the thread. Roles that were not given up stay with their addresses, for the next agent.
    fn drop(&mut self) {
        let (commands, _) = mpsc::unbounded_channel();
        self.commands = commands;
        let Some(thread) = self.thread.take() else {
            return;
        };
        if self.gone.recv_timeout(END_LIMIT) == Err(RecvTimeoutError::Timeout) {
            // The end of the process is its end, too.
            tracing::error!("the thread of VRRP does not end");
            return;
        }
        // A panic has been told by `ended`.
        drop(thread.join());
    }
}

/// The thread's body.
fn run(
    records: Records,
    ends: Ends,
    ready: oneshot::Sender<Result<(), String>>,
) -> Result<(), String> {
    // Before this thread is raised: the one that talks to the kernel is to stay ordinary.
    let net = match Net::open_apart() {
        Ok(net) => net,
        Err(error) => {
            drop(ready.send(Err(chain(&error))));
            return Ok(());
        }
    };
    let refused = realtime::raise().err();
    if let Some(reason) = &refused {
        tracing::warn!(%reason, "adverts may be late on a busy machine");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            drop(ready.send(Err(format!("cannot start VRRP: {error}"))));
            return Ok(());
        }
    };
    runtime.block_on(async {
        let engine = match begin(net, records, ends, refused).await {
            Ok(engine) => engine,
            Err(error) => {
                drop(ready.send(Err(error)));
                return Ok(());
            }
        };
        drop(ready.send(Ok(())));
        engine.run().await.map_err(|error| chain(&error))
    })
}

async fn begin(
    net: Net,
    records: Records,
    ends: Ends,
    refused: Option<String>,
) -> Result<Engine, String> {
    let mut monitor = Monitor::open().map_err(|error| chain(&error))?;
    monitor.start(&net).await.map_err(|error| chain(&error))?;
    Engine::new(net, monitor, records, ends, refused).map_err(|error| chain(&error))
}

/// The thread answers within a turn.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How long removing addresses may take.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// How long the thread may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
