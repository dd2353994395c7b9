//! The connection table: which backend a flow is with, for flows that the ring alone cannot answer.
//!
//! One array of 64-byte sets, four ways of 16 bytes each. A flow lives in its home set or in that
//! set's neighbour (the other half of 128 bytes, which processors fetch together): one cache line and
//! no call for a hit, two for a miss.
//!
//! ```text
//! way    0        8                                             16
//!       +--------+---------------------------------------------+
//!       |  tag   | id:16 | generation:16 | tick:24 | state:8   |
//!       +--------+---------------------------------------------+
//! ```
//!
//! The tag is [`flow_tag`](crate::hash::flow_tag). Readers and writers are programs on many CPUs and
//! the agent's sweep, without locks: a value is only ever changed by compare-and-exchange, a way is
//! taken by exchanging its value for [`Value::BUSY`] first, and readers look at the value before the
//! tag. So a tag is never seen with another flow's value on machines that keep the order of stores
//! and of loads (x86 does; elsewhere it needs the very flow's way to be taken over between the two
//! loads).
//!
//! A flow that is established is never pushed out by a new one: if all eight ways are, the new flow
//! is not remembered, and the ring answers for it.
//!
//! Where a service keeps clients with their backend, the client has an entry like a flow's, under a tag of
//! another kind: one table to size, to sweep and to bound.

use crate::{
    arena::Arena,
    clients::{self, Client},
    verdict::FlowEvent,
};

/// Nanoseconds of a tick, as a shift: a little more than a second.
pub const TICK_SHIFT: u32 = 30;
/// Ticks are counted modulo 2^24: half a year.
pub const TICK_MASK: u32 = (1 << 24) - 1;
/// Length of a set, bytes.
pub const SET: u32 = 64;
/// Length of a way, bytes.
pub const WAY: u32 = 16;
/// Ways that a flow may be in: two sets' worth.
pub const WAYS: u32 = 8;

/// How far a flow has got, as seen from the client's side alone. The order is that of strength: a
/// weaker entry makes room for a new flow before a stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// A FIN or RST went by.
    Closing = 1,
    /// A SYN went by and nothing since.
    Opening = 2,
    /// A client of whom only first packets of flows were seen: anybody can send those in its name.
    Newcomer = 3,
    /// One packet from the middle of a flow went by, or the first of a UDP flow.
    Glimpsed = 4,
    /// More than that.
    Established = 5,
    /// A client with a flow that was more than its first packet.
    Client = 6,
}

impl State {
    /// From [`Value::state_byte`].
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Closing),
            2 => Some(Self::Opening),
            3 => Some(Self::Newcomer),
            4 => Some(Self::Glimpsed),
            5 => Some(Self::Established),
            6 => Some(Self::Client),
            _ => None,
        }
    }
}

/// The second word of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(u64);

impl Value {
    /// A way that nobody has.
    pub const FREE: Self = Self(0);
    /// A way that is being taken.
    pub const BUSY: Self = Self(0xff << 56);

    /// Of a flow that was seen at `tick`.
    #[inline(always)]
    #[must_use]
    pub const fn new(id: u16, generation: u16, tick: u32, state: State) -> Self {
        let tick = (tick & TICK_MASK) as u64;
        Self(id as u64 | (generation as u64) << 16 | tick << 32 | (state as u64) << 56)
    }

    /// From the table.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// For the table.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The backend's index.
    #[inline(always)]
    #[must_use]
    pub const fn id(self) -> u16 {
        self.0 as u16
    }

    /// The backend's generation.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// When the flow was seen last.
    #[inline(always)]
    #[must_use]
    pub const fn tick(self) -> u32 {
        (self.0 >> 32) as u32 & TICK_MASK
    }

