//! Pure: all checks, and whose turn it is.
//!
//! Checks of equal [`Target`]s are one. In: the wanted checks, the outcomes of attempts, the time. Out: [`Action`]s. A check has at most
//! one attempt under way, and all checks together at most as many as the host has descriptors for; what is due beyond that waits its
//! turn.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::{
    fsm::{Health, Last, Machine, Streak},
    probe::Outcome,
    target::{Subject, Target},
    text::Text,
};

pub use self::lateness::Lateness;

mod lateness;
#[cfg(test)]
mod tests;

/// One check, for as long as it is wanted; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(u64);

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make an attempt, which must end by the deadline, and tell the outcome.
    Start {
        /// Of this check.
        id: CheckId,
        /// At this.
        target: Arc<Target>,
        /// When it must have ended.
        deadline: Instant,
    },
    /// Break off the attempt of this check. Its outcome is not wanted any more.
    Cancel(CheckId),
    /// Tell what is thought of a backend; `None`: it is not checked any more.
    Publish(Subject, Option<Verdict>),
}

/// What is thought of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it answers.
    pub health: Health,
    /// Since when.
    pub since: Instant,
    /// What the attempt said that brought it about; empty before any did.
    pub reason: Text,
}

/// Everything there is to say about a backend's check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is checked, and how.
    pub target: Arc<Target>,
    /// What is thought of it.
    pub verdict: Verdict,
    /// Until when it is held back, if it is.
    pub held_until: Option<Instant>,
    /// Attempts in a row that ended alike.
    pub streak: Streak,
    /// All attempts.
    pub attempts: Attempts,
    /// The last attempt; `None` before the first has ended.
    pub last: Option<Last>,
    /// When the next is due; `None` while one is under way.
    pub next: Option<Instant>,
}

/// Attempts of a check that have ended, by how; from zero again when the check gets other parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// The backend answered as it should.
    pub good: u64,
    /// It did not.
    pub bad: u64,
    /// Nothing is known, for a failure of ours.
    pub inconclusive: u64,
}

impl Attempts {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Good(_) => self.good += 1,
            Outcome::Bad(_) => self.bad += 1,
            Outcome::Inconclusive(_) => self.inconclusive += 1,
        }
    }
}

/// What all checks together cost and how they keep up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Different checks.
    pub checks: usize,
    /// Attempts under way.
    pub running: usize,
    /// Attempts that have ended since the start.
    pub ended: u64,
    /// How late attempts started.
    pub lateness: Lateness,
}

/// All checks.
#[derive(Debug)]
pub struct Pool {
    checks: HashMap<CheckId, Entry>,
    by_target: HashMap<Arc<Target>, CheckId>,
    by_subject: BTreeMap<Subject, CheckId>,
    /// When which check is due. Outdated entries are left in and recognised by their time.
    agenda: BinaryHeap<Reverse<(Instant, CheckId)>>,
    actions: VecDeque<Action>,
    next_id: u64,
    limit: usize,
    load: Load,
}

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    machine: Machine,
    reason: Text,
    attempts: Attempts,
    /// Whose check it is; not empty.
    subjects: Vec<Subject>,
}

impl Entry {
    fn verdict(&self) -> Verdict {
        Verdict {
            health: self.machine.health(),
            since: self.machine.since(),
            reason: self.reason.clone(),
        }
    }
}

