//! Which backend a flow gets where the ring alone does not say: its slot has moved, or its service
//! spreads new flows by turns or keeps clients with their backend.
//!
//! * A remembered flow stays where it is, while that backend lives.
//! * A TCP connection that opens goes to the slot's owner and is remembered. Where it cannot be, it
//!   goes to the *previous* owner while that lives: a later miss then says the same.
//! * Any other packet of a flow that is not remembered is older than the move: it goes to the
//!   previous owner while that lives, and is remembered. UDP says of no packet that it is the first,
//!   so a new UDP flow goes there, too.
//! * Nothing is remembered of a backend that is dead, which gets flows only where nobody lives who should
//!   have them.
//! * Where clients stay with their backend, whatever may be a new flow of a remembered client goes there,
//!   and slots are those of the client, so that balancers that share no memory agree on it.

use crate::{
    addr::Addr,
    arena::Arena,
    backend::{self, BackendEntry, DEAD},
    clients::{self, Client, News},
    connections::{self, Hit, Memory, Packet, Remembered, State, Value},
    flow::TCP,
    fragments::{Fragments, Note},
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
    /// Its client is remembered there: what the table says.
    Client(Value),
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
    /// The packet is none of the flow but an ICMP error about it, which anybody can send: it goes where
    /// the flow goes, and changes nothing that is remembered.
    pub about: bool,
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
        let (arena, memory) = (self.arena, self.memory);
        let steered = steer(arena, memory, question)?;
        if steered.news != News::Nothing {
            let further = steered.news == News::Further;
            clients::note(arena, memory, question, steered.backend, further);
        }
        Ok(steered.backend)
    }
}

/// An answer of [`steer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steered {
    /// Where the entry of the backend is that gets the packet.
    pub backend: u32,
    /// What is to be noted of its client.
    pub news: News,
}

impl Steered {
    /// Nothing to note.
    #[inline(always)]
    const fn to(backend: u32) -> Self {
        Self {
            backend,
            news: News::Nothing,
        }
    }
}

impl<A, M: Fragments> Fragments for With<'_, A, M> {
    #[inline(always)]
    fn secret(&self) -> u64 {
        self.memory.secret()
    }

    #[inline(always)]
    fn note(&self, tag: u64, note: Note) {
        self.memory.note(tag, note);
    }

    #[inline(always)]
    fn find(&self, tag: u64) -> Option<Note> {
        self.memory.find(tag)
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
) -> Result<Steered, DropReason> {
    let entry: &ServiceEntry = arena.view(question.service).ok_or(DropReason::BadTable)?;
    let ring = Ring::open(arena, service::ring_of(arena, question.service))?;
    let client = Client::of(question, entry, memory.secret());
    let client = Client {
        tag: memory.blurred(client.tag, question.hash.into()),
    };
    let hash = hash_of(question, client);
    let slot = ring.slot(slot_of(hash, ring.slots()))?;
    if slot.previous() == Previous::Plain {
        return ring.backend(slot.owner()).map(Steered::to);
    }
    let packet = question.packet();
    let now = memory.now();
    let tag = question.tag(entry, memory.secret());
    let found = connections::find(memory, tag);
    if let Some(hit) = &found
        && let Some(backend) = stays(arena, hit, packet)
    {
        let further = !question.about
            && connections::refresh(memory, hit, packet, now)
            && client.is_somebody();
        memory.count(entry.id, FlowEvent::Hit);
        let news = if further {
            News::Further
        } else {
            News::Nothing
        };
        return Ok(Steered { backend, news });
    }
    memory.count(entry.id, FlowEvent::Miss);
    let miss = Miss::of(&ring, slot, entry, question, packet, hash)?;
    // An entry that does not hold any more must not be found by the next packet.
    if question.about || !miss.remembers && found.is_none() {
        if miss.is_older {
            memory.count(entry.id, FlowEvent::ToPrevious);
        }
        return ring.backend(miss.refused).map(Steered::to);
    }
    let is_clients = miss.may_be_new && client.is_somebody();
    let host = if is_clients {
        memory.client_host(arena, client)
    } else {
        None
    };
    let backend = match host {
        Some(backend) => backend,
        None if miss.by_turn => {
            let turn = ring.sequence(memory.turn(entry.id));
            ring.backend(turn.unwrap_or(miss.wanted))?
        }
        None => ring.backend(miss.wanted)?,
    };
    if miss.is_older && host.is_none() {
        memory.count(entry.id, FlowEvent::ToPrevious);
    }
    let there: &BackendEntry = arena.view(backend).ok_or(DropReason::BadTable)?;
    // Whoever is remembered on a dead backend would stay there when another is back before it.
    let lives = there.flags & DEAD == 0;
    if lives && is_kept(memory, entry, tag, there, packet.first_state(), found, now) {
        let news = if is_clients {
            News::NewFlow
        } else {
            News::Nothing
        };
        return Ok(Steered { backend, news });
    }
    if let Some(hit) = &found {
        connections::forget(memory, hit);
    }
    if lives {
        ring.backend(miss.refused).map(Steered::to)
    } else {
        Ok(Steered::to(backend))
    }
}

