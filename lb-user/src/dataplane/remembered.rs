//! The connection table as `explain` sees it: it is looked at, and nothing is changed or counted.

use lb_common::{
    connections::{Memory, SET},
    fragments::{Fragments, Note},
    verdict::FlowEvent,
};

use super::arena::Arena;

/// See the top of this file.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnly<'a> {
    /// The table.
    pub table: &'a Arena,
    /// Its key.
    pub secret: u64,
}

impl Memory for ReadOnly<'_> {
    fn secret(&self) -> u64 {
        self.secret
    }

    fn home(&self, random: u32) -> u32 {
        random & self.table.length().saturating_sub(SET)
    }

    fn load(&self, at: u32) -> u64 {
        self.table.load(at)
    }

    fn store(&self, _: u32, _: u64) {}

    fn exchange(&self, _: u32, _: u64, _: u64) -> bool {
        false
    }

    fn now(&self) -> u32 {
        0
    }

    fn grant(&self, _: u32, _: u32, _: u32) -> bool {
        false
    }

    fn turn(&self, _: u32) -> u32 {
        0
    }

    fn count(&self, _: u32, _: FlowEvent) {}
}

impl Fragments for ReadOnly<'_> {
    fn secret(&self) -> u64 {
        self.secret
    }

    fn note(&self, _: u64, _: Note) {}

    fn find(&self, _: u64) -> Option<Note> {
        None
    }
}