    /// [`State`] as a number; 0: free, 0xff: busy.
    #[inline(always)]
    #[must_use]
    pub const fn state_byte(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// Whether a flow or a client is here.
    #[inline(always)]
    #[must_use]
    pub const fn is_taken(self) -> bool {
        // 1 … 6 by one comparison.
        self.state_byte().wrapping_sub(State::Closing as u8) < State::Client as u8
    }

    /// Ticks since the flow was seen. A clock that is a little behind the writer's counts as 0.
    #[inline(always)]
    #[must_use]
    pub const fn idle(self, now: u32) -> u32 {
        let idle = now.wrapping_sub(self.tick()) & TICK_MASK;
        if idle > TICK_MASK / 2 { 0 } else { idle }
    }

    /// A client's value after a packet of one of its flows: of one that is `proven` to be more than its
    /// first packet, or not.
    #[inline(always)]
    #[must_use]
    const fn visited(self, proven: bool, now: u32) -> Self {
        let state = if proven {
            State::Client as u8
        } else {
            self.state_byte()
        };
        let rest = self.0 & 0xffff_ffff;
        Self(rest | ((now & TICK_MASK) as u64) << 32 | (state as u64) << 56)
    }

    /// The value after another packet of the flow.
    #[inline(always)]
    #[must_use]
    const fn after(self, packet: Packet, now: u32) -> Self {
        let state = self.state_byte();
        let next = if packet.closes {
            State::Closing as u8
        } else if state == State::Closing as u8 || packet.opens {
            state
        } else if state == State::Glimpsed as u8 && self.tick() == now & TICK_MASK {
            // A burst is no proof that somebody answers: it takes a packet of another second.
            state
        } else {
            State::Established as u8
        };
        let rest = self.0 & 0xffff_ffff;
        Self(rest | ((now & TICK_MASK) as u64) << 32 | (next as u64) << 56)
    }
}

/// What the table wants to know of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// SYN without ACK.
    pub opens: bool,
    /// FIN or RST.
    pub closes: bool,
    /// RST: nothing follows.
    pub resets: bool,
}

impl Packet {
    /// Of UDP, which says nothing.
    pub const UDP: Self = Self {
        opens: false,
        closes: false,
        resets: false,
    };

    /// The state in which a flow is remembered first.
    #[inline(always)]
    #[must_use]
    pub const fn first_state(self) -> State {
        if self.closes {
            State::Closing
        } else if self.opens {
            State::Opening
        } else {
            State::Glimpsed
        }
    }
}

/// What the program remembers: the table, clocks, budgets and counters. The kernel's implementation
/// is in `lb-ebpf/src/maps.rs`; the agent and the tests have others.
pub trait Memory: Sized {
    /// The key of the table.
    fn secret(&self) -> u64;
    /// Byte offset of the home set for a random number.
    fn home(&self, random: u32) -> u32;
    /// The offset of a way, which is within the table: for the verifiers of old kernels (6.1), which after
    /// `^` know nothing any more of what two numbers were, masked once more in the program.
    fn bounded(&self, way: u32) -> u32 {
        way
    }
    /// The word at a byte offset (a multiple of 8, at most a set beyond a home), read once.
    fn load(&self, at: u32) -> u64;
    /// Stores a word of a way that is [`Value::BUSY`].
    fn store(&self, at: u32, word: u64);
    /// Stores `new` where `old` still is; whether it was.
    fn exchange(&self, at: u32, old: u64, new: u64) -> bool;
    /// 0, in the program by a way that the compiler cannot see: a loop that begins there stays one, and
    /// so needs little of a small stack.
    fn zero(&self) -> u32 {
        0
    }
    /// `number`, in the program by a way that the verifier cannot follow. What it has learnt of a number
    /// on each of several ways would keep them apart in all that comes after; so they are one again.
    /// `other` is any number of which it knows nothing.
    fn blurred(&self, number: u64, _other: u64) -> u64 {
        number
    }
    /// The time in ticks of [`TICK_SHIFT`].
    fn now(&self) -> u32;
    /// Whether another new flow of a service may be remembered in this tick.
    fn grant(&self, service: u32, budget: u32, now: u32) -> bool;
    /// A number that is one more each time it is asked for.
    fn turn(&self, service: u32) -> u32;
    /// Counts for a service.
    fn count(&self, service: u32, event: FlowEvent);
    /// [`clients::host`], in the program by a function that the verifier looks at only once.
    fn client_host<A: Arena>(&self, arena: &A, client: Client) -> Option<u32> {
        clients::host(arena, self, client)
    }
}

/// A remembered flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Byte offset of its way.
    pub at: u32,
    /// What is known.
    pub value: Value,
}

/// Where the home set of a tag is.
#[inline(always)]
fn home<M: Memory>(memory: &M, tag: u64) -> u32 {
    // Mixed with the table's key, so that nobody can aim at a set.
    memory.home((crate::hash::mix64(tag ^ memory.secret()) >> 32) as u32)
}

