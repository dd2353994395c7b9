//! Pure: what a packet filter does with adverts. Rules of nftables and of iptables come down to the same
//! few words; what has no word here is [`Fit::Perhaps`], and a rule that only perhaps concerns an advert
//! is taken for one that lets it through. So what is reported is real, and not everything is reported.

mod iptables;
mod nft;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

pub(super) use self::{iptables::parse as parse_iptables, nft::parse as parse_nft};
use crate::config::model::Family;

/// Chains by table and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    chains: BTreeMap<ChainKey, Chain>,
}

/// The table (with its family, as `inet filter`) and the name of a chain.
type ChainKey = (String, String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// Where packets enter it; `None`: only by a jump.
    hook: Option<Direction>,
    /// `None`: all families.
    family: Option<Family>,
    /// What is done with those that come to the end is: dropped.
    drops: bool,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// All of them have to fit.
    conditions: Vec<Condition>,
    verdict: Option<Verdict>,
    /// For people.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
    Return,
    /// To a chain of the same table; back where it ends, unless it is a `goto`.
    Jump {
        chain: String,
        back: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// One of these protocols, by name or number.
    Protocol(Vec<String>),
    /// The interface of this direction; a `*` or `+` at the end stands for anything.
    Interface(Direction, Vec<String>),
    /// One of these networks.
    Destination(Vec<IpNet>),
    /// Multicast (true) or to this host alone.
    Multicast(bool),
    /// Of one of these states of connection tracking.
    State(Vec<String>),
    Family(Family),
    /// Of another protocol than VRRP.
    Never,
    /// Nobody can say.
    Perhaps,
    Not(Box<Condition>),
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To this host.
    In,
    /// From it.
    Out,
}

impl Direction {
    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::In => "incoming",
            Self::Out => "outgoing",
        }
    }
}

/// An advert that is to be played through.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    /// Which way.
    pub direction: Direction,
    /// Where it comes in or goes out.
    pub interface: &'p str,
    /// Its family.
    pub family: Family,
    /// Where it goes; `None`: to some address of this host.
    pub destination: Option<IpAddr>,
}

/// Whether a condition is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    Perhaps,
}

impl Fit {
    fn of(met: bool) -> Self {
        if met { Self::Yes } else { Self::No }
    }
}

/// What became of a packet in a chain.
enum Fate {
    Accepted,
    Dropped(String),
    /// It came to the end, or back.
    Through,
}

impl Ruleset {
    /// The rule, or the policy, that drops this packet for sure.
    #[must_use]
    pub fn dropped_by(&self, packet: &Packet<'_>) -> Option<String> {
        // Each base chain has its say: only one that drops is final.
        self.chains.iter().find_map(|((table, name), chain)| {
            let concerned = chain.hook == Some(packet.direction)
                && chain.family.is_none_or(|family| family == packet.family);
            if !concerned {
                return None;
            }
            match self.walk(table, chain, packet, 0) {
                Fate::Dropped(rule) => Some(format!("`{rule}` in chain `{table} {name}`")),
                Fate::Through if chain.drops => Some(format!(
                    "no rule accepts it, and the policy of chain `{table} {name}` is drop"
                )),
                Fate::Accepted | Fate::Through => None,
            }
        })
    }

    /// Adds the chains of another.
    pub(super) fn extend(&mut self, other: Self) {
        self.chains.extend(other.chains);
    }

    fn walk(&self, table: &str, chain: &Chain, packet: &Packet<'_>, depth: u32) -> Fate {
        for rule in &chain.rules {
            let fit = rule.fit(packet);
            let Some(verdict) = rule.verdict.as_ref().filter(|_| fit != Fit::No) else {
                continue;
            };
            match (verdict, fit) {
                (Verdict::Accept, _) => return Fate::Accepted,
                (Verdict::Drop, Fit::Yes) => return Fate::Dropped(rule.text.clone()),
                (Verdict::Return, Fit::Yes) => return Fate::Through,
                // Whether it returns is open, and what comes after may drop: let it pass.
                (Verdict::Return, _) if chain.rules.iter().any(drops) => return Fate::Accepted,
                (Verdict::Jump { chain, back }, _) if depth < DEPTH => {
                    let key = (table.to_owned(), chain.clone());
                    let Some(target) = self.chains.get(&key) else {
                        continue;
                    };
                    match self.walk(table, target, packet, depth + 1) {
                        Fate::Through if *back => {}
                        Fate::Through if fit == Fit::Yes => return Fate::Through,
                        Fate::Through => {}
                        Fate::Dropped(_) if fit == Fit::Perhaps => {}
                        fate => return fate,
                    }
                }
                _ => {}
            }
        }
        Fate::Through
    }
}

fn drops(rule: &Rule) -> bool {
    matches!(rule.verdict, Some(Verdict::Drop | Verdict::Jump { .. }))
}

impl Rule {
    fn fit(&self, packet: &Packet<'_>) -> Fit {
        let fits = self
            .conditions
            .iter()
            .map(|condition| condition.fit(packet));
        fits.fold(Fit::Yes, |all, fit| match (all, fit) {
            (Fit::No, _) | (_, Fit::No) => Fit::No,
            (Fit::Perhaps, _) | (_, Fit::Perhaps) => Fit::Perhaps,
            (Fit::Yes, Fit::Yes) => Fit::Yes,
        })
    }
}

impl Condition {
    fn fit(&self, packet: &Packet<'_>) -> Fit {
        match self {
            Self::Protocol(names) => Fit::of(names.iter().any(|n| VRRP.contains(&n.as_str()))),
            Self::Interface(direction, names) => Fit::of(
                *direction == packet.direction
                    && names
                        .iter()
                        .any(|name| interface_fits(name, packet.interface)),
            ),
            Self::Destination(networks) => match packet.destination {
                Some(to) => Fit::of(networks.iter().any(|network| network.contains(&to))),
                None if networks.iter().all(|n| n.addr().is_multicast()) => Fit::No,
                None => Fit::Perhaps,
            },
            Self::Multicast(wanted) => {
                let multicast = packet.destination.is_some_and(|to| to.is_multicast());
                Fit::of(multicast == *wanted)
            }
            // Adverts are answered by nobody, so to connection tracking each is a new one.
            Self::State(states) if states.iter().any(|s| s == "new" || s == "untracked") => {
                Fit::Perhaps
            }
            Self::State(_) | Self::Never => Fit::No,
            Self::Family(family) => Fit::of(*family == packet.family),
            Self::Perhaps => Fit::Perhaps,
            Self::Not(condition) => match condition.fit(packet) {
                Fit::Yes => Fit::No,
                Fit::No => Fit::Yes,
                Fit::Perhaps => Fit::Perhaps,
            },
        }
    }
}

fn interface_fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(['*', '+']) {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// What 112 is called.
const VRRP: [&str; 3] = ["112", "vrrp", "carp"];
/// As deep as the kernel lets chains jump (`NFT_JUMP_STACK_SIZE`).
const DEPTH: u32 = 16;
