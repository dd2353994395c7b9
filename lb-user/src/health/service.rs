//! Pure: what the health of its backends, and what the operator said, mean to one service.
//!
//! In: verdicts, overrides, our link, the time. Out: where every backend stands, whether the service has its quorum, whether the
//! fallback serves, and [`Event`]s.
//!
//! * A backend's weight is never changed by its health: the ring is built from what is configured, and health decides who of it is
//!   available.
//! * Quorum as keepalived's: the sum of the weights of backends that serve. It is gained at `up + hysteresis`, and lost below
//!   `up - hysteresis` or when nobody serves. At the start, it has to be gained.
//! * Below quorum, a fallback serves alone, and backends that could serve stand by with the connections they have. Without a fallback,
//!   they serve on.
//! * A backend that is held back because it flaps is let in where the service would be below `quorum.up` without it, and then stays.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

pub use self::{
    quorum::QuorumState,
    standing::{Mode, Override, Standing, Why},
};
use self::{rules::Rules, standing::Input};
use super::{
    fsm::Health,
    guard::{self, Guard, Link},
    pool::Verdict,
    text::Text,
};
use crate::{
    config::model::{BackendKey, Service},
    types::Weight,
};

mod quorum;
mod rules;
mod standing;
#[cfg(test)]
mod tests;

/// Where a backend stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub key: BackendKey,
    /// Its share, the operator's override applied.
    pub weight: Weight,
    /// Whether it gets flows.
    pub standing: Standing,
    /// What its check says; `None`: it is not checked, or was not told yet.
    pub verdict: Option<Verdict>,
    /// What the operator said.
    pub asked: Override,
}

impl Member {
    /// Why it gets no new flows, for people; `None` if it does.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        let why = self.standing.why()?;
        Some(match (why, &self.verdict) {
            (Why::Weight, _) => "its weight is 0".to_owned(),
            (Why::Drained | Why::Disabled, _) => format!("{} by the operator", why.word()),
            (Why::Standby, _) => "the service is below quorum, and its fallback serves".to_owned(),
            (Why::Down | Why::Held, Some(verdict)) => format!("{}: {}", why.word(), verdict.reason),
            (Why::Down | Why::Held, None) => why.word().to_owned(),
        })
    }
}

/// Something happened that logs, alerts or commands want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A check changed its mind.
    Health {
        /// About whom.
        backend: BackendKey,
        /// Before.
        from: Health,
        /// Now.
        to: Health,
        /// What the attempt said.
        reason: Text,
    },
    /// A backend stands elsewhere.
    Standing {
        /// Who.
        backend: BackendKey,
        /// Before.
        from: Standing,
        /// Now.
        to: Standing,
    },
    /// Quorum was gained or lost, or is told for the first time.
    Quorum {
        /// Whether there is one: `on_up` or `on_down` is to be run.
        up: bool,
        /// The weight that serves.
        weight: u64,
    },
    /// The fallback took over (or handed back).
    Fallback {
        /// Whether it serves.
        serves: bool,
    },
    /// So many backends failed while our link changed that they are kept: an alarm. 0: they are believed again.
    Kept {
        /// How many.
        backends: usize,
    },
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceHealth {
    rules: Rules,
    members: Vec<Member>,
    quorum: Option<QuorumState>,
    fallback: bool,
    guard: Guard,
    link: Link,
    /// Held back, but needed.
    released: BTreeSet<BackendKey>,
    events: VecDeque<Event>,
}

impl ServiceHealth {
    /// All backends up, as long as nothing else was heard.
    #[must_use]
    pub fn new(
        now: Instant,
        service: &Service,
        overrides: &BTreeMap<BackendKey, Override>,
    ) -> Self {
        let mut this = Self {
            rules: Rules::of(service),
            members: Vec::new(),
            quorum: None,
            fallback: false,
            guard: Guard::default(),
            link: Link::default(),
            released: BTreeSet::new(),
            events: VecDeque::new(),
        };
        this.fill(overrides);
        this.evaluate(now);
        this
    }

    /// The configuration changed. What is known of backends that are still there stays.
    pub fn reconfigure(
        &mut self,
        now: Instant,
        service: &Service,
        overrides: &BTreeMap<BackendKey, Override>,
    ) {
        self.rules = Rules::of(service);
        self.fill(overrides);
        self.evaluate(now);
    }

    /// Checks changed their minds; `None`: not checked any more. Backends that are not there are ignored.
    pub fn handle_verdicts(
        &mut self,
        now: Instant,
        verdicts: impl IntoIterator<Item = (BackendKey, Option<Verdict>)>,
    ) {
        let places: BTreeMap<BackendKey, usize> =
            self.members.iter().map(|m| m.key).zip(0..).collect();
        for (key, verdict) in verdicts {
            let Some(place) = places.get(&key) else {
                continue;
            };
            let member = &mut self.members[*place];
            let from = health(member.verdict.as_ref());
            let to = health(verdict.as_ref());
            if from != to {
                self.events.push_back(Event::Health {
                    backend: key,
                    from,
                    to,
                    reason: verdict
                        .as_ref()
                        .map_or_else(|| Text::new("not checked"), |v| v.reason.clone()),
                });
            }
            member.verdict = verdict;
        }
        self.evaluate(now);
    }

    /// The operator said something. Whether there is such a backend.
    pub fn set_override(&mut self, now: Instant, key: BackendKey, asked: Override) -> bool {
        let Some(member) = self.members.iter_mut().find(|m| m.key == key) else {
            return false;
        };
        member.asked = asked;
        self.evaluate(now);
        true
    }

