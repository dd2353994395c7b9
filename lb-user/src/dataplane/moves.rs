//! Pure: what becomes of a ring when its owners change: who keeps the flows that are older than a move.
//!
//! A slot's life: *plain* → its owner changes and the old one lives → *moved*, for the service's grace
//! time: whoever is not remembered is the previous owner's → *table*: flows that are remembered
//! elsewhere stay, all others are the owner's → plain again, once a sweep of the connection table has
//! found no entry of the slot that names another backend.
//!
//! * A slot that moves again while it is moved keeps its first living previous owner, and the clock
//!   starts anew: every flow that is newer than the first move is remembered, so whichever is not is
//!   older than it.
//! * A dead previous owner is nobody's: the slot is as if its grace were over. What is remembered of a
//!   dead backend is void by its new generation.
//! * A ring of another size cannot say slot by slot who was before: the old ring stays beside it for the
//!   grace time and answers for the same hash.

use std::{collections::HashMap, sync::Arc};

use lb_common::ring::{NOBODY, Previous, Slot};

use super::{
    image::{BackendId, OlderRing, RingImage},
    sweep::Foreign,
};

/// What a ring is to become.
pub struct Change<'a> {
    /// The ring in force; empty for a new service.
    pub old: &'a RingImage,
    /// Everyone the new ring may name: members, then those that only have flows left.
    pub locals: &'a Arc<[BackendId]>,
    /// The new owners, as positions in `locals`.
    pub owners: &'a [u16],
    /// Whether a backend can serve the flows it has.
    pub living: &'a dyn Fn(BackendId) -> bool,
    /// Boot time in seconds.
    pub now: u32,
    /// How long flows older than a move are looked after, seconds.
    pub grace: u32,
    /// Whether the service remembers every flow: then no slot is ever plain.
    pub stateful: bool,
    /// What the last whole sweep found of this service.
    pub foreign: Option<Foreign<'a>>,
}

/// Works the new ring out. Without a sequence: that is the scheduler's.
#[must_use]
pub fn advance(change: &Change<'_>) -> RingImage {
    let map = Renumbering::new(change);
    if change.old.slots.len() == change.owners.len() {
        same_size(change, &map)
    } else {
        other_size(change, &map)
    }
}

/// When the ring has to be looked at again because a grace time ends, boot time in seconds; `None`: only
/// when something else changes.
#[must_use]
pub fn deadline(ring: &RingImage, grace: u32) -> Option<u32> {
    let moved = ring.slots.iter().zip(ring.since.iter());
    let moved = moved.filter_map(|(slot, since)| match slot.previous() {
        Previous::Local(_) => Some(since.saturating_add(grace)),
        _ => None,
    });
    let older = ring.older.iter().map(|older| older.since + grace);
    moved.chain(older).min()
}

/// Whether a sweep may bring some slot back to plain.
#[must_use]
pub fn has_table_slots(ring: &RingImage) -> bool {
    !ring.since.is_empty() && ring.slots.iter().any(|s| s.previous() == Previous::Table)
}

fn same_size(change: &Change<'_>, map: &Renumbering) -> RingImage {
    let older = older_in_force(change, map);
    let mut older_since = older.as_ref().map(|older| older.since);
    let mut slots = Vec::with_capacity(change.owners.len());
    let mut since = Vec::with_capacity(change.owners.len());
    for (number, (slot, owner)) in change.old.slots.iter().zip(change.owners).enumerate() {
        let before = At {
            number,
            owner: map.new_local(slot.owner()),
            previous: map.previous(slot.previous()),
            since: change.old.since.get(number).copied().unwrap_or(change.now),
        };
        let (previous, moved) = next(change, map, &before, *owner, older.is_some());
        if previous == Previous::Older && moved != before.since {
            // It moved again: the clock of the whole older ring starts anew.
            older_since = Some(change.now);
        }
        slots.push(Slot::new(*owner, previous));
        since.push(if previous == Previous::Plain {
            0
        } else {
            moved
        });
    }
    finish(change, slots, since, older.zip(older_since))
}

/// A slot as it is, in the new numbering.
struct At {
    number: usize,
    owner: u16,
    previous: Previous,
    since: u32,
}

/// What is known of a slot after `owner` has got it, and since when.
fn next(
    change: &Change<'_>,
    map: &Renumbering,
    slot: &At,
    owner: u16,
    older: bool,
) -> (Previous, u32) {
    let moves = owner != slot.owner;
    let restarted = if moves { change.now } else { slot.since };
    let in_grace = |since: u32| since.saturating_add(change.grace) > change.now;
    let settled = match slot.previous {
        Previous::Older if older => return (Previous::Older, restarted),
        // Back where it began: whoever is not remembered is the owner's.
        Previous::Local(previous) if previous == owner => (Previous::Table, change.now),
        Previous::Local(previous) if map.lives(previous) && in_grace(slot.since) => {
            return (Previous::Local(previous), restarted);
        }
        Previous::Local(_) | Previous::Older => (Previous::Table, change.now),
        Previous::Table if change.stateful => (Previous::Table, slot.since),
        Previous::Table => match &change.foreign {
            Some(foreign) if foreign.is_clean(slot.number, slot.since) => (Previous::Plain, 0),
            _ => (Previous::Table, slot.since),
        },
        Previous::Plain if change.stateful => (Previous::Table, change.now),
        Previous::Plain => (Previous::Plain, 0),
    };
    if moves && slot.owner != NOBODY && map.lives(slot.owner) && change.grace > 0 {
        if matches!(slot.previous, Previous::Local(previous) if previous == owner) {
            return settled;
        }
        return (Previous::Local(slot.owner), change.now);
    }
    match settled {
        (Previous::Table, _) if moves => (Previous::Table, change.now),
        other => other,
    }
}

