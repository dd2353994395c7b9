//! What must hold while the network is well.
//!
//! 1. Two masters that hear each other: not for longer than the longer of their intervals, the way of
//!    an advert, and the waking up at both ends. (The better one speaks within its interval, and the
//!    worse one gives way when it hears that.)
//! 2. Nobody is master though somebody could be: not for longer than the best living router waits for
//!    the master it heard last (three of that one's intervals and its own skew), and the same delays. A
//!    group waits for its slowest member.
//! 3. In the end there is exactly one master on each link, and it announced after every other that was
//!    master when the network healed, paused or not. (One that had given up before is known to nobody:
//!    for those there is `garp.refresh`.)
//! 4. Whoever was paused for longer than anybody waits does not speak before it has listened for an
//!    interval, or heard another master; in good weather and bad.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_user::{config::model::VrrpVersion, vrrp::machine::Role};

use crate::world::World;

/// Since when what must not last has been so.
#[derive(Debug)]
pub(crate) struct Checker {
    calm_since: Instant,
    /// Who was master of each link when the calm began.
    rivals: Vec<Vec<usize>>,
    two: BTreeMap<(usize, usize, usize), Instant>,
    /// And how long that may last.
    none: BTreeMap<usize, (Instant, Duration)>,
}

impl Checker {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            calm_since: world.now,
            rivals: (0..world.links).map(|link| rivals(world, link)).collect(),
            two: BTreeMap::new(),
            none: BTreeMap::new(),
        }
    }

    /// From now on everything has to hold.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.calm_since = now;
    }

    /// After each step of a calm phase.
    pub(crate) fn check(&mut self, world: &World) -> Result<(), String> {
        for link in 0..world.links {
            self.two_masters(world, link)?;
            self.no_master(world, link)?;
        }
        spoke_early(world)
    }

    fn two_masters(&mut self, world: &World, link: usize) -> Result<(), String> {
        let nodes = world.nodes.len();
        for one in 0..nodes {
            for two in one + 1..nodes {
                let both = [one, two].iter().all(|node| {
                    !world.nodes[*node].paused && world.role(*node, link) == Role::Master
                });
                let lasts = both && world.hear_each_other(one, two, link);
                let known = self.two.get(&(one, two, link)).copied();
                // What is over now has lasted until now.
                if !lasts && known.is_none() {
                    continue;
                }
                let since = known.unwrap_or(world.now);
                let lasted = world.now - since.max(self.calm_since);
                let interval = |node: usize| world.nodes[node].configs[link].interval;
                let limit = interval(one).max(interval(two)) + delays(world);
                if lasted > limit {
                    return Err(format!(
                        "nodes {one} and {two} are both master on link {link} for {lasted:?}, over {limit:?}"
                    ));
                }
                if lasts {
                    self.two.insert((one, two, link), since);
                } else {
                    self.two.remove(&(one, two, link));
                }
            }
        }
        Ok(())
    }

    fn no_master(&mut self, world: &World, link: usize) -> Result<(), String> {
        let best = (0..world.nodes.len())
            .filter(|node| world.nodes[*node].able())
            .max_by_key(|node| {
                let config = &world.nodes[*node].configs[link];
                (config.priority, config.source)
            });
        let best = best.filter(|_| masters(world, link).is_empty());
        let limit = best.map(|best| master_down(world, best) + delays(world));
        let known = self.none.get(&link).copied();
        // What is over now has lasted until now, and whoever ended it knows nothing any more of the
        // master that it waited for.
        if let Some((since, before)) = known {
            let lasted = world.now - since.max(self.calm_since);
            let limit = limit.unwrap_or(before);
            if lasted > limit {
                return Err(format!(
                    "nobody is master on link {link} for {lasted:?}, over {limit:?} (best: {best:?})"
                ));
            }
        }
        match limit {
            Some(limit) => {
                let since = known.map_or(world.now, |(since, _)| since);
                self.none.insert(link, (since, limit));
            }
            None => {
                self.none.remove(&link);
            }
        }
        Ok(())
    }

    /// After a calm phase that was long enough.
    pub(crate) fn settled(&self, world: &World) -> Result<(), String> {
        if !world.nodes.iter().any(|node| node.able()) {
            return Ok(());
        }
        for link in 0..world.links {
            let masters = masters(world, link);
            let [master] = masters[..] else {
                return Err(format!("masters of link {link} in the end: {masters:?}"));
            };
            let last = world.last_announcement[link].filter(|last| *last != master);
            if last.is_some_and(|last| self.rivals[link].contains(&last)) {
                return Err(format!(
                    "node {master} is master of link {link}, but the last announcement was of {last:?}"
                ));
            }
        }
        Ok(())
    }
}

fn masters(world: &World, link: usize) -> Vec<usize> {
    let mut masters = rivals(world, link);
    masters.retain(|node| !world.nodes[*node].paused);
    masters
}

/// Who has the addresses: also one that is paused, whose kernel answers for them.
fn rivals(world: &World, link: usize) -> Vec<usize> {
    (0..world.nodes.len())
        .filter(|node| world.role(*node, link) == Role::Master)
        .collect()
}

/// How long a calm phase must be for [`Checker::settled`].
pub(crate) fn long_enough(world: &World) -> Duration {
    // The last of two masters is gone, silence has been noticed, and the winner has announced.
    // (A winner that has just announced does so again an interval and skew later.)
    3 * longest_wait(world) + 2 * world.longest_interval()
}

/// The way of an advert, and waking up for it and before it.
fn delays(world: &World) -> Duration {
    world.weather.delay + 2 * world.weather.jitter + Duration::from_micros(10)
}

/// RFC 9568, section 6.1, and RFC 3768, section 6.1, of a node's slowest router.
fn master_down(world: &World, node: usize) -> Duration {
    let configs = world.nodes[node].configs.iter().enumerate();
    let waits = configs.map(|(link, config)| {
        let (interval, base) = match config.version {
            VrrpVersion::V2 => (config.interval, Duration::from_secs(1)),
            VrrpVersion::V3 => {
                let learned = world.learned_interval(node, link);
                (learned, learned)
            }
        };
        3 * interval + base * (256 - u32::from(config.priority.get())) / 256
    });
    waits.max().unwrap_or_default()
}

/// Of anybody, whatever it has learned. Twice for a group, which begins again when a member gives way.
fn longest_wait(world: &World) -> Duration {
    let alone = 4 * world.longest_interval();
    if world.links > 1 { 2 * alone } else { alone }
}

/// Promise 4, which holds at all times.
pub(crate) fn spoke_early(world: &World) -> Result<(), String> {
    world.spoke_early.clone().map_or(Ok(()), Err)
}
