//! The rules of nftables, brought about by a program that the agent's loop does not wait for.

use std::path::PathBuf;

use tokio::task::JoinSet;

use crate::{ipvs::masquerade, net::chain};

/// Rules as `nft` reads them; `None`: no table of ours.
pub(super) type Rules = Option<String>;

/// What is in force, and what is on its way. At most one program runs; dropping this kills it.
pub(super) struct Follower {
    /// Where `nft` finds them.
    file: PathBuf,
    /// In force; `None`: not known.
    applied: Option<Rules>,
    /// The one task, which returns what it wanted and what went wrong.
    task: JoinSet<(Rules, Option<String>)>,
    /// Rules that could not be brought about, and why. Not tried again before [`retry`](Self::retry).
    failed: Option<(Rules, String)>,
    may_retry: bool,
}

/// How far the rules are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// In force.
    Done,
    /// On their way; if they could not be brought about before, why.
    UnderWay(Option<String>),
    /// They cannot be brought about; tried again later.
    Failed(String),
}

impl Follower {
    pub(super) fn new(file: PathBuf) -> Self {
        Self {
            file,
            applied: None,
            task: JoinSet::new(),
            failed: None,
            may_retry: false,
        }
    }

    /// Makes the rules follow, without waiting for it: [`changed`](Self::changed) says when to ask again.
    pub(super) fn follow(&mut self, wanted: &Rules) -> Progress {
        if self.task.is_empty() && self.applied.as_ref() == Some(wanted) {
            return Progress::Done;
        }
        let failure = self.failed.as_ref().filter(|(rules, _)| rules == wanted);
        let failure = failure.map(|(_, error)| error.clone());
        if self.task.is_empty() {
            if let (Some(error), false) = (&failure, self.may_retry) {
                return Progress::Failed(error.clone());
            }
            self.may_retry = false;
            self.applied = None;
            let (file, rules) = (self.file.clone(), wanted.clone());
            self.task.spawn(async move {
                let result = masquerade::apply(&file, rules.as_deref()).await;
                let error = result.err().map(|error| chain(&error));
                (rules, error)
            });
        }
        Progress::UnderWay(failure)
    }

    /// Looks whether the table that was in force is gone, so that it has to be [followed](Self::follow)
    /// again. What somebody changes inside it stays.
    pub(super) fn notice_loss(&mut self) -> bool {
        let ours = matches!(self.applied, Some(Some(_)));
        let lost = ours && self.task.is_empty() && !masquerade::is_there();
        if lost {
            tracing::warn!(
                "somebody removed the rules of `nat.masquerade`, as `nft flush ruleset` does; they are put back"
            );
            self.applied = None;
        }
        lost
    }

    /// What failed may be tried again.
    pub(super) fn retry(&mut self) {
        self.may_retry = true;
    }

    /// Waits until what was under way has ended; for ever if there is nothing. Cancel safe.
    pub(super) async fn changed(&mut self) {
        let Some(ended) = self.task.join_next().await else {
            return std::future::pending().await;
        };
        match ended {
            Ok((rules, None)) => {
                self.applied = Some(rules);
                self.failed = None;
            }
            Ok((rules, Some(error))) => self.failed = Some((rules, error)),
            // It panicked, or the runtime ends: not known, and tried again.
            Err(error) => tracing::error!(%error, "the rules of `nat.masquerade` are not known"),
        }
    }

    /// Whether something is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.task.is_empty()
    }
}
