//! What the host remembers in the program's place: notes of fragments of its own, and for the rest the
//! program's connection table, which it looks at and does not change.

use std::{cell::RefCell, collections::HashMap};

use lb_common::{
    connections::Memory,
    fragments::{Fragments, Note},
    verdict::FlowEvent,
};
use lb_user::dataplane::remembered::ReadOnly;

/// Notes, by tag.
pub(crate) type Notes = RefCell<HashMap<u64, Note>>;

/// See the top of this file.
pub(crate) struct HostMemory<'a> {
    pub table: ReadOnly<'a>,
    pub notes: &'a Notes,
}

impl Memory for HostMemory<'_> {
    fn secret(&self) -> u64 {
        self.table.secret
    }
    fn home(&self, random: u32) -> u32 {
        self.table.home(random)
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

impl Fragments for HostMemory<'_> {
    fn secret(&self) -> u64 {
        self.table.secret
    }
    fn note(&self, tag: u64, note: Note) {
        self.notes.borrow_mut().insert(tag, note);
    }
    fn find(&self, tag: u64) -> Option<Note> {
        self.notes.borrow().get(&tag).copied()
    }
}