    /// Our own link changed.
    pub fn handle_link(&mut self, now: Instant, link: Link) {
        self.link = link;
        self.evaluate(now);
    }

    /// The time that [`next_deadline`](Self::next_deadline) gave has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.evaluate(now);
    }

    /// When something changes by itself, if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.guard.next_deadline()
    }

    /// What happened, oldest first. To be emptied after every call that takes the time.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where the backends stand, in the order of the file.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether there is a quorum.
    #[must_use]
    pub fn quorum(&self) -> QuorumState {
        self.quorum.expect("new() evaluates")
    }

    /// Whether the fallback serves.
    #[must_use]
    pub fn fallback_serves(&self) -> bool {
        self.fallback
    }

    /// How many backends are kept although their checks fail, because our link is to blame.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.guard.kept()
    }

    /// Makes the members of the rules, taking over what is known of those there were.
    fn fill(&mut self, overrides: &BTreeMap<BackendKey, Override>) {
        let mut before: BTreeMap<BackendKey, Member> =
            self.members.drain(..).map(|m| (m.key, m)).collect();
        self.members = self
            .rules
            .weights
            .iter()
            .map(|(key, weight)| {
                let known = before.remove(key);
                Member {
                    key: *key,
                    weight: *weight,
                    // Only a backend that was there before can be told to have moved.
                    standing: known.as_ref().map_or(Standing::Serving, |m| m.standing),
                    verdict: known.and_then(|m| m.verdict),
                    asked: overrides.get(key).copied().unwrap_or_default(),
                }
            })
            .collect();
    }

    fn evaluate(&mut self, now: Instant) {
        self.ask_guard(now);
        let mut standings = self.standings(&BTreeSet::new());
        self.release(&mut standings);
        let weight = self.serving(&standings);
        self.decide_quorum(now, weight);
        let up = self.quorum().up;
        let fallback = self.rules.has_fallback && !up;
        if fallback {
            for standing in &mut standings {
                if *standing == Standing::Serving {
                    *standing = Standing::Lingering(Why::Standby);
                }
            }
        }
        self.stand(&standings);
        if fallback != self.fallback {
            self.fallback = fallback;
            self.events.push_back(Event::Fallback { serves: fallback });
        }
    }

    fn ask_guard(&mut self, now: Instant) {
        let members: Vec<guard::Member> = self
            .members
            .iter()
            .map(|member| guard::Member {
                key: member.key,
                down_since: member
                    .verdict
                    .as_ref()
                    .filter(|verdict| verdict.health == Health::Down)
                    .map(|verdict| verdict.since),
            })
            .collect();
        let before = self.guard.kept();
        self.guard
            .update(now, &members, self.link, self.rules.window);
        let backends = self.guard.kept();
        if (before == 0) != (backends == 0) {
            self.events.push_back(Event::Kept { backends });
        }
    }

    /// Where everybody stands, quorum apart.
    fn standings(&mut self, released: &BTreeSet<BackendKey>) -> Vec<Standing> {
        let (guard, on_failure) = (&self.guard, self.rules.on_failure);
        self.members
            .iter_mut()
            .zip(&self.rules.weights)
            .map(|(member, (_, configured))| {
                member.weight = member.asked.weight.unwrap_or(*configured);
                standing::of(&Input {
                    health: health(member.verdict.as_ref()),
                    kept: guard.keeps(member.key),
                    released: released.contains(&member.key),
                    mode: member.asked.mode,
                    weight: member.weight,
                    on_failure,
                })
            })
            .collect()
    }

    /// Lets in who is held back but needed, and keeps in who was.
    fn release(&mut self, standings: &mut Vec<Standing>) {
        let held: BTreeSet<BackendKey> = self
            .members
            .iter()
            .filter(|m| health(m.verdict.as_ref()) == Health::Held)
            .map(|m| m.key)
            .collect();
        self.released.retain(|key| held.contains(key));
        if held.is_empty() {
            return;
        }
        if !self.released.is_empty() {
            *standings = self.standings(&self.released.clone());
        }
        if self.serving(standings) < self.rules.quorum.up {
            self.released = held;
            *standings = self.standings(&self.released.clone());
        }
    }

    fn serving(&self, standings: &[Standing]) -> u64 {
        self.members
            .iter()
            .zip(standings)
            .filter(|(_, standing)| **standing == Standing::Serving)
            .map(|(member, _)| u64::from(member.weight.get()))
            .sum()
    }

    fn decide_quorum(&mut self, now: Instant, weight: u64) {
        let before = self.quorum;
        let after = self.rules.quorum.decide(now, before, weight);
        self.quorum = Some(after);
        if before.map(|quorum| quorum.up) != Some(after.up) {
            let up = after.up;
            self.events.push_back(Event::Quorum { up, weight });
        }
    }

    fn stand(&mut self, standings: &[Standing]) {
        for (member, standing) in self.members.iter_mut().zip(standings) {
            if member.standing != *standing {
                self.events.push_back(Event::Standing {
                    backend: member.key,
                    from: member.standing,
                    to: *standing,
                });
                member.standing = *standing;
            }
        }
    }
}

/// A backend that nobody checks is up.
fn health(verdict: Option<&Verdict>) -> Health {
    verdict.map_or(Health::Up, |verdict| verdict.health)
}
