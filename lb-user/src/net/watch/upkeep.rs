//! Which neighbour entries we have the kernel keep, and which of them are ours to take away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::net::{Net, error::chain, neighbour::NeighbourKey, nexthop::Tables};

#[cfg(test)]
mod tests;

/// One change to the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Manage(NeighbourKey),
    Forget(NeighbourKey),
}

/// What we did to the neighbour table, and when.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Entries that we made (or made managed) and still have to remove.
    owned: BTreeSet<NeighbourKey>,
    /// When an entry that is not managed may be tried again.
    retry: BTreeMap<NeighbourKey, Instant>,
    /// Asked once whether this kernel does as it is told.
    examined: bool,
    /// Why the kernel does not keep (all) entries.
    problem: Option<String>,
}

impl Upkeep {
    /// Takes over what carries our mark, also what a killed predecessor left.
    pub(super) fn adopt(&mut self, tables: &Tables) {
        let ours = tables.neighbours.values().filter(|entry| entry.ours);
        self.owned.extend(ours.map(|entry| entry.key));
    }

    /// Pure: which of our entries are not `wanted` any more.
    pub(super) fn surplus(&mut self, wanted: impl Fn(&NeighbourKey) -> bool) -> Vec<Job> {
        self.retry.retain(|key, _| wanted(key));
        let unwanted = self.owned.iter().filter(|key| !wanted(key));
        unwanted.map(|key| Job::Forget(*key)).collect()
    }

    /// Pure: which of these wanted entries, and of those to be tried again, the kernel is to keep.
    /// Entries of the administrator's or managed by another program are left alone.
    pub(super) fn missing(
        &mut self,
        now: Instant,
        tables: &Tables,
        wanted: impl Iterator<Item = NeighbourKey>,
    ) -> Vec<Job> {
        let again = self.retry.iter().filter(|(_, at)| **at <= now);
        let keys: BTreeSet<NeighbourKey> = wanted.chain(again.map(|(key, _)| *key)).collect();
        let mut jobs = Vec::new();
        for key in keys {
            let entry = tables.neighbours.get(&key);
            let managed = entry.is_some_and(|entry| entry.managed);
            if managed || tables.askable(key).is_none() {
                self.retry.remove(&key);
            } else if self.retry.get(&key).is_none_or(|at| *at <= now) {
                self.retry.insert(key, now + RETRY);
                jobs.push(Job::Manage(key));
            }
        }
        jobs
    }

    /// The entry vanished from the kernel (a link went down takes all of its): try anew at once.
    pub(super) fn vanished(&mut self, key: NeighbourKey) {
        self.retry.remove(&key);
    }

    /// When [`Upkeep::missing`] may have more to do.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retry.values().min().copied()
    }

    /// Why entries are kept by probes alone, for people.
    pub(super) fn problem(&self) -> Option<&String> {
        self.problem.as_ref()
    }

    /// The entry carries our mark from now on.
    pub(super) fn own(&mut self, key: NeighbourKey) {
        self.owned.insert(key);
    }

    /// Carries out what was planned. What fails is remembered and planned again.
    pub(super) async fn perform(&mut self, net: &Net, jobs: Vec<Job>) {
        let mut problem = None;
        let mut managed_any = false;
        for job in jobs {
            let result = match job {
                Job::Manage(key) => {
                    let result = net.manage_neighbour(key).await;
                    if result.is_ok() {
                        managed_any = true;
                        self.own(key);
                        self.examine(net, key).await;
                    }
                    result
                }
                Job::Forget(key) => {
                    self.owned.remove(&key);
                    net.forget_neighbour(key).await.map(|_| ())
                }
            };
            if let Err(error) = result {
                problem.get_or_insert(chain(&error));
            }
        }
        if problem.is_some() && problem != self.problem {
            tracing::warn!(
                reason = problem.as_deref(),
                "the kernel does not keep a next hop's neighbour entry; our probes do"
            );
        }
        if problem.is_some() || (managed_any && !self.ignored()) {
            self.problem = problem;
        }
    }

    /// Removes every entry we made.
    pub(super) async fn close(mut self, net: &Net) {
        for key in std::mem::take(&mut self.owned) {
            if let Err(error) = net.forget_neighbour(key).await {
                tracing::warn!(neighbour = %key, error = chain(&error),
                    "a neighbour entry of ours stays behind");
            }
        }
    }

    async fn examine(&mut self, net: &Net, key: NeighbourKey) {
        if self.examined {
            return;
        }
        if let Ok(Some(entry)) = net.neighbour(key).await {
            self.examined = true;
            if !entry.managed {
                self.problem = Some(IGNORED.to_owned());
                tracing::warn!(reason = IGNORED, "our probes keep the neighbour entries");
            }
        }
    }

    fn ignored(&self) -> bool {
        self.problem.as_deref() == Some(IGNORED)
    }
}

const IGNORED: &str = "this kernel has no managed neighbour entries (they came with Linux 5.16)";
/// How long until an entry that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(5);