impl Pool {
    /// Without checks; at most `limit` attempts at a time.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            checks: HashMap::new(),
            by_target: HashMap::new(),
            by_subject: BTreeMap::new(),
            agenda: BinaryHeap::new(),
            actions: VecDeque::new(),
            next_id: 0,
            limit: limit.max(1),
            load: Load::default(),
        }
    }

    /// These are the wanted checks. One that was wanted before goes on as if nothing had happened; one with new parameters takes over
    /// what is thought of its backend.
    pub fn set_targets(&mut self, now: Instant, wanted: &BTreeMap<Subject, Arc<Target>>) {
        let before: BTreeMap<Subject, Verdict> = self
            .by_subject
            .iter()
            .map(|(subject, id)| (*subject, self.checks[id].verdict()))
            .collect();
        self.checks
            .values_mut()
            .for_each(|entry| entry.subjects.clear());
        let by_subject = wanted
            .iter()
            .map(|(subject, target)| {
                let id = self.check_of(now, *subject, target);
                let entry = self.checks.get_mut(&id).expect("just found or made");
                entry.subjects.push(*subject);
                (*subject, id)
            })
            .collect();
        self.by_subject = by_subject;
        self.drop_unwanted();
        self.publish_differences(&before);
    }

    /// Starts what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.load.running < self.limit
            && let Some(Reverse((due, id))) = self.agenda.peek().copied()
            && due <= now
        {
            self.agenda.pop();
            let Some(entry) = self.checks.get_mut(&id) else {
                continue;
            };
            if entry.machine.next_deadline() != Some(due) {
                continue;
            }
            self.load.lateness.record(now - due);
            self.load.running += 1;
            self.actions.push_back(Action::Start {
                id,
                target: Arc::clone(&entry.target),
                deadline: entry.machine.start(now),
            });
        }
    }

    /// An attempt has ended.
    pub fn handle_outcome(&mut self, now: Instant, id: CheckId, outcome: Outcome) {
        let Some(entry) = self.checks.get_mut(&id) else {
            return;
        };
        self.load.running = self.load.running.saturating_sub(1);
        self.load.ended += 1;
        let text = outcome.text().clone();
        entry.attempts.count(&outcome);
        let change = entry.machine.handle_outcome(now, outcome);
        if let Some(due) = entry.machine.next_deadline() {
            self.agenda.push(Reverse((due, id)));
        }
        if change.is_some() {
            entry.reason = text;
            let verdict = entry.verdict();
            let actions = entry
                .subjects
                .iter()
                .map(|subject| Action::Publish(*subject, Some(verdict.clone())));
            self.actions.extend(actions);
        }
    }

    /// What is to be done next, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None`: not before an outcome or other targets.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.load.running >= self.limit {
            return None;
        }
        self.agenda.peek().map(|Reverse((due, _))| *due)
    }

    /// Everything there is to say about every backend's check.
    #[must_use]
    pub fn report(&self) -> BTreeMap<Subject, Report> {
        self.by_subject
            .iter()
            .map(|(subject, id)| {
                let entry = &self.checks[id];
                let report = Report {
                    target: Arc::clone(&entry.target),
                    verdict: entry.verdict(),
                    held_until: entry.machine.held_until(),
                    streak: entry.machine.streak(),
                    attempts: entry.attempts,
                    last: entry.machine.last().cloned(),
                    next: entry.machine.next_deadline(),
                };
                (*subject, report)
            })
            .collect()
    }

    /// What the checks cost and how they keep up.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            checks: self.checks.len(),
            ..self.load.clone()
        }
    }

    /// The check of this target, made if there is none yet.
    fn check_of(&mut self, now: Instant, subject: Subject, target: &Arc<Target>) -> CheckId {
        if let Some(id) = self.by_target.get(target) {
            return *id;
        }
        let (timing, share) = (target.timing, target.share());
        let before = self
            .by_subject
            .get(&subject)
            .and_then(|id| self.checks.get(id));
        let (machine, reason) = match before {
            Some(before) => (
                Machine::succeed(timing, share, now, &before.machine),
                before.reason.clone(),
            ),
            None => (Machine::new(timing, share, now), Text::new("")),
        };
        let id = CheckId(self.next_id);
        self.next_id += 1;
        if let Some(due) = machine.next_deadline() {
            self.agenda.push(Reverse((due, id)));
        }
        self.by_target.insert(Arc::clone(target), id);
        self.checks.insert(
            id,
            Entry {
                target: Arc::clone(target),
                machine,
                reason,
                attempts: Attempts::default(),
                subjects: Vec::new(),
            },
        );
        id
    }

    fn drop_unwanted(&mut self) {
        let Self {
            checks,
            by_target,
            actions,
            load,
            ..
        } = self;
        checks.retain(|id, entry| {
            let wanted = !entry.subjects.is_empty();
            if !wanted {
                by_target.remove(&entry.target);
                if entry.machine.next_deadline().is_none() {
                    load.running = load.running.saturating_sub(1);
                    actions.push_back(Action::Cancel(*id));
                }
            }
            wanted
        });
        self.agenda
            .retain(|Reverse((_, id))| self.checks.contains_key(id));
    }

    fn publish_differences(&mut self, before: &BTreeMap<Subject, Verdict>) {
        for (subject, id) in &self.by_subject {
            let verdict = self.checks[id].verdict();
            if before.get(subject) != Some(&verdict) {
                self.actions
                    .push_back(Action::Publish(*subject, Some(verdict)));
            }
        }
        for subject in before.keys() {
            if !self.by_subject.contains_key(subject) {
                self.actions.push_back(Action::Publish(*subject, None));
            }
        }
    }
}

/// How many attempts a process with `descriptors` may have under way: the rest is for everything else, down to half.
#[must_use]
pub fn attempts_for(descriptors: u64) -> usize {
    let spare = descriptors.saturating_sub(RESERVED).max(descriptors / 2);
    usize::try_from(spare).unwrap_or(usize::MAX).min(ATTEMPTS)
}

/// Descriptors that are not for checks.
const RESERVED: u64 = 512;
/// Attempts under way at most, for the sake of memory.
const ATTEMPTS: usize = 16_384;
