//! Which backend a flow gets where the ring alone does not say: its slot has moved, or its service
//! spreads new flows by turns.
//!
//! * A remembered flow stays where it is, while that backend lives.
//! * A TCP connection that opens goes to the slot's owner and is remembered. Where it cannot be, it
//!   goes to the *previous* owner while that lives: a later miss then says the same.
//! * Any other packet of a flow that is not remembered is older than the move: it goes to the
//!   previous owner while that lives, and is remembered. UDP says of no packet that it is the first,
//!   so a new UDP flow goes there, too.

use crate::{
    addr::Addr,
    arena::Arena,
    backend::{self, BackendEntry},
    connections::{self, Hit, Memory, Packet, Remembered, State, Value},
    flow::TCP,
    hash::{flow_tag, slot_of},
    ring::{NOBODY, Previous, Ring, Slot},
    service::{self, STATEFUL, ServiceEntry},
    verdict::{DropReason, FlowEvent},
    wire::tcp,
};

/// Why a flow gets its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the slot's owner.
    Owner,
    /// The flow is remembered there: what the table says.
    Remembered(Value),
    /// The flow is older than the slot's move.
    Previous,
    /// It was its turn.
    Turn,
}

/// What [`steer`] needs to know of a packet: plain numbers, so that the program can ask in a function
/// that the verifier looks at only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where its service's entry is in the arena.
    pub service: u32,
    /// Hash of the flow under the service's key, port left out where the service does.
    pub hash: u32,
    /// Client address.
    pub source: Addr,
    /// Client port, host order.
    pub source_port: u16,
    /// [`TCP`] or UDP.
    pub protocol: u8,
    /// TCP flags; 0 for UDP.
    pub flags: u8,
}

impl Question {
    /// What the table knows the flow by.
    #[inline(always)]
    const fn tag(&self, service: &ServiceEntry, secret: u64) -> u64 {
        let (key, mask) = (service.hash_key, service.port_mask);
        flow_tag(key, mask, secret, self.source, self.source_port)
    }

    /// What the table wants to know.
    #[inline(always)]
    const fn packet(&self) -> Packet {
        if self.protocol != TCP {
            return Packet::UDP;
        }
        Packet {
            opens: self.flags & (tcp::SYN | tcp::ACK) == tcp::SYN,
            closes: self.flags & (tcp::FIN | tcp::RST) != 0,
            resets: self.flags & tcp::RST != 0,
        }
    }
}

/// Who answers a [`Question`]: the program by a function of its own, others by [`steer`] itself.
pub trait Steer {
    /// Where the entry of the backend is that gets the packet.
    ///
    /// # Errors
    ///
    /// As [`steer`].
    fn steer(&self, question: &Question) -> Result<u32, DropReason>;
}

/// An arena and a memory: all that [`steer`] needs.
#[derive(Clone, Copy, Debug)]
pub struct With<'a, A, M> {
    /// The arena.
    pub arena: &'a A,
    /// What is remembered.
    pub memory: &'a M,
}

impl<A: Arena, M: Memory> Steer for With<'_, A, M> {
    #[inline(always)]
    fn steer(&self, question: &Question) -> Result<u32, DropReason> {
        steer(self.arena, self.memory, question)
    }
}

/// Finds the backend's entry, remembers the flow where that is needed, and counts what it did.
///
/// # Errors
///
/// [`DropReason::NoBackend`] where nobody may have the flow, [`DropReason::BadTable`] where the ring
/// makes no sense.
#[inline(always)]
pub fn steer<A: Arena, M: Memory>(
    arena: &A,
    memory: &M,
    question: &Question,
) -> Result<u32, DropReason> {
    let entry: &ServiceEntry = arena.view(question.service).ok_or(DropReason::BadTable)?;
    let ring = Ring::open(arena, service::ring_of(arena, question.service))?;
    let slot = ring.slot(slot_of(question.hash, ring.slots()))?;
    if slot.previous() == Previous::Plain {
        return ring.backend(slot.owner());
    }
    let packet = question.packet();
    let now = memory.now();
    let tag = question.tag(entry, memory.secret());
    let found = connections::find(memory, tag);
    if let Some(hit) = &found
        && let Some(backend) = stays(arena, hit, packet)
    {
        connections::refresh(memory, hit, packet, now);
        memory.count(entry.id, FlowEvent::Hit);
        return Ok(backend);
    }
    memory.count(entry.id, FlowEvent::Miss);
    let miss = Miss::of(&ring, slot, entry, question, packet)?;
    // An entry that does not hold any more must not be found by the next packet.
    if !miss.remembers && found.is_none() {
        if miss.is_older {
            memory.count(entry.id, FlowEvent::ToPrevious);
        }
        return ring.backend(miss.refused);
    }
    let local = if miss.by_turn {
        ring.sequence(memory.turn(entry.id)).unwrap_or(miss.wanted)
    } else {
        miss.wanted
    };
    let backend = ring.backend(local)?;
    if miss.is_older {
        memory.count(entry.id, FlowEvent::ToPrevious);
    }
    let event = keep(arena, memory, entry, tag, backend, packet, found, now)?;
    memory.count(entry.id, event);
    if event == FlowEvent::Insert || event == FlowEvent::Eviction {
        return Ok(backend);
    }
    if let Some(hit) = &found {
        connections::forget(memory, hit);
    }
    ring.backend(miss.refused)
}

/// The backend of a remembered flow, if the flow stays with it.
#[inline(always)]
fn stays<A: Arena>(arena: &A, hit: &Hit, packet: Packet) -> Option<u32> {
    // A connection that opens where another has closed is a new one.
    if packet.opens && hit.value.state_byte() == State::Closing as u8 {
        return None;
    }
    backend::by_id(arena, hit.value.id(), hit.value.generation())
}

