use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const GRACE: u32 = 100;

/// A world in which backends 0 … 9 exist, and some live.
struct World {
    ring: RingImage,
    dead: HashSet<u32>,
    now: u32,
    stateful: bool,
}

impl World {
    fn new(owners: &[u16]) -> Self {
        let mut world = Self {
            ring: RingImage::default(),
            dead: HashSet::new(),
            now: 1000,
            stateful: false,
        };
        world.to(owners);
        world
    }

    /// Gives the slots these owners, by the ids of backends.
    fn to(&mut self, owners: &[u16]) -> &mut Self {
        self.with(owners, None)
    }

    fn with(&mut self, owners: &[u16], foreign: Option<Foreign<'_>>) -> &mut Self {
        // Numbered backwards once in a while, as when members come and go.
        let mut locals: Vec<BackendId> = (0..10).map(BackendId).collect();
        if self.now.is_multiple_of(2) {
            locals.reverse();
        }
        let place = |owner: &u16| {
            let id = BackendId(u32::from(*owner));
            let found = locals.iter().position(|local| *local == id);
            found.map_or(NOBODY, |place| u16::try_from(place).unwrap())
        };
        let owners: Vec<u16> = owners.iter().map(place).collect();
        let dead = self.dead.clone();
        self.ring = advance(&Change {
            old: &self.ring,
            locals: &locals.clone().into(),
            owners: &owners,
            living: &|id| !dead.contains(&id.0),
            now: self.now,
            grace: GRACE,
            stateful: self.stateful,
            foreign,
        });
        self
    }

    fn after(&mut self, seconds: u32) -> &mut Self {
        self.now += seconds;
        self
    }

    /// Owner and who misses go to, by ids; -1: nobody, -2: the table's, so the owner's.
    fn slot(&self, number: usize) -> (i64, Option<i64>) {
        let id = |local: u16| {
            let id = self.ring.locals.get(usize::from(local));
            id.map_or(-1, |id| i64::from(id.0))
        };
        let slot = self.ring.slots[number];
        let previous = match slot.previous() {
            Previous::Plain => None,
            Previous::Table => Some(-2),
            Previous::Local(local) => Some(id(local)),
            Previous::Older => {
                let older = self.ring.older.as_ref().unwrap();
                let at = number * older.slots.len() / self.ring.slots.len();
                Some(id(older.slots[at]))
            }
        };
        (id(slot.owner()), previous)
    }
}

#[test]
fn a_slot_that_moves_keeps_its_living_previous_owner_for_the_grace_time() {
    let mut world = World::new(&[1, 2]);
    assert!(world.ring.is_quiet());
    world.after(1).to(&[3, 2]);
    assert_eq!(world.slot(0), (3, Some(1)));
    assert_eq!(world.slot(1), (2, None), "the other has not moved");
    assert_eq!(deadline(&world.ring, GRACE), Some(1101));
    world.after(99).to(&[3, 2]);
    assert_eq!(world.slot(0), (3, Some(1)));
    world.after(1).to(&[3, 2]);
    assert_eq!(world.slot(0), (3, Some(-2)));
    assert_eq!(deadline(&world.ring, GRACE), None);
}

#[test]
fn a_slot_that_moves_again_keeps_its_first_previous_owner_and_the_clock_starts_anew() {
    let mut world = World::new(&[1]);
    world.after(1).to(&[2]).after(90).to(&[3]);
    assert_eq!(world.slot(0), (3, Some(1)));
    world.after(99).to(&[3]);
    assert_eq!(world.slot(0), (3, Some(1)));
    world.after(1).to(&[3]);
    assert_eq!(world.slot(0), (3, Some(-2)));
}

#[test]
fn a_slot_that_comes_back_is_its_owners_but_for_what_is_remembered() {
    let mut world = World::new(&[1]);
    world.after(1).to(&[2]).after(5).to(&[1]);
    assert_eq!(world.slot(0), (1, Some(-2)));
    world.after(5).to(&[4]);
    assert_eq!(world.slot(0), (4, Some(1)));
}