/// The `n`-th way (of [`WAYS`]).
#[inline(always)]
fn way<M: Memory>(memory: &M, home: u32, n: u32) -> u32 {
    let set = if n < WAYS / 2 { home } else { home ^ SET };
    memory.bounded(set + (n % (WAYS / 2)) * WAY)
}

/// [`Memory::blurred`] for the offset of a way.
#[inline(always)]
fn blurred_way<M: Memory>(memory: &M, at: u32, other: u64) -> u32 {
    memory.bounded(memory.blurred(at.into(), other) as u32)
}

/// Looks a flow up.
#[inline(always)]
pub fn find<M: Memory>(memory: &M, tag: u64) -> Option<Hit> {
    let home = home(memory, tag);
    let mut n = memory.zero();
    let mut at = home;
    let mut value = Value::FREE;
    while n < WAYS {
        at = way(memory, home, n);
        // The value before the tag: see the top of this file.
        value = Value::from_word(memory.load(at + 8));
        if memory.load(at) == tag && value.is_taken() {
            break;
        }
        n += 1;
    }
    // Before it is known whether there is one: else LLVM leaves the other case undefined.
    let at = blurred_way(memory, at, tag);
    (n < WAYS).then_some(Hit { at, value })
}

/// Notes that another packet of a remembered flow went by. Whether that says more than the one before:
/// once a tick, and when the flow gets further.
#[inline(always)]
pub fn refresh<M: Memory>(memory: &M, hit: &Hit, packet: Packet, now: u32) -> bool {
    let next = hit.value.after(packet, now);
    let news = next != hit.value;
    if news {
        // If somebody else was quicker, that is as good.
        memory.exchange(hit.at + 8, hit.value.word(), next.word());
    }
    news
}

/// Notes that a packet of a remembered client went by: see [`State::Newcomer`] for `proven`.
#[inline(always)]
pub fn visit<M: Memory>(memory: &M, hit: &Hit, proven: bool, now: u32) {
    let next = hit.value.visited(proven, now);
    if next != hit.value {
        memory.exchange(hit.at + 8, hit.value.word(), next.word());
    }
}

/// Forgets a flow.
#[inline(always)]
pub fn forget<M: Memory>(memory: &M, hit: &Hit) {
    let (old, free) = (hit.value.word(), Value::FREE.word());
    memory.exchange(hit.at + 8, old, free);
}

/// How remembering went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// In a way that was free, or that was the flow's own.
    Kept,
    /// In the way of a weaker entry.
    Evicted,
    /// Not at all: all ways are established flows', or another CPU was quicker.
    Full,
}

/// Remembers a flow, in its old place if it has one.
#[inline(always)]
pub fn remember<M: Memory>(
    memory: &M,
    tag: u64,
    value: Value,
    own: Option<Hit>,
    now: u32,
) -> Remembered {
    let (at, old) = match own {
        Some(hit) => (hit.at, hit.value),
        None => match weakest(memory, home(memory, tag), tag, now) {
            Some(found) => found,
            None => return Remembered::Full,
        },
    };
    if !memory.exchange(at + 8, old.word(), Value::BUSY.word()) {
        return Remembered::Full;
    }
    memory.store(at, tag);
    memory.store(at + 8, value.word());
    if own.is_none() && old != Value::FREE {
        Remembered::Evicted
    } else {
        Remembered::Kept
    }
}

/// The way that a new flow gets: a free one, else the longest idle of the weakest state.
#[inline(always)]
fn weakest<M: Memory>(memory: &M, home: u32, random: u64, now: u32) -> Option<(u32, Value)> {
    let mut best = home;
    let mut best_value = Value::FREE;
    let mut best_rank = u32::MAX;
    let mut n = memory.zero();
    while n < WAYS {
        let at = way(memory, home, n);
        let value = Value::from_word(memory.load(at + 8));
        // State above, freshness below; a busy way is stronger than all.
        let rank = (value.state_byte() as u32) << 24 | (TICK_MASK - value.idle(now));
        let rank = if value == Value::FREE { 0 } else { rank };
        if rank < best_rank {
            best_rank = rank;
            best = blurred_way(memory, at, random);
            best_value = value;
        }
        n += 1;
    }
    (best_rank < (State::Established as u32) << 24).then_some((best, best_value))
}

#[cfg(test)]
mod tests;
