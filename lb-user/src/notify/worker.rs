//! Runs the scripts of one notifier, one after the other.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Counters, Kind, SCRIPT_GRACE, Scripts, State, WAITING};
use crate::{
    config::model::Command,
    exec::{self, Leftovers, Limits, Outcome},
};

/// What a notifier sends.
#[derive(Debug)]
pub(super) enum Message {
    Transition(Transition),
    Scripts(Box<Scripts>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Transition {
    pub(super) state: State,
    pub(super) priority: u8,
}

/// It is to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hurry {
    /// When scripts of other transitions than the last are cut off.
    pub(super) others_until: Instant,
    /// When those of the last are.
    pub(super) until: Instant,
}

/// The other ends of what a notifier holds.
pub(super) struct Ends {
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) hurry: watch::Receiver<Option<Hurry>>,
    pub(super) counters: Arc<Counters>,
}

pub(super) struct Worker {
    kind: Kind,
    name: String,
    limit: Duration,
    scripts: Arc<Scripts>,
    /// The last state heard of.
    state: Option<State>,
    /// With the scripts of their time.
    waiting: VecDeque<(Transition, Arc<Scripts>)>,
    /// Left out since the log last said so.
    unsaid: u64,
    /// Whether the notifier may still send.
    open: bool,
    ends: Ends,
}

impl Worker {
    pub(super) fn new(
        (kind, name): (Kind, String),
        scripts: Scripts,
        limit: Duration,
        ends: Ends,
    ) -> Self {
        Self {
            kind,
            name,
            limit,
            scripts: Arc::new(scripts),
            state: None,
            waiting: VecDeque::new(),
            unsaid: 0,
            open: true,
            ends,
        }
    }

    /// Ends when the notifier is gone and everything is told.
    pub(super) async fn run(mut self) {
        loop {
            if let Some((transition, scripts)) = self.waiting.pop_front() {
                self.tell(transition, &scripts).await;
            } else if self.open {
                let message = self.ends.inbox.recv().await;
                self.accept(message);
            } else {
                break;
            }
        }
        self.say_left_out();
    }

    fn accept(&mut self, message: Option<Message>) {
        match message {
            None => self.open = false,
            Some(Message::Scripts(scripts)) => self.scripts = Arc::from(scripts),
            Some(Message::Transition(transition)) if self.state == Some(transition.state) => {}
            Some(Message::Transition(transition)) => {
                self.state = Some(transition.state);
                if self.waiting.len() == WAITING
                    && let Some((oldest, _)) = self.waiting.pop_front()
                {
                    self.leave_out(oldest);
                }
                let scripts = Arc::clone(&self.scripts);
                self.waiting.push_back((transition, scripts));
            }
        }
    }

    async fn tell(&mut self, transition: Transition, scripts: &Scripts) {
        // What came before the notifier's end is in the inbox: without it we would not know which transition is the last.
        while let Ok(message) = self.ends.inbox.try_recv() {
            self.accept(Some(message));
        }
        if self.cut().is_some_and(|cut| cut <= Instant::now()) {
            self.leave_out(transition);
            return;
        }
        self.say_left_out();
        let Transition { state, priority } = transition;
        let (own, any) = scripts.of(state);
        if let Some(command) = own {
            self.run_script(state, command, &[]).await;
        }
        if let Some(command) = any {
            let args = [
                self.kind.to_string(),
                self.name.clone(),
                state.to_string(),
                priority.to_string(),
            ];
            self.run_script(state, command, &args).await;
        }
    }

    async fn run_script(&mut self, state: State, command: &Command, args: &[String]) {
        let limits = Limits {
            timeout: self.limit,
            grace: SCRIPT_GRACE,
            user: None,
            leftovers: Leftovers::Leave,
        };
        let mut run = std::pin::pin!(exec::run(command, args, &limits));
        let outcome = loop {
            let cut = self.cut();
            // All but the script itself are cancel safe, and that one goes on. Dropping it kills it.
            tokio::select! {
                outcome = &mut run => break Some(outcome),
                message = self.ends.inbox.recv(), if self.open => self.accept(message),
                Ok(()) = self.ends.hurry.changed() => {}
                () = sleep_until(cut.unwrap_or_else(Instant::now)), if cut.is_some() => break None,
            }
        };
        self.report(state, command, outcome);
    }

    /// When what runs now is cut off.
    fn cut(&self) -> Option<Instant> {
        let hurry = *self.ends.hurry.borrow();
        hurry.map(|hurry| {
            if self.waiting.is_empty() {
                hurry.until
            } else {
                hurry.others_until
            }
        })
    }

    fn report(&self, state: State, command: &Command, outcome: Option<Outcome>) {
        let counter = match outcome.as_ref().and_then(Outcome::verdict) {
            Some(true) => &self.ends.counters.succeeded,
            _ => &self.ends.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let (kind, name) = (self.kind, self.name.as_str());
        match outcome {
            Some(outcome @ Outcome::Exited { code: 0, .. }) => {
                tracing::info!(%kind, name, %state, script = %command, result = %outcome, "notified");
            }
            Some(outcome) => {
                tracing::warn!(%kind, name, %state, script = %command, result = %outcome, "notify script failed");
            }
            None => {
                tracing::warn!(%kind, name, %state, script = %command, "notify script was cut off: no time left");
            }
        }
    }

    fn leave_out(&mut self, transition: Transition) {
        if self.unsaid == 0 {
            tracing::warn!(kind = %self.kind, name = self.name, state = %transition.state, "a transition is not told: scripts take too long");
        }
        self.unsaid += 1;
        self.ends.counters.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// The first was said at once.
    fn say_left_out(&mut self) {
        if self.unsaid > 1 {
            tracing::warn!(kind = %self.kind, name = self.name, transitions = self.unsaid, "transitions were not told: scripts take too long");
        }
        self.unsaid = 0;
    }
}
