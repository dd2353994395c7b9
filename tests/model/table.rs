//! The connection table of a balancer on the host: the program's, in memory of this process.

use std::cell::{Cell, RefCell};

use lb_common::{
    connections::{Memory, SET, TICK_SHIFT, Value, WAY},
    counters::{self, FlowCounters, Shared},
    verdict::FlowEvent,
};
use lb_user::dataplane::arena::Arena;
use zerocopy::FromZeros as _;

/// See the top of this file.
pub(crate) struct Table {
    pub(crate) arena: Arena,
    secret: u64,
    now: Cell<u32>,
    services: RefCell<Vec<(FlowCounters, Shared)>>,
    /// What happened since [`Table::take`].
    events: RefCell<Vec<FlowEvent>>,
    /// Flows that were pushed out, by tag, and how they were known.
    evicted: RefCell<Vec<(u64, Value)>>,
    /// Of the way that is being taken.
    displaced: Cell<Value>,
}

impl Table {
    /// `bytes` is a power of two of at least two sets.
    pub(crate) fn new(bytes: u32, secret: u64) -> Self {
        Self {
            arena: Arena::anonymous(bytes).expect("memory"),
            secret,
            now: Cell::new(0),
            services: RefCell::new(vec![
                (FlowCounters::new_zeroed(), Shared::default());
                SERVICES as usize
            ]),
            events: RefCell::default(),
            evicted: RefCell::default(),
            displaced: Cell::new(Value::FREE),
        }
    }

    /// The program's clock.
    pub(crate) fn set_clock(&self, nanos: u64) {
        let tick = (nanos >> TICK_SHIFT) & u64::from(u32::MAX);
        self.now.set(u32::try_from(tick).expect("masked"));
    }

    pub(crate) fn tick(&self) -> u32 {
        self.now.get()
    }

    /// What happened, and who was pushed out.
    pub(crate) fn take(&self) -> (Vec<FlowEvent>, Vec<(u64, Value)>) {
        (self.events.take(), self.evicted.take())
    }

    /// Whether a flow could not be remembered since [`Table::take`].
    pub(crate) fn refused(&self) -> bool {
        let events = self.events.borrow();
        let refusal = |e: &FlowEvent| matches!(e, FlowEvent::OverBudget | FlowEvent::Full);
        events.iter().any(refusal)
    }

    /// Turns taken of a service's sequence.
    pub(crate) fn turns(&self, service: u32) -> u32 {
        u32::try_from(self.services.borrow()[service as usize].1.turn).expect("few")
    }

    /// Flows that are remembered.
    pub(crate) fn len(&self) -> usize {
        let ways = (0..self.arena.length()).step_by(WAY as usize);
        ways.filter(|at| Value::from_word(self.arena.load(at + 8)).is_taken())
            .count()
    }
}

impl Memory for Table {
    fn secret(&self) -> u64 {
        self.secret
    }

    fn home(&self, random: u32) -> u32 {
        random & (self.arena.length() - SET)
    }

    fn load(&self, at: u32) -> u64 {
        self.arena.load(at)
    }

    fn store(&self, at: u32, word: u64) {
        if at.is_multiple_of(WAY) {
            let (old, value) = (self.arena.load(at), self.displaced.get());
            if value.is_taken() && old != word {
                self.evicted.borrow_mut().push((old, value));
            }
        }
        self.arena.put(at, word);
    }

    fn exchange(&self, at: u32, old: u64, new: u64) -> bool {
        if new == Value::BUSY.word() {
            self.displaced.set(Value::from_word(old));
        }
        self.arena.exchange(at, old, new)
    }

    fn now(&self) -> u32 {
        self.now.get()
    }

    fn grant(&self, service: u32, budget: u32, now: u32) -> bool {
        let (own, shared) = &mut self.services.borrow_mut()[service as usize];
        counters::grant(own, shared, budget, now)
    }

    fn turn(&self, service: u32) -> u32 {
        let shared = &mut self.services.borrow_mut()[service as usize].1;
        let turn = u32::try_from(shared.turn).expect("few");
        shared.turn += 1;
        turn
    }

    fn count(&self, _: u32, event: FlowEvent) {
        self.events.borrow_mut().push(event);
    }
}

/// Services that the maps have room for.
pub(crate) const SERVICES: u32 = 8;
