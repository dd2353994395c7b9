//! Pure: the order in which a service's backends get new flows, for schedulers that take turns or count.
//!
//! The program walks the sequence, one place a new flow, over and over. Those that count (`lc`, `wlc`,
//! `sed`, `nq`) get a new sequence after each sweep of the connection table: it first evens out what the
//! sweep found, and then goes on as the scheduler would if no flow ended.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::config::model::Scheduler;

/// A backend that gets new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its place in the ring's locals.
    pub local: u16,
    /// Its weight, not 0.
    pub weight: u16,
    /// Flows it has.
    pub flows: u32,
}

/// Whether a service with this scheduler remembers every flow.
#[must_use]
pub const fn is_stateful(scheduler: Scheduler) -> bool {
    match scheduler {
        Scheduler::Maglev | Scheduler::Sh | Scheduler::Dh => false,
        Scheduler::Rr
        | Scheduler::Wrr
        | Scheduler::Lc
        | Scheduler::Wlc
        | Scheduler::Sed
        | Scheduler::Nq => true,
    }
}

/// Whether this scheduler goes by the flows that backends have.
#[must_use]
pub const fn counts_flows(scheduler: Scheduler) -> bool {
    is_stateful(scheduler) && !matches!(scheduler, Scheduler::Rr | Scheduler::Wrr)
}

/// The sequence: locals by turns. Empty if nobody gets new flows, or if the scheduler takes no turns.
#[must_use]
pub fn sequence(scheduler: Scheduler, seats: &[Seat]) -> Vec<u16> {
    if seats.is_empty() || !is_stateful(scheduler) {
        return Vec::new();
    }
    let counts = counts_flows(scheduler);
    let length = match scheduler {
        Scheduler::Rr => seats.len(),
        Scheduler::Wrr => round(seats),
        _ => (seats.len() * TURNS_EACH).clamp(LEAST, LONGEST),
    };
    let mut queue: BinaryHeap<_> = (0u32..)
        .zip(seats)
        .map(|(place, seat)| {
            let flows = if counts { u64::from(seat.flows) } else { 0 };
            Reverse((cost(scheduler, seat, flows), place, flows))
        })
        .collect();
    let mut turns = Vec::with_capacity(length);
    while turns.len() < length {
        let Some(Reverse((_, place, flows))) = queue.pop() else {
            break;
        };
        let seat = &seats[place as usize];
        turns.push(seat.local);
        let flows = flows + 1;
        queue.push(Reverse((cost(scheduler, seat, flows), place, flows)));
    }
    turns
}

/// What another flow for a seat that has `flows` costs: the cheapest gets it. As IPVS says it
/// (`net/netfilter/ipvs/ip_vs_{lc,wlc,sed,nq}.c`), without its inactive connections.
fn cost(scheduler: Scheduler, seat: &Seat, flows: u64) -> u64 {
    let by_weight = |flows: u64| (flows << 20) / u64::from(seat.weight);
    match scheduler {
        Scheduler::Rr | Scheduler::Lc => flows,
        Scheduler::Nq if flows == 0 => 0,
        Scheduler::Wlc => by_weight(flows),
        // Turns in the middle of their share, so that the light ones do not all come last.
        Scheduler::Wrr => by_weight(2 * flows + 1),
        _ => by_weight(flows + 1),
    }
}

/// Turns after which everyone has had exactly its share, if that is not too long.
fn round(seats: &[Seat]) -> usize {
    let divisor = seats.iter().fold(0, |d, seat| gcd(d, seat.weight)).max(1);
    let turns: usize = seats
        .iter()
        .map(|seat| usize::from(seat.weight / divisor))
        .sum();
    turns.min(LONGEST)
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Turns for each backend in the sequence of a scheduler that counts.
const TURNS_EACH: usize = 64;
const LEAST: usize = 256;
const LONGEST: usize = 16_384;

#[cfg(test)]
mod tests;
