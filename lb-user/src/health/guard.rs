//! Pure: are they all dead, or is it our cable?
//!
//! When more than half of a pool's living members fail within the time that one common cause needs to show, and our own link changed
//! in that time, we blame the link: the last good set stays, and an alarm is raised. It is believed after all if the members still
//! fail when the link has been up and quiet for as long again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::config::model::BackendKey;

#[cfg(test)]
mod tests;

/// What is known of our own way out: links, addresses and routes that checks use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether it works, as far as we can tell.
    pub up: bool,
    /// When anything about it changed last; `None`: not since the start.
    pub changed: Option<Instant>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            up: true,
            changed: None,
        }
    }
}

/// One member of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub key: BackendKey,
    /// Since when it fails its checks; `None`: it does not.
    pub down_since: Option<Instant>,
}

/// Who fell so recently, and with so many others, that our link is to blame; empty if nobody did.
///
/// `window` is the longest a member takes from its death to the verdict.
#[must_use]
pub fn fallen_together(
    now: Instant,
    members: &[Member],
    link: Link,
    window: Duration,
) -> BTreeSet<BackendKey> {
    let recent = |at: Instant| now.saturating_duration_since(at) <= window;
    if link.up && !link.changed.is_some_and(recent) {
        return BTreeSet::new();
    }
    let fallen: BTreeSet<BackendKey> = members
        .iter()
        .filter(|member| member.down_since.is_some_and(recent))
        .map(|member| member.key)
        .collect();
    let living = members.iter().filter(|m| m.down_since.is_none()).count();
    if fallen.len() > living {
        fallen
    } else {
        BTreeSet::new()
    }
}

/// Remembers who is kept.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    keeping: Option<Keeping>,
    window: Duration,
    link: Link,
}

#[derive(Clone, Debug)]
struct Keeping {
    since: Instant,
    members: BTreeSet<BackendKey>,
}

impl Guard {
    /// Something changed: members, link, or the time came. `window` as for [`fallen_together`].
    pub fn update(&mut self, now: Instant, members: &[Member], link: Link, window: Duration) {
        (self.window, self.link) = (window, link);
        if self.next_deadline().is_some_and(|end| end <= now) {
            self.keeping = None;
        }
        let fallen = fallen_together(now, members, link, window);
        let down = |key: &BackendKey| {
            members
                .iter()
                .any(|m| m.key == *key && m.down_since.is_some())
        };
        match &mut self.keeping {
            None if fallen.is_empty() => {}
            None => {
                self.keeping = Some(Keeping {
                    since: now,
                    members: fallen,
                });
            }
            Some(keeping) => {
                // Whoever fails while we blame the link joins; whoever answers again needs no keeping.
                let since = keeping.since;
                let later = members
                    .iter()
                    .filter(|m| m.down_since.is_some_and(|at| at >= since))
                    .map(|m| m.key);
                keeping.members.extend(later);
                keeping.members.retain(down);
                if keeping.members.is_empty() {
                    self.keeping = None;
                }
            }
        }
    }

    /// Whether a member that fails stays in the set all the same.
    #[must_use]
    pub fn keeps(&self, key: BackendKey) -> bool {
        self.keeping
            .as_ref()
            .is_some_and(|keeping| keeping.members.contains(&key))
    }

    /// How many members are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.keeping
            .as_ref()
            .map_or(0, |keeping| keeping.members.len())
    }

    /// When the members are believed, unless something changes before; `None` while nobody is kept, or the link is down.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let keeping = self.keeping.as_ref().filter(|_| self.link.up)?;
        let quiet = self
            .link
            .changed
            .map_or(keeping.since, |changed| changed.max(keeping.since));
        Some(quiet + self.window)
    }
}