/// [`keep`], counted: whether it went well.
#[inline(always)]
fn is_kept<M: Memory>(
    memory: &M,
    service: &ServiceEntry,
    tag: u64,
    backend: &BackendEntry,
    state: State,
    own: Option<Hit>,
    now: u32,
) -> bool {
    let event = keep(memory, service, tag, backend, state, own, now);
    memory.count(service.id, event);
    event == FlowEvent::Insert || event == FlowEvent::Eviction
}

/// The hash that says a flow's slot.
#[inline(always)]
const fn hash_of(question: &Question, client: Client) -> u32 {
    if client.is_somebody() {
        client.hash()
    } else {
        question.hash
    }
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
    /// Whether it may be the first packet of its flow.
    may_be_new: bool,
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
        hash: u32,
    ) -> Result<Self, DropReason> {
        let owner = slot.owner();
        let previous = match slot.previous() {
            Previous::Local(local) => local,
            Previous::Older => ring.older(hash)?,
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
                by_turn: ring.has_sequence(),
                may_be_new,
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
            may_be_new,
            is_older: !packet.opens && previous != NOBODY,
        })
    }
}

/// Remembers a flow or a client, if the budget and the table have room for it.
#[inline(always)]
pub(crate) fn keep<M: Memory>(
    memory: &M,
    service: &ServiceEntry,
    tag: u64,
    backend: &BackendEntry,
    state: State,
    own: Option<Hit>,
    now: u32,
) -> FlowEvent {
    if !memory.grant(service.id, service.budget, now) {
        return FlowEvent::OverBudget;
    }
    // An id fits: see `limits`.
    let value = Value::new(backend.id as u16, backend.generation, now, state);
    match connections::remember(memory, tag, value, own, now) {
        Remembered::Kept => FlowEvent::Insert,
        Remembered::Evicted => FlowEvent::Eviction,
        Remembered::Full => FlowEvent::Full,
    }
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
    let client = Client::of(question, entry, memory.secret());
    let hash = hash_of(question, client);
    let number = slot_of(hash, ring.slots());
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
                Previous::Older => view(ring.older(hash).and_then(|l| ring.backend(l))).ok(),
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
    let miss = Miss::of(&ring, slot, entry, question, packet, hash)?;
    if miss.may_be_new
        && !question.about
        && client.is_somebody()
        && let Some(known) = connections::find(memory, client.tag)
        && let Some(backend) = clients::host(arena, memory, client)
    {
        return said(Ok(backend), Why::Client(known.value));
    }
    let why = if miss.by_turn && !question.about {
        Why::Turn
    } else if miss.is_older {
        Why::Previous
    } else {
        Why::Owner
    };
    let local = if question.about {
        miss.refused
    } else {
        miss.wanted
    };
    said(ring.backend(local), why)
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
