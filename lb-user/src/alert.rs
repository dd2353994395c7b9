//! Tells people of changes: by mail, and by a program of theirs.
//!
//! [`Alerts::tell`] never waits: each way has a task of its own with a bounded inbox, so neither a mail server that hangs nor a slow
//! program holds up anybody, or the other way. What comes within [`outbox::GATHER`] goes into one message, and no more than
//! [`outbox::BURST`] messages go out in [`outbox::WINDOW`]; what waits meanwhile goes with the next. Of more than [`outbox::WAITING`]
//! changes the oldest are left out, and the message says how many.
//!
//! A mail that was not taken is tried again until it is, ever more rarely. A program is run once for each message: what it does not
//! take is lost, for running it again might say everything twice.
//!
//! Reading order: what happened ([`event`]), when it is told ([`outbox`]), in which words ([`text`]), and how it gets there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use self::{
    event::{Event, Health, Kind, What},
    outbox::Counts,
};
use self::{mail::Mail, program::Program, worker::Worker};
use crate::config::model::{self, Command, Smtp};

pub mod event;

pub mod outbox;

pub mod text;

mod mail;
mod program;
mod worker;

#[cfg(test)]
mod tests;

/// Where changes go in. Clones are the same.
#[derive(Clone, Debug)]
pub struct Alerts {
    smtp: Arc<Way<Smtp>>,
    command: Arc<Way<Command>>,
}

/// One way, and how it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `smtp` or `command`.
    pub by: &'static str,
    /// Messages, and what is not in them.
    pub counts: Counts,
    /// Changes that wait for the next message.
    pub waiting: usize,
    /// Why the last attempt failed; `None`: it did not.
    pub problem: Option<String>,
}

/// The tasks' side; see [`Tellers::run`].
#[derive(Debug)]
pub struct Tellers {
    smtp: Worker<Mail>,
    command: Worker<Program>,
}

/// Nobody is told yet, until [`Alerts::configure`].
#[must_use]
pub fn alerts() -> (Alerts, Tellers) {
    let (smtp, smtp_ends) = way("smtp");
    let (command, command_ends) = way("command");
    let alerts = Alerts {
        smtp: Arc::new(smtp),
        command: Arc::new(command),
    };
    let tellers = Tellers {
        smtp: Worker::new(smtp_ends),
        command: Worker::new(command_ends),
    };
    (alerts, tellers)
}

impl Alerts {
    /// Who is told from now on, and in whose name.
    pub fn configure(&self, node: &str, wanted: &model::Alerts) {
        self.smtp.configure(node, wanted.smtp.as_ref());
        self.command.configure(node, wanted.command.as_ref());
    }

    /// Something happened. Returns at once.
    pub fn tell(&self, event: &Event) {
        self.smtp.tell(event);
        self.command.tell(event);
    }

    /// How those that are configured are doing.
    #[must_use]
    pub fn report(&self) -> Vec<Report> {
        let ways = [self.smtp.report(), self.command.report()];
        ways.into_iter().flatten().collect()
    }
}

impl Tellers {
    /// Tells until cancelled; what waits then gets [`worker::LAST`].
    pub async fn run(self, cancel: CancellationToken) {
        tokio::join!(self.smtp.run(cancel.clone()), self.command.run(cancel));
    }
}

#[derive(Debug)]
struct Way<T> {
    by: &'static str,
    settings: watch::Sender<Settings<T>>,
    inbox: mpsc::Sender<Event>,
    /// What the inbox had no room for, until the worker takes note.
    overflow: Arc<AtomicU64>,
    state: watch::Receiver<State>,
}

/// What a worker gets.
#[derive(Debug)]
struct Ends<T> {
    by: &'static str,
    settings: watch::Receiver<Settings<T>>,
    inbox: mpsc::Receiver<Event>,
    overflow: Arc<AtomicU64>,
    state: watch::Sender<State>,
}

/// Whom to tell; `None`: nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings<T> {
    node: String,
    target: Option<T>,
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    counts: Counts,
    waiting: usize,
    problem: Option<String>,
}

fn way<T>(by: &'static str) -> (Way<T>, Ends<T>) {
    let nobody = Settings {
        node: String::new(),
        target: None,
    };
    let (settings, settings_there) = watch::channel(nobody);
    let (inbox, inbox_there) = mpsc::channel(INBOX);
    let (state_there, state) = watch::channel(State::default());
    let overflow = Arc::new(AtomicU64::new(0));
    let ends = Ends {
        by,
        settings: settings_there,
        inbox: inbox_there,
        overflow: Arc::clone(&overflow),
        state: state_there,
    };
    let way = Way {
        by,
        settings,
        inbox,
        overflow,
        state,
    };
    (way, ends)
}

impl<T: Clone + PartialEq> Way<T> {
    fn configure(&self, node: &str, target: Option<&T>) {
        let wanted = Settings {
            node: node.to_owned(),
            target: target.cloned(),
        };
        self.settings.send_if_modified(|old| {
            let modified = *old != wanted;
            *old = wanted;
            modified
        });
    }

    fn tell(&self, event: &Event) {
        let on = self.settings.borrow().target.is_some();
        // A worker that has ended has nothing to count any more.
        if on && self.inbox.try_send(event.clone()).is_err() {
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn report(&self) -> Option<Report> {
        self.settings.borrow().target.as_ref()?;
        let State {
            counts,
            waiting,
            problem,
        } = self.state.borrow().clone();
        Some(Report {
            by: self.by,
            counts,
            waiting,
            problem,
        })
    }
}

/// Changes on their way to a worker: what may happen before it gets a turn.
const INBOX: usize = 512;