#[test]
fn a_dead_owner_is_nobodys_previous() {
    let mut world = World::new(&[1]);
    world.dead.insert(1);
    world.after(1).to(&[2]);
    assert_eq!(world.slot(0), (2, None));
    world.dead.clear();
    world.after(1).to(&[1]);
    assert_eq!(world.slot(0), (1, Some(2)), "flows of the meantime stay");
    world.dead.insert(2);
    world.after(1).to(&[1]);
    assert_eq!(world.slot(0), (1, Some(-2)), "the previous owner died");
}

#[test]
fn a_slot_is_plain_again_once_a_sweep_has_found_nothing() {
    let mut world = World::new(&[1]);
    world.after(1).to(&[2]).after(GRACE).to(&[2]);
    let foreign = |began, slots| Foreign::new(began, slots);
    let dirty: HashSet<u32> = [0].into();
    let now = world.now;
    world
        .after(10)
        .with(&[2], Some(foreign(now + 5, Some(&dirty))));
    assert_eq!(world.slot(0), (2, Some(-2)), "an entry names another");
    world.with(&[2], Some(foreign(now, None)));
    assert_eq!(world.slot(0), (2, Some(-2)), "the sweep began too early");
    world.with(&[2], Some(foreign(now + 5, None)));
    assert_eq!(world.slot(0), (2, None));
    assert!(world.ring.is_quiet());
}

#[test]
fn a_ring_of_another_size_leaves_the_old_one_beside_it() {
    let mut world = World::new(&[1, 2]);
    world.dead.insert(2);
    world.after(1).to(&[3, 3, 1, 1]);
    assert_eq!(
        [0, 1, 2, 3].map(|s| world.slot(s).1),
        [Some(1), Some(1), Some(-1), Some(-1)]
    );
    world.after(50).to(&[3, 4, 1, 1]);
    assert_eq!(world.slot(1), (4, Some(1)), "the first one answers");
    world.after(99).to(&[3, 4, 1, 1]);
    assert_eq!(world.slot(1), (4, Some(1)), "and the clock started anew");
    world.after(1).to(&[3, 4, 1, 1]);
    assert_eq!(world.slot(1), (4, Some(-2)));
    assert!(world.ring.older.is_none());
}

#[test]
fn a_stateful_service_is_never_plain() {
    let mut world = World::new(&[]);
    world.stateful = true;
    world.to(&[1]);
    assert_eq!(world.slot(0), (1, Some(-2)));
    let world = world.after(50);
    let now = world.now;
    world.with(&[1], Some(Foreign::new(now, None)));
    assert_eq!(world.slot(0), (1, Some(-2)));
}

#[test]
fn what_has_not_changed_is_shared() {
    let mut world = World::new(&[1, 2]);
    world.after(2).to(&[1, 3]);
    let before = world.ring.clone();
    world.after(2).to(&[1, 3]);
    assert!(Arc::ptr_eq(&before.slots, &world.ring.slots));
    assert!(Arc::ptr_eq(&before.since, &world.ring.since));
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    Owners(Vec<u16>),
    Wait(u32),
    Die(u32),
    Recover(u32),
    Open(u32),
    Talk(usize),
}

fn step(sizes: &'static [usize]) -> impl Strategy<Value = Step> {
    prop_oneof![
        (prop::sample::select(sizes), any::<u64>()).prop_map(|(size, seed)| {
            let owner = |n| (lb_common::hash::mix64(seed ^ n as u64) % 6) as u16;
            Step::Owners((0..size).map(owner).collect())
        }),
        (1u32..60).prop_map(Step::Wait),
        (0u32..6).prop_map(Step::Die),
        (0u32..6).prop_map(Step::Recover),
        any::<u32>().prop_map(Step::Open),
        any::<usize>().prop_map(Step::Talk),
        any::<usize>().prop_map(Step::Talk),
    ]
}

/// A connection as the model has it, and as the program would remember it.
struct Flow {
    hash: u32,
    backend: u32,
    remembered: bool,
    last: u32,
}

