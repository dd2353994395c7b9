//! Pure: who owns which slot of a service's ring.
//!
//! A function of the configured members and of who is available, never of history: two balancers
//! that see the same have the same ring without a word between them.
//!
//! * The *head* of a slot's preference list comes from Maglev (Eisenbud et al., NSDI 2016, §3.4) over
//!   **all** members with their configured weights, with exact quotas. Failure and drain rebuild no
//!   head.
//! * Behind the head every slot has a pseudo-random order of all members, proportional to weight. It
//!   is worked out only where the head is not available, and only as far as needed: draws first,
//!   and after [`DRAWS`] fruitless ones weighted rendezvous among the rest.
//!
//! So one member's failure moves its own slots and no other, spread by weight, and its return brings
//! exactly those back. Integer arithmetic only: the same ring on every machine.

use std::net::IpAddr;

use lb_common::{addr::Addr, hash::mix64, limits::MAX_RING_SLOTS, ring::NOBODY};

/// A configured backend, as far as the ring cares: address and port are its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its address.
    pub address: IpAddr,
    /// Its port, host order.
    pub port: u16,
    /// Its share; 0: never an owner.
    pub weight: u16,
}

/// Sizes of rings: primes, so that every skip of a Maglev permutation visits every slot.
pub const SIZES: [u32; 11] = [
    1021,
    2039,
    4093,
    8191,
    16_381,
    32_749,
    65_537,
    131_071,
    262_139,
    524_287,
    MAX_RING_SLOTS,
];

/// Number of slots for these members: the smallest size with 100 slots a member, and with 4 for the
/// lightest. `requested` (0: nothing) sets it instead, rounded up to the next size.
#[must_use]
pub fn slot_count(members: &[Member], requested: u32) -> u32 {
    let weights = members
        .iter()
        .map(|m| u64::from(m.weight))
        .filter(|weight| *weight > 0);
    let count = weights.clone().count() as u64;
    let total: u64 = weights.clone().sum();
    let lightest = weights.min().unwrap_or(1);
    let wanted = match requested {
        0 => (count * SLOTS_EACH).max(total.div_ceil(lightest) * SLOTS_OF_LIGHTEST),
        _ => u64::from(requested),
    };
    SIZES
        .into_iter()
        .find(|size| u64::from(*size) >= wanted)
        .unwrap_or(MAX_RING_SLOTS)
}

/// The heads of all slots, and what is needed for the order behind them. Expensive to build; depends
/// on the configured members alone.
#[derive(Clone, Debug)]
pub struct Heads {
    heads: Vec<u16>,
    /// Members with weight, in the order of address and port.
    order: Vec<Candidate>,
    total_weight: u64,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Place in the slice that the caller gave.
    index: u16,
    hash: u64,
    weight: u64,
    /// Sum of the weights up to and with this one.
    cumulative: u64,
}

impl Heads {
    /// Builds the heads of `slots` slots (one of [`SIZES`]). Owners are positions in `members`, whose
    /// order has no influence on who owns what.
    ///
    /// # Panics
    ///
    /// With more than 65,535 members, which validation refuses.
    #[must_use]
    pub fn build(members: &[Member], slots: u32) -> Self {
        let mut sorted: Vec<(usize, &Member)> = members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.weight > 0)
            .collect();
        sorted.sort_by_key(|(_, member)| (member.address, member.port));
        let mut total_weight = 0;
        let order: Vec<Candidate> = sorted
            .into_iter()
            .map(|(index, member)| {
                total_weight += u64::from(member.weight);
                Candidate {
                    index: u16::try_from(index).expect("at most 65,535 members"),
                    hash: identity(member),
                    weight: u64::from(member.weight),
                    cumulative: total_weight,
                }
            })
            .collect();
        Self {
            heads: heads(&order, total_weight, slots),
            order,
            total_weight,
        }
    }

    /// The owner of every slot, or [`NOBODY`]: the first available member of the slot's list.
    #[must_use]
    pub fn owners(&self, available: impl Fn(usize) -> bool) -> Vec<u16> {
        let usable: Vec<Candidate> = self
            .order
            .iter()
            .copied()
            .filter(|candidate| available(usize::from(candidate.index)))
            .collect();
        if usable.is_empty() {
            return vec![NOBODY; self.heads.len()];
        }
        let slots = (0u64..).zip(&self.heads);
        slots
            .map(|(slot, head)| {
                if available(usize::from(*head)) {
                    *head
                } else {
                    self.behind_head(slot, &usable, &available)
                }
            })
            .collect()
    }

    /// The first available member behind the head of `slot`.
    fn behind_head(
        &self,
        slot: u64,
        usable: &[Candidate],
        available: impl Fn(usize) -> bool,
    ) -> u16 {
        for draw in 0..DRAWS {
            let hash = mix64(mix64(slot ^ DRAW_SEED).wrapping_add(draw));
            let point = scale(hash, self.total_weight);
            let at = self
                .order
                .partition_point(|candidate| candidate.cumulative <= point);
            if let Some(drawn) = self.order.get(at)
                && available(usize::from(drawn.index))
            {
                return drawn.index;
            }
        }
        // Rendezvous: the smallest exponential variate with the weight as its rate.
        let rank =
            |candidate: &Candidate| u128::from(minus_log2(mix64(candidate.hash ^ mix64(slot))));
        usable
            .iter()
            .min_by(|a, b| {
                let left = rank(a) * u128::from(b.weight);
                left.cmp(&(rank(b) * u128::from(a.weight)))
                    .then(a.hash.cmp(&b.hash))
            })
            .map_or(NOBODY, |candidate| candidate.index)
    }
}