/// The ring has another size than before: the old one stays beside it.
fn other_size(change: &Change<'_>, map: &Renumbering) -> RingImage {
    let living = |local: u16| {
        if map.lives(local) { local } else { NOBODY }
    };
    // Flows newer than the first change are remembered, so the first older ring answers for the rest.
    let kept = older_in_force(change, map).map(|older| older.slots);
    let answers = kept.unwrap_or_else(|| {
        let in_grace = |number: usize| {
            let since = change.old.since.get(number).copied().unwrap_or(0);
            since.saturating_add(change.grace) > change.now
        };
        let slots = change.old.slots.iter().enumerate();
        let answer = |(number, slot): (usize, &Slot)| match map.previous(slot.previous()) {
            Previous::Local(previous) if in_grace(number) && map.lives(previous) => previous,
            _ => living(map.new_local(slot.owner())),
        };
        slots.map(answer).collect()
    });
    let matters = change.grace > 0 && answers.iter().any(|local| *local != NOBODY);
    let previous = if matters {
        Previous::Older
    } else if change.stateful || !change.old.is_quiet() {
        Previous::Table
    } else {
        Previous::Plain
    };
    let slots = change
        .owners
        .iter()
        .map(|owner| Slot::new(*owner, previous));
    let since = vec![change.now; change.owners.len()];
    let older = matters.then(|| {
        let older = OlderRing {
            slots: answers,
            since: change.now,
        };
        (older, change.now)
    });
    finish(change, slots.collect(), since, older)
}

/// The older ring in the new numbering, without the dead, if its time is not over.
fn older_in_force(change: &Change<'_>, map: &Renumbering) -> Option<OlderRing> {
    let older = change.old.older.as_ref()?;
    if older.since.saturating_add(change.grace) <= change.now {
        return None;
    }
    let slots = older.slots.iter().map(|local| {
        let local = map.new_local(*local);
        if map.lives(local) { local } else { NOBODY }
    });
    let slots: Arc<[u16]> = slots.collect();
    let somebody = slots.iter().any(|local| *local != NOBODY);
    somebody.then_some(OlderRing {
        slots,
        since: older.since,
    })
}

/// Puts the parts together, sharing with the old ring what is as it was.
fn finish(
    change: &Change<'_>,
    slots: Vec<Slot>,
    since: Vec<u32>,
    older: Option<(OlderRing, u32)>,
) -> RingImage {
    let quiet = slots.iter().all(|s| s.previous() == Previous::Plain);
    let since = if quiet { Vec::new() } else { since };
    let older = older.map(|(older, since)| OlderRing { since, ..older });
    RingImage {
        locals: share(&change.old.locals, change.locals.to_vec()),
        slots: share(&change.old.slots, slots),
        since: share(&change.old.since, since),
        older: match (older, &change.old.older) {
            (Some(new), Some(old)) if **old == new => Some(Arc::clone(old)),
            (new, _) => new.map(Arc::new),
        },
        sequence: Arc::default(),
        sequence_start: 0,
    }
}

fn share<T: PartialEq>(old: &Arc<[T]>, new: Vec<T>) -> Arc<[T]> {
    if **old == *new {
        Arc::clone(old)
    } else {
        new.into()
    }
}

/// From the old ring's locals to the new ones.
struct Renumbering {
    new: Vec<u16>,
    living: Vec<bool>,
}

impl Renumbering {
    fn new(change: &Change<'_>) -> Self {
        let places: HashMap<BackendId, u16> = change.locals.iter().copied().zip(0u16..).collect();
        let place = |id: &BackendId| places.get(id).copied().unwrap_or(NOBODY);
        Self {
            new: change.old.locals.iter().map(place).collect(),
            living: change
                .locals
                .iter()
                .map(|id| (change.living)(*id))
                .collect(),
        }
    }

    fn new_local(&self, old: u16) -> u16 {
        self.new.get(usize::from(old)).copied().unwrap_or(NOBODY)
    }

    fn previous(&self, old: Previous) -> Previous {
        match old {
            Previous::Local(local) => match self.new_local(local) {
                NOBODY => Previous::Table,
                new => Previous::Local(new),
            },
            other => other,
        }
    }

    fn lives(&self, new: u16) -> bool {
        self.living.get(usize::from(new)).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
