//! Tells the operator's programs of changes: of roles, and of quorums.
//!
//! One [`Notifier`] for each virtual router, group or service, with one task: scripts run one after the other, in the order of the transitions,
//! each once. Whoever reports a transition never waits. First runs the state's own script, without arguments, then `any` with
//! `INSTANCE|GROUP NAME STATE PRIORITY`; a service has only `on_up` and `on_down`. What a script leaves in the background lives on, but nobody reads what it writes.
//!
//! A script may take [`SCRIPT_LIMIT`]; then it gets a SIGTERM and, [`SCRIPT_GRACE`] later, a SIGKILL. Should transitions come faster than
//! their scripts run, at most [`WAITING`] wait and the oldest are left out: what is told last is always what is true. That is
//! logged and counted.
//!
//! [`Notifier::finish`] lets the scripts run that are left, for a limited time. Dropping a notifier kills what runs.

mod worker;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use self::worker::{Hurry, Message, Transition, Worker};
use crate::config::model::{Command, Notify, Quorum};

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A virtual router.
    Instance,
    /// A group of them.
    Group,
    /// A service, whose quorum comes and goes.
    Service,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "INSTANCE",
            Self::Group => "GROUP",
            Self::Service => "SERVICE",
        })
    }
}

/// What it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds the addresses.
    Master,
    /// It waits.
    Backup,
    /// It may not hold them.
    Fault,
    /// It ends.
    Stop,
    /// It has its quorum.
    Up,
    /// It is below its quorum.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Up => "UP",
            Self::Down => "DOWN",
        })
    }
}

/// Who is told.
#[derive(Clone, Debug)]
pub struct Scripts {
    own: Vec<(State, Option<Command>)>,
    any: Option<Command>,
}

impl Scripts {
    /// The state's own script, and the one for all states.
    fn of(&self, state: State) -> (Option<&Command>, Option<&Command>) {
        let own = self.own.iter().find(|(of, _)| *of == state);
        (own.and_then(|(_, own)| own.as_ref()), self.any.as_ref())
    }
}

impl From<&Notify> for Scripts {
    fn from(notify: &Notify) -> Self {
        Self {
            own: vec![
                (State::Master, notify.master.clone()),
                (State::Backup, notify.backup.clone()),
                (State::Fault, notify.fault.clone()),
                (State::Stop, notify.stop.clone()),
            ],
            any: notify.any.clone(),
        }
    }
}

impl From<&Quorum> for Scripts {
    fn from(quorum: &Quorum) -> Self {
        Self {
            own: vec![
                (State::Up, quorum.on_up.clone()),
                (State::Down, quorum.on_down.clone()),
            ],
            any: None,
        }
    }
}

/// What became of the scripts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Scripts that ended with exit code 0.
    pub succeeded: u64,
    /// Scripts that ended otherwise, or did not run.
    pub failed: u64,
    /// Transitions that nobody was told of, because too many waited or there was no time left.
    pub left_out: u64,
}

/// The queue of one virtual router, group or service.
#[derive(Debug)]
pub struct Notifier {
    messages: mpsc::UnboundedSender<Message>,
    hurry: watch::Sender<Option<Hurry>>,
    counters: Arc<Counters>,
    worker: JoinSet<()>,
}

impl Notifier {
    /// With scripts that run on `runtime`, which is not the one of whoever must not be delayed.
    #[must_use]
    pub fn new(kind: Kind, name: &str, scripts: impl Into<Scripts>, runtime: &Handle) -> Self {
        Self::with_limit(kind, name, scripts.into(), runtime, SCRIPT_LIMIT)
    }

    fn with_limit(
        kind: Kind,
        name: &str,
        scripts: Scripts,
        runtime: &Handle,
        limit: Duration,
    ) -> Self {
        let (messages, inbox) = mpsc::unbounded_channel();
        let (hurry, hurried) = watch::channel(None);
        let counters = Arc::new(Counters::default());
        let worker = Worker::new(
            (kind, name.to_owned()),
            scripts,
            limit,
            worker::Ends {
                inbox,
                hurry: hurried,
                counters: Arc::clone(&counters),
            },
        );
        let mut tasks = JoinSet::new();
        tasks.spawn_on(worker.run(), runtime);
        Self {
            messages,
            hurry,
            counters,
            worker: tasks,
        }
    }

    /// Tells of a transition; returns at once. The state it is in already is none. A service has no
    /// priority.
    pub fn transition(&self, state: State, priority: u8) {
        self.send(Message::Transition(Transition { state, priority }));
    }

    /// Takes other scripts, for the transitions from now on.
    pub fn replace(&self, scripts: impl Into<Scripts>) {
        self.send(Message::Scripts(Box::new(scripts.into())));
    }

    /// What became of the scripts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.now()
    }

    /// Lets the scripts run that are left, for `limit` at most. Half of it belongs to those of the last transition, which is the stop.
    pub async fn finish(self, limit: Duration) -> Counts {
        let now = Instant::now();
        self.hurry.send_replace(Some(Hurry {
            others_until: now + limit / 2,
            until: now + limit,
        }));
        let counters = Arc::clone(&self.counters);
        let Self {
            messages,
            mut worker,
            ..
        } = self;
        // The worker ends when there is nothing left.
        drop(messages);
        match timeout_at(now + limit + MARGIN, worker.join_next()).await {
            Ok(Some(Err(error))) => tracing::error!(%error, "the notifier failed"),
            Ok(_) => {}
            Err(_) => tracing::warn!("the notifier did not end in time and was cut off"),
        }
        counters.now()
    }

    fn send(&self, message: Message) {
        // The worker is there as long as we are, unless its runtime is gone.
        if self.messages.send(message).is_err() {
            tracing::error!("a notification is lost: its runtime is gone");
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    succeeded: AtomicU64,
    failed: AtomicU64,
    left_out: AtomicU64,
}

impl Counters {
    fn now(&self) -> Counts {
        Counts {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
        }
    }
}

/// How long a script may take: more than a service takes to start.
pub const SCRIPT_LIMIT: Duration = Duration::from_secs(60);
/// Between SIGTERM and SIGKILL for one that takes longer.
pub const SCRIPT_GRACE: Duration = Duration::from_secs(5);
/// Transitions that may wait for their scripts.
pub const WAITING: usize = 32;
/// What the worker itself may need at the end.
const MARGIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