/// Whose a flow is that is not remembered.
struct Miss {
    /// Who gets it if it can be remembered.
    wanted: u16,
    /// Who gets it otherwise: whoever later misses go to, too.
    refused: u16,
    /// Whether it is to be remembered at all.
    remembers: bool,
    /// Whether the sequence says who is wanted.
    by_turn: bool,
    /// Whether it goes to a previous owner because it is older than the move.
    is_older: bool,
}

impl Miss {
    #[inline(always)]
    fn of<A: Arena>(
        ring: &Ring<'_, A>,
        slot: Slot,
        service: &ServiceEntry,
        question: &Question,
        packet: Packet,
    ) -> Result<Self, DropReason> {
        let owner = slot.owner();
        let previous = match slot.previous() {
            Previous::Local(local) => local,
            Previous::Older => ring.older(question.hash)?,
            Previous::Table | Previous::Plain => NOBODY,
        };
        // Who has what nobody remembers, now and after any later miss.
        let settled = if previous == NOBODY { owner } else { previous };
        let stateful = service.flags & STATEFUL != 0;
        let may_be_new = packet.opens || question.protocol != TCP;
        if stateful && may_be_new && (packet.opens || previous == NOBODY) {
            return Ok(Self {
                wanted: owner,
                refused: settled,
                remembers: true,
                by_turn: true,
                is_older: false,
            });
        }
        // With a ring of another size before, the owner of what was nobody's may change with any
        // slot: all are remembered. Else only while the slot has a previous owner.
        let moving = previous != NOBODY || matches!(slot.previous(), Previous::Older);
        Ok(Self {
            wanted: if packet.opens { owner } else { settled },
            refused: settled,
            remembers: moving && !packet.resets,
            by_turn: false,
            is_older: !packet.opens && previous != NOBODY,
        })
    }
}

/// Remembers a flow, if the budget and the table have room for it.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined: a struct would live on a small stack"
)]
fn keep<A: Arena, M: Memory>(
    arena: &A,
    memory: &M,
    service: &ServiceEntry,
    tag: u64,
    backend: u32,
    packet: Packet,
    own: Option<Hit>,
    now: u32,
) -> Result<FlowEvent, DropReason> {
    if !memory.grant(service.id, service.budget, now) {
        return Ok(FlowEvent::OverBudget);
    }
    let backend: &BackendEntry = arena.view(backend).ok_or(DropReason::BadTable)?;
    // An id fits: see `limits`.
    let value = Value::new(
        backend.id as u16,
        backend.generation,
        now,
        packet.first_state(),
    );
    Ok(match connections::remember(memory, tag, value, own, now) {
        Remembered::Kept => FlowEvent::Insert,
        Remembered::Evicted => FlowEvent::Eviction,
        Remembered::Full => FlowEvent::Full,
    })
}

/// What [`steer`] would say, without remembering or counting anything: for `explain`.
///
/// # Errors
///
/// As [`steer`].
pub fn explain<'a, A: Arena, M: Memory>(
    arena: &'a A,
    memory: &M,
    question: &Question,
) -> Result<Explained<'a>, DropReason> {
    let entry: &ServiceEntry = arena.view(question.service).ok_or(DropReason::BadTable)?;
    let ring = Ring::open(arena, service::ring_of(arena, question.service))?;
    let number = slot_of(question.hash, ring.slots());
    let slot = ring.slot(number)?;
    let view = |at: Result<u32, DropReason>| arena.view(at?).ok_or(DropReason::BadTable);
    let said = |backend, why| {
        Ok(Explained {
            slot: number,
            slots: ring.slots(),
            state: slot,
            moved_at: ring.moved_at(number),
            owner: view(ring.backend(slot.owner())).ok(),
            previous: match slot.previous() {
                Previous::Local(local) => view(ring.backend(local)).ok(),
                Previous::Older => {
                    view(ring.older(question.hash).and_then(|l| ring.backend(l))).ok()
                }
                Previous::Plain | Previous::Table => None,
            },
            backend: view(backend)?,
            why,
        })
    };
    if slot.previous() == Previous::Plain {
        return said(ring.backend(slot.owner()), Why::Owner);
    }
    let packet = question.packet();
    let tag = question.tag(entry, memory.secret());
    if let Some(hit) = connections::find(memory, tag)
        && let Some(backend) = stays(arena, &hit, packet)
    {
        return said(Ok(backend), Why::Remembered(hit.value));
    }
    let miss = Miss::of(&ring, slot, entry, question, packet)?;
    let why = if miss.by_turn {
        Why::Turn
    } else if miss.is_older {
        Why::Previous
    } else {
        Why::Owner
    };
    said(ring.backend(miss.wanted), why)
}

/// An answer of [`explain`].
#[derive(Clone, Copy)]
pub struct Explained<'a> {
    /// The slot's number.
    pub slot: u32,
    /// Number of slots of the ring.
    pub slots: u32,
    /// The slot.
    pub state: Slot,
    /// When it moved last, boot time in seconds.
    pub moved_at: Option<u32>,
    /// Who owns it.
    pub owner: Option<&'a BackendEntry>,
    /// Who has the flows that are older than the move and not remembered.
    pub previous: Option<&'a BackendEntry>,
    /// Who gets the flow; with [`Why::Turn`] only if it cannot be remembered.
    pub backend: &'a BackendEntry,
    /// Why.
    pub why: Why,
}
