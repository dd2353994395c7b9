//! Clients that stay with their backend: persistence.
//!
//! A client is whoever has an address with the service's prefix. It has an entry in the connection table
//! under a tag of its own kind ([`client_tag`](crate::hash::client_tag)), which names its backend.

use crate::{
    arena::Arena,
    backend::{self, BackendEntry, CLOSED},
    connections::{self, Memory, State},
    hash::{client_tag, hash_of_tag},
    service::ServiceEntry,
    steer::{self, Question},
    verdict::FlowEvent,
};

/// A client. No `Option` around it: what the compiler makes of its empty half the verifier refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// What the table knows it by.
    pub tag: u64,
}

impl Client {
    /// Nobody in particular.
    pub const ANYBODY: Self = Self { tag: 0 };

    /// Whose flow it is; [`Client::ANYBODY`] where the service does not care.
    #[inline(always)]
    #[must_use]
    pub const fn of(question: &Question, service: &ServiceEntry, secret: u64) -> Self {
        if service.client_bits == 0 {
            return Self::ANYBODY;
        }
        let prefix = question.source.prefix(service.client_bits);
        Self {
            tag: client_tag(service.hash_key, secret, prefix),
        }
    }

    /// Whether it is somebody.
    #[inline(always)]
    #[must_use]
    pub const fn is_somebody(self) -> bool {
        self.tag != 0
    }

    /// Says its slot. The same on every balancer, so that they agree on whoever they have not seen.
    #[inline(always)]
    #[must_use]
    pub const fn hash(self) -> u32 {
        hash_of_tag(self.tag)
    }
}

/// Where the entry of the backend is that a client is known to be with, if that takes new flows of it.
#[inline(always)]
pub fn host<A: Arena, M: Memory>(arena: &A, memory: &M, client: Client) -> Option<u32> {
    let value = connections::find(memory, client.tag)?.value;
    let at = backend::by_id(arena, value.id(), value.generation())?;
    let entry: &BackendEntry = arena.view(at)?;
    (entry.flags & CLOSED == 0).then_some(at)
}

/// What there is to note of a packet's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum News {
    /// Nothing.
    Nothing = 0,
    /// It has a new flow.
    NewFlow = 1,
    /// A flow of it has got further.
    Further = 2,
}

/// Notes it, after [`steer::steer`] has said so: a step of its own, because the two together need more
/// stack than there is. A client that is not known is remembered for a new flow only.
#[inline(always)]
pub fn note<A: Arena, M: Memory>(
    arena: &A,
    memory: &M,
    question: &Question,
    backend: u32,
    further: bool,
) {
    let Some(service) = arena.view::<ServiceEntry>(question.service) else {
        return;
    };
    let tag = Client::of(question, service, memory.secret()).tag;
    let now = memory.now();
    let known = connections::find(memory, tag);
    let Some(entry) = arena.view::<BackendEntry>(backend) else {
        return;
    };
    if let Some(known) = &known {
        let value = known.value;
        let is_there = u32::from(value.id()) == entry.id && value.generation() == entry.generation;
        if is_there {
            connections::visit(memory, known, further, now);
            return;
        }
    }
    if further {
        return;
    }
    let event = steer::keep(memory, service, tag, entry, State::Newcomer, known, now);
    if event == FlowEvent::OverBudget || event == FlowEvent::Full {
        memory.count(service.id, event);
    }
}