/// Maglev's population with quotas: members take turns, each as often as its quota says, evenly
/// spread, and each time take the next free slot of their own permutation.
fn heads(order: &[Candidate], total_weight: u64, slots: u32) -> Vec<u16> {
    let mut heads = vec![NOBODY; slots as usize];
    let mut permutations: Vec<Permutation> = order
        .iter()
        .map(|candidate| Permutation::new(candidate.hash, slots))
        .collect();
    for member in turns(&quotas(order, total_weight, slots)) {
        let permutation = &mut permutations[member as usize];
        let slot = loop {
            let slot = permutation.next();
            if heads[slot as usize] == NOBODY {
                break slot;
            }
        };
        heads[slot as usize] = order[member as usize].index;
    }
    heads
}

/// How many slots each member gets: its share, rounded so that the sum is right (largest remainder),
/// and at least one.
fn quotas(order: &[Candidate], total_weight: u64, slots: u32) -> Vec<u32> {
    if order.is_empty() {
        return Vec::new();
    }
    let slots = u64::from(slots);
    let share = |c: &Candidate| {
        (
            slots * c.weight / total_weight,
            slots * c.weight % total_weight,
        )
    };
    let mut quotas: Vec<u64> = order.iter().map(|c| share(c).0.max(1)).collect();
    let given: u64 = quotas.iter().sum();
    let mut by_remainder: Vec<usize> = (0..order.len()).collect();
    by_remainder.sort_by_key(|i| (std::cmp::Reverse(share(&order[*i]).1), order[*i].hash));
    if given <= slots {
        for i in by_remainder
            .iter()
            .cycle()
            .take(usize::try_from(slots - given).unwrap_or(0))
        {
            quotas[*i] += 1;
        }
    } else {
        // Some got their one slot beyond their share: the heaviest pay for it.
        for _ in 0..given - slots {
            let heaviest = (0..quotas.len()).max_by_key(|i| (quotas[*i], order[*i].hash));
            quotas[heaviest.expect("there are members")] -= 1;
        }
    }
    quotas
        .into_iter()
        .map(|quota| u32::try_from(quota).unwrap_or(u32::MAX))
        .collect()
}

/// The members' turns: turn k of a member with quota q comes at (2k + 1) / 2q of the way.
fn turns(quotas: &[u32]) -> impl Iterator<Item = u32> + use<> {
    let mut turns: Vec<(u64, u32)> = Vec::new();
    for (member, quota) in (0u32..).zip(quotas) {
        let times = (0..*quota).map(|k| {
            (
                ((2 * u64::from(k) + 1) << 40) / (2 * u64::from(*quota)),
                member,
            )
        });
        turns.extend(times);
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, member)| member)
}

/// A member's order of slots: `offset`, `offset + skip`, …
struct Permutation {
    at: u32,
    skip: u32,
    slots: u32,
}

impl Permutation {
    fn new(hash: u64, slots: u32) -> Self {
        let at = scale(mix64(hash ^ OFFSET_SEED), u64::from(slots));
        let skip = scale(mix64(hash ^ SKIP_SEED), u64::from(slots) - 1) + 1;
        let narrow = |value: u64| u32::try_from(value).expect("below the number of slots");
        Self {
            at: narrow(at),
            skip: narrow(skip),
            slots,
        }
    }

    fn next(&mut self) -> u32 {
        let slot = self.at;
        // Both are below 2^20, so the sum does not overflow.
        self.at += self.skip;
        if self.at >= self.slots {
            self.at -= self.slots;
        }
        slot
    }
}

/// A member's hash. Fixed for ever: balancers of different releases must agree.
fn identity(member: &Member) -> u64 {
    let [high, low] = Addr::from(member.address).words();
    mix64(mix64(mix64(u64::from_be(high)) ^ u64::from_be(low)) ^ u64::from(member.port))
}

/// `hash` as a fraction of 2^64, times `range`.
fn scale(hash: u64, range: u64) -> u64 {
    u64::try_from((u128::from(hash) * u128::from(range)) >> 64).expect("less than the range")
}

/// −log2(hash / 2^64), 16 binary places, by squaring; at least 1.
fn minus_log2(hash: u64) -> u64 {
    let hash = hash.max(1);
    let zeros = u64::from(hash.leading_zeros());
    let mut mantissa = hash << zeros;
    let mut fraction = 0u64;
    for _ in 0..16 {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let carry = u64::try_from(square >> 127).expect("one bit");
        fraction = fraction << 1 | carry;
        mantissa = u64::try_from(square >> (63 + carry)).expect("64 bits");
    }
    (((zeros + 1) << 16) - fraction).max(1)
}

/// Slots for each member, at least.
const SLOTS_EACH: u64 = 100;
/// Slots for the member of the least weight, at least, where the largest ring allows.
const SLOTS_OF_LIGHTEST: u64 = 4;
/// Draws before the order behind a head goes over to rendezvous.
const DRAWS: u64 = 64;
const OFFSET_SEED: u64 = 0x6f66_6673_6574;
const SKIP_SEED: u64 = 0x736b_6970;
const DRAW_SEED: u64 = 0x6472_6177;

#[cfg(test)]
mod tests;