/// Where the program sends a packet: what `lb_common::steer` does, in a few lines.
fn send(world: &World, flow: Option<&Flow>, hash: u32, opens: bool) -> (u32, bool) {
    let ring = &world.ring;
    let at =
        |length: usize| lb_common::hash::slot_of(hash, u32::try_from(length).unwrap()) as usize;
    let slot = ring.slots[at(ring.slots.len())];
    let id = |local: u16| {
        ring.locals
            .get(usize::from(local))
            .map_or(u32::MAX, |id| id.0)
    };
    if let Some(flow) = flow
        && flow.remembered
        && slot.previous() != Previous::Plain
    {
        return (flow.backend, true);
    }
    let remembered = flow.is_some_and(|flow| flow.remembered);
    let owner = id(slot.owner());
    match slot.previous() {
        Previous::Plain | Previous::Table => (owner, remembered),
        _ if opens => (owner, true),
        Previous::Local(local) => (id(local), true),
        Previous::Older => {
            let older = &ring.older.as_ref().unwrap().slots;
            match older[at(older.len())] {
                NOBODY => (owner, true),
                local => (id(local), true),
            }
        }
    }
}

proptest! {
    /// Whatever happens, a living flow that is heard of within the grace time stays on its living
    /// backend, with a table that has room.
    #[test]
    fn living_flows_stay_on_living_backends(
        history in proptest::collection::vec(step(&[16, 16, 16, 32]), 1..120)
    ) {
        let mut world = World::new(&[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3]);
        let mut owners: Vec<u16> = world.ring.slots.iter().map(|s| s.owner()).collect();
        owners = owners.iter().map(|local| u16::try_from(world.ring.locals[usize::from(*local)].0).unwrap()).collect();
        let mut flows: Vec<Flow> = Vec::new();
        for step in history {
            match step {
                Step::Owners(new) => owners = new,
                Step::Wait(seconds) => world.now += seconds,
                Step::Die(id) if world.dead.len() < 5 => {
                    world.dead.insert(id);
                    // A new generation: nothing of it is remembered.
                    flows.retain(|flow| flow.backend != id);
                }
                Step::Die(_) => {}
                Step::Recover(id) => { world.dead.remove(&id); }
                Step::Open(hash) if flows.iter().all(|flow| flow.hash != hash) => {
                    let (backend, remembered) = send(&world, None, hash, true);
                    flows.push(Flow { hash, backend, remembered, last: world.now });
                }
                Step::Open(_) => {}
                Step::Talk(which) if !flows.is_empty() => {
                    let which = which % flows.len();
                    let (backend, remembered) = send(&world, Some(&flows[which]), flows[which].hash, false);
                    prop_assert_eq!(backend, flows[which].backend, "{:?}", world.ring);
                    flows[which].remembered = remembered;
                    flows[which].last = world.now;
                }
                Step::Talk(_) => {}
            }
            // The first available one of a short list, as the ring does it.
            let alive = |owner: &u16| {
                (0..6u16).map(|n| (owner + n) % 6).find(|n| !world.dead.contains(&u32::from(*n)))
            };
            let available: Vec<u16> = owners.iter().map(|owner| alive(owner).unwrap_or(99)).collect();
            // Every flow is heard of often enough: what is idle for longer than the grace is not
            // promised anything.
            let now = world.now;
            flows.retain(|flow| flow.remembered || now - flow.last < GRACE / 2);
            let foreign = foreign(&world, &flows);
            let found = Foreign::new(now, Some(&foreign));
            world.with(&available, Some(found));
        }
    }
}

/// What a sweep would find.
fn foreign(world: &World, flows: &[Flow]) -> HashSet<u32> {
    let ring = &world.ring;
    let length = u32::try_from(ring.slots.len()).unwrap();
    let mut slots = HashSet::new();
    for flow in flows.iter().filter(|flow| flow.remembered) {
        let slot = lb_common::hash::slot_of(flow.hash, length);
        let owner = ring.slots[slot as usize].owner();
        if ring.locals.get(usize::from(owner)).map(|id| id.0) != Some(flow.backend) {
            slots.insert(slot);
        }
    }
    slots
}
