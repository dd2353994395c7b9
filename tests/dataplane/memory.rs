//! What the host remembers in the program's place: a connection table of its own, turns, budgets, notes of
//! fragments, and what it has counted.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use lb_common::{
    connections::{Memory, SET},
    counters::{self, FlowCounters, Shared},
    fragments::{Fragments, Note},
    verdict::FlowEvent,
};
use lb_user::dataplane::{bpf::Bpf, image::ServiceId, stats::Stats};

/// See the top of this file.
#[derive(Clone, PartialEq)]
pub(crate) struct HostMemory {
    secret: u64,
    /// The table's words.
    table: Vec<Cell<u64>>,
    /// By service: what the processor has to itself, and what all share.
    services: RefCell<HashMap<u32, (FlowCounters, Shared)>>,
    notes: RefCell<HashMap<u64, Note>>,
    /// The tick of the last answer, and how many were given in it.
    answers: Cell<(u32, u32)>,
    events: RefCell<HashMap<(u32, FlowEvent), u64>>,
    /// What the clock says.
    pub now: Cell<u32>,
}

impl HostMemory {
    /// As empty as the maps of a program that has just been loaded.
    pub(crate) fn new(bpf: &Bpf) -> Self {
        let words = bpf.table().length() as usize / size_of::<u64>();
        Self {
            secret: bpf.remembered().secret,
            table: vec![Cell::new(0); words],
            services: RefCell::default(),
            notes: RefCell::default(),
            answers: Cell::default(),
            events: RefCell::default(),
            now: Cell::default(),
        }
    }

    /// Whether another answer may be given now; it is counted as given.
    pub(crate) fn may_answer(&self) -> bool {
        let (tick, count) = self.answers.get();
        let count = if tick == self.now.get() { count } else { 0 };
        let may = count < ANSWERS_PER_TICK;
        self.answers.set((self.now.get(), count + u32::from(may)));
        may
    }

    /// How often something has happened, all services together.
    pub(crate) fn events(&self) -> HashMap<FlowEvent, u64> {
        let mut sums = HashMap::new();
        for ((_, event), count) in self.events.borrow().iter() {
            *sums.entry(*event).or_default() += *count;
        }
        sums
    }

    /// Whether this is what the program remembers and has counted.
    pub(crate) fn equals(&self, bpf: &Bpf, stats: &Stats) -> bool {
        let places = (0..bpf.table().length()).step_by(size_of::<u64>());
        let same_table = places
            .zip(&self.table)
            .all(|(at, word)| bpf.table().load(at) == word.get());
        let events = self.events.borrow();
        same_table && counts_are(&events, stats)
    }
}

/// Whether what has happened, by service, is what the program has counted.
pub(crate) fn counts_are(events: &HashMap<(u32, FlowEvent), u64>, stats: &Stats) -> bool {
    let count = |key| events.get(&key).copied().unwrap_or(0);
    stats.flows.iter().all(|(ServiceId(id), words)| {
        let events = FlowEvent::ALL.iter().zip(words);
        events
            .into_iter()
            .all(|(event, word)| count((*id, *event)) == *word)
    })
}

impl Memory for HostMemory {
    fn secret(&self) -> u64 {
        self.secret
    }
    fn home(&self, random: u32) -> u32 {
        let length = u32::try_from(self.table.len() * size_of::<u64>()).expect("a small table");
        random & (length - SET)
    }
    fn load(&self, at: u32) -> u64 {
        self.table[at as usize / 8].get()
    }
    fn store(&self, at: u32, word: u64) {
        self.table[at as usize / 8].set(word);
    }
    fn exchange(&self, at: u32, old: u64, new: u64) -> bool {
        let word = &self.table[at as usize / 8];
        let found = word.get() == old;
        if found {
            word.set(new);
        }
        found
    }
    fn now(&self) -> u32 {
        self.now.get()
    }
    fn grant(&self, service: u32, budget: u32, now: u32) -> bool {
        let mut services = self.services.borrow_mut();
        let (own, shared) = services.entry(service).or_default();
        counters::grant(own, shared, budget, now)
    }
    fn turn(&self, service: u32) -> u32 {
        let mut services = self.services.borrow_mut();
        let (_, shared) = services.entry(service).or_default();
        shared.turn += 1;
        u32::try_from(shared.turn - 1).expect("few turns")
    }
    fn count(&self, service: u32, event: FlowEvent) {
        let mut events = self.events.borrow_mut();
        *events.entry((service, event)).or_default() += 1;
    }
}

impl Fragments for HostMemory {
    fn secret(&self) -> u64 {
        self.secret
    }
    fn note(&self, tag: u64, note: Note) {
        self.notes.borrow_mut().insert(tag, note);
    }
    fn find(&self, tag: u64) -> Option<Note> {
        self.notes.borrow().get(&tag).copied()
    }
}

/// As the program's.
const ANSWERS_PER_TICK: u32 = 100;
