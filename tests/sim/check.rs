//! What must hold while the network is well.
//!
//! 1. Two masters that hear each other: not for longer than the longer of their intervals, the way of
//!    an advert, and the waking up at both ends. (The better one speaks within its interval, and the
//!    worse one gives way when it hears that.)
//! 2. Nobody is master though somebody could be: not for longer than master-down with the longest
//!    interval that may have been learned, and the same delays. Twice for a group, which waits for its
//!    slowest member and for what that has heard last.
//! 3. In the end there is exactly one master on each link, and it announced after every other that was
//!    master when the network healed. (One that had given up before, or did not run, is known to
//!    nobody: for those there is `garp.refresh`.)

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
    none: BTreeMap<usize, Instant>,
}

impl Checker {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            calm_since: world.now,
            rivals: (0..world.links).map(|link| masters(world, link)).collect(),
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
        Ok(())
    }

    fn two_masters(&mut self, world: &World, link: usize) -> Result<(), String> {
        let nodes = world.nodes.len();
        for one in 0..nodes {
            for two in one + 1..nodes {
                let both = [one, two].iter().all(|node| {
                    !world.nodes[*node].paused && world.role(*node, link) == Role::Master
                });
                if !both || !world.hear_each_other(one, two, link) {
                    self.two.remove(&(one, two, link));
                    continue;
                }
                let since = *self.two.entry((one, two, link)).or_insert(world.now);
                let lasted = world.now - since.max(self.calm_since);
                let interval = |node: usize| world.nodes[node].configs[link].interval;
                let limit = interval(one).max(interval(two)) + delays(world);
                if lasted > limit {
                    return Err(format!(
                        "nodes {one} and {two} are both master on link {link} for {lasted:?}, over {limit:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn no_master(&mut self, world: &World, link: usize) -> Result<(), String> {
        let somebody = world.nodes.iter().any(|node| node.able());
        let master = (0..world.nodes.len()).any(|node| world.role(node, link) == Role::Master);
        if master || !somebody {
            self.none.remove(&link);
            return Ok(());
        }
        let since = *self.none.entry(link).or_insert(world.now);
        let lasted = world.now - since.max(self.calm_since);
        let limit = master_down(world) + delays(world);
        if lasted > limit {
            return Err(format!(
                "nobody is master on link {link} for {lasted:?}, over {limit:?}"
            ));
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
    (0..world.nodes.len())
        .filter(|node| !world.nodes[*node].paused && world.role(*node, link) == Role::Master)
        .collect()
}

/// How long a calm phase must be for [`Checker::settled`].
pub(crate) fn long_enough(world: &World) -> Duration {
    // The last of two masters is gone, silence has been noticed, and the winner has announced.
    3 * master_down(world) + ANNOUNCED_AGAIN
}

/// The way of an advert, and waking up for it and before it.
fn delays(world: &World) -> Duration {
    world.weather.delay + 2 * world.weather.jitter + Duration::from_micros(10)
}

/// Of the most patient router: version 3 learns intervals, of which the longest may be anybody's.
fn master_down(world: &World) -> Duration {
    let configs = || world.nodes.iter().flat_map(|node| &node.configs);
    let interval = configs().map(|config| config.interval).max();
    let interval = interval.unwrap_or_default();
    let skew = match world.nodes[0].configs[0].version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => interval,
    };
    let alone = 3 * interval + skew;
    if world.links > 1 { 2 * alone } else { alone }
}

/// A winner that announced less than a second ago does so again an interval and skew later.
const ANNOUNCED_AGAIN: Duration = Duration::from_secs(3);
