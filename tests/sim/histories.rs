//! From a seed to a history.

use std::time::{Duration, Instant};

use lb_tests::random::Random;
use lb_user::{
    config::model::{Garp, InitialState, VrrpVersion},
    types::{Priority, RouterId},
    vrrp::{
        machine::{Input, MachineConfig, Role, Start},
        wire::Authentication,
    },
};

use crate::{
    check::{Checker, long_enough, spoke_early},
    world::{Weather, World, address},
};

/// With which routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// Ours.
    Real,
    /// One of them hears nobody.
    Deaf,
    /// They announce only on becoming master.
    Mute,
    /// They do not notice that they were paused.
    Hasty,
}

/// Plays the history of a seed: whether every promise held, and what happened.
pub(crate) fn play(seed: u64, history: History) -> (Result<(), String>, Vec<String>) {
    let mut random = Random::new(seed);
    let configs = configs(&mut random);
    let fine = weather(&mut random, &configs);
    let mut world = World::new(random, configs, fine.clone());
    for node in &mut world.nodes {
        node.mute = history == History::Mute;
        node.hasty = history == History::Hasty;
    }
    world.nodes[0].deaf = history == History::Deaf;
    for node in 0..world.nodes.len() {
        world.boot(node, Start::Fresh);
    }
    let outcome = (0..PHASES).try_for_each(|_| {
        chaos(&mut world);
        spoke_early(&world)?;
        calm(&mut world, &fine)
    });
    (outcome, world.log)
}

/// A master is killed and comes back before anybody can have missed it.
pub(crate) fn restart(seed: u64) {
    let mut random = Random::new(seed);
    let configs = configs(&mut random);
    let fine = weather(&mut random, &configs);
    let mut world = World::new(random, configs, fine);
    for node in 0..world.nodes.len() {
        world.boot(node, Start::Fresh);
    }
    let end = world.now + long_enough(&world);
    while world.step(end) {}
    let master = (0..world.nodes.len()).find(|node| world.role(*node, 0) == Role::Master);
    let master = master.expect("somebody is");
    let spoke = world.nodes[master].spoke.iter().flatten().min();
    let silent = world.now - *spoke.expect("a master speaks");
    let interval = world.nodes[master].configs[0].interval;
    world.crash(master);
    let others = |world: &World| -> Vec<u64> {
        let others = world.nodes.iter().enumerate();
        others
            .filter(|(node, _)| *node != master)
            .map(|(_, node)| node.changes)
            .collect()
    };
    let before = others(&world);
    let margin = world.weather.delay + world.weather.jitter;
    let away = (3 * interval).saturating_sub(silent + margin);
    let back = world.now + world.random.duration(away);
    while world.step(back) {}
    world.boot(master, Start::ResumeMaster);
    let end = world.now + long_enough(&world);
    while world.step(end) {}
    assert_eq!(
        others(&world),
        before,
        "seed {seed}\n{}",
        world.log.join("\n")
    );
}

/// Everything that can go wrong, for a while.
fn chaos(world: &mut World) {
    let interval = world.nodes[0].configs[0].interval;
    let weather = Weather {
        loss: world.random.pick(&[0, 0, 10, 40]),
        twice: world.random.pick(&[0, 20]),
        delay: world.random.duration(2 * interval),
        jitter: world.random.duration(interval),
    };
    world.turns(weather);
    let events = 1 + world.random.below(8);
    for _ in 0..events {
        let end = world.now + world.random.duration(4 * interval);
        while world.step(end) {}
        event(world);
    }
}

fn event(world: &mut World) {
    let node = world.random.index(world.nodes.len());
    let other = (node + 1 + world.random.index(world.nodes.len() - 1)) % world.nodes.len();
    let link = world.random.index(world.links);
    let paused = world.nodes[node].paused;
    match world.random.below(14) {
        0 => {
            world.note(node, &format!("and {other} are parted on link {link}"));
            world.cut.extend([(node, other, link), (other, node, link)]);
        }
        1 => {
            world.note(node, &format!("is not heard by {other} on link {link}"));
            world.cut.push((node, other, link));
        }
        2 => {
            world.note(node, "is alone");
            for other in (0..world.nodes.len()).filter(|other| *other != node) {
                for link in 0..world.links {
                    world.cut.extend([(node, other, link), (other, node, link)]);
                }
            }
        }
        3 => world.cut.clear(),
        4 if paused => world.resume(node),
        4 => world.pause(node),
        5 => world.crash(node),
        // It does nothing until it goes on.
        _ if paused => {}
        6 if world.nodes[node].group.is_none() => world.boot(node, Start::Fresh),
        7 => world.shut_down(node),
        8 | 9 => {
            let missing = !world.nodes[node].faulty[link];
            world.nodes[node].faulty[link] = missing;
            world.input(node, link, Input::Fault(missing));
        }
        10 => reconfigure(world, node),
        11 => long_pause(world, node),
        _ => track(world, node),
    }
}

/// Longer than anybody waits.
fn long_pause(world: &mut World, node: usize) {
    world.pause(node);
    let longest = world.longest_interval();
    let end = world.now + 5 * longest + world.random.duration(longest) + Duration::from_millis(100);
    while world.step(end) {}
    world.resume(node);
}

/// A tracked thing changes. The owner of the addresses stays what it is.
fn track(world: &mut World, node: usize) {
    let priority = priority(&mut world.random);
    if world.nodes[node].configs[0].priority != Priority::OWNER {
        world.set_priority(node, priority);
    }
}

/// The operator changes the file.
fn reconfigure(world: &mut World, node: usize) {
    let interval = match world.nodes[node].configs[0].version {
        // All routers have the same.
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => interval(&mut world.random, world.nodes[node].configs[0].interval),
    };
    let election = Election::random(&mut world.random, interval);
    let refresh = refresh(&mut world.random, interval);
    world.configure(node, |config| {
        config.interval = interval;
        config.garp.refresh = refresh;
        election.put(config);
    });
}

/// The network heals, everybody who is there goes on, and one thing happens.
fn calm(world: &mut World, fine: &Weather) -> Result<(), String> {
    let mut checker = Checker::new(world);
    world.cut.clear();
    world.turns(fine.clone());
    for node in 0..world.nodes.len() {
        if world.nodes[node].paused {
            world.resume(node);
        }
        if world.nodes[node].group.is_none() && world.random.percent(70) {
            world.boot(node, Start::Fresh);
        }
    }
    world.note(0, "and all others: calm");
    // What was sent in bad weather may take that long.
    let end = world.now + 2 * world.longest_interval();
    while world.step(end) {}
    for _ in 0..2 {
        checker.begin(world.now);
        let end = world.now + long_enough(world);
        watch(world, &mut checker, end)?;
        checker.settled(world)?;
        checker = Checker::new(world);
        let node = world.random.index(world.nodes.len());
        match world.random.below(6) {
            0 => world.crash(node),
            1 => world.shut_down(node),
            2 => track(world, node),
            3 => reconfigure(world, node),
            4 => {
                world.pause(node);
                let longest = 12 * world.longest_interval();
                let end = world.now + world.random.duration(longest);
                checker.begin(world.now);
                watch(world, &mut checker, end)?;
                world.resume(node);
            }
            _ if world.nodes[node].group.is_none() => world.boot(node, Start::Fresh),
            _ => {}
        }
    }
    Ok(())
}

/// Lets time pass while everything has to hold.
fn watch(world: &mut World, checker: &mut Checker, end: Instant) -> Result<(), String> {
    checker.check(world)?;
    while world.step(end) {
        checker.check(world)?;
    }
    checker.check(world)
}

fn configs(random: &mut Random) -> Vec<Vec<MachineConfig>> {
    let nodes = 2 + random.index(4);
    let links = if random.percent(30) { 2 } else { 1 };
    let version = random.pick(&[VrrpVersion::V2, VrrpVersion::V3]);
    let common = match version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => random.pick(&INTERVALS),
    };
    (0..nodes)
        .map(|node| {
            let mut config = MachineConfig {
                version,
                virtual_router_id: RouterId::new(1).expect("not 0"),
                priority: Priority::DEFAULT,
                interval: match version {
                    VrrpVersion::V3 => interval(random, common),
                    VrrpVersion::V2 => common,
                },
                preempt: true,
                preempt_delay: Duration::ZERO,
                initial_state: random.pick(&[InitialState::Master, InitialState::Backup]),
                source: address(node, 0),
                addresses: Vec::new(),
                authentication: Authentication::None,
                garp: Garp {
                    repeat: 5,
                    delay: random.pick(&[Duration::ZERO, common]),
                    refresh: refresh(random, common),
                },
                grouped: links > 1,
            };
            Election::random(random, common).put(&mut config);
            (0..links)
                .map(|link| {
                    config.source = address(node, link);
                    config.clone()
                })
                .collect()
        })
        .collect()
}

/// What the operator says about who is to be master.
#[derive(Clone, Copy, Debug)]
struct Election {
    priority: Priority,
    preempt: bool,
    preempt_delay: Duration,
}

impl Election {
    fn random(random: &mut Random, interval: Duration) -> Self {
        let owner = random.percent(10);
        Self {
            priority: if owner {
                Priority::OWNER
            } else {
                priority(random)
            },
            // An owner that does not preempt is refused.
            preempt: owner || random.percent(80),
            preempt_delay: match random.percent(20) {
                true => 5 * interval,
                false => Duration::ZERO,
            },
        }
    }

    fn put(self, config: &mut MachineConfig) {
        config.priority = self.priority;
        config.preempt = self.preempt;
        config.preempt_delay = self.preempt_delay;
    }
}

/// Mostly the one of the others.
fn interval(random: &mut Random, common: Duration) -> Duration {
    match random.percent(20) {
        true => random.pick(&INTERVALS),
        false => common,
    }
}

fn refresh(random: &mut Random, interval: Duration) -> Duration {
    match random.percent(20) {
        true => 7 * interval,
        false => Duration::ZERO,
    }
}

/// Often the same as another's.
fn priority(random: &mut Random) -> Priority {
    let number = random.pick(&[1, 50, 100, 100, 101, 150, 200, 254]);
    Priority::new(number).expect("1 to 254")
}

/// What is no reason for anything: delays well below a skew.
fn weather(random: &mut Random, configs: &[Vec<MachineConfig>]) -> Weather {
    let interval = configs.iter().flatten().map(|config| config.interval).min();
    let interval = interval.unwrap_or_default();
    Weather {
        loss: 0,
        twice: random.pick(&[0, 20]),
        delay: interval / 100,
        jitter: interval / 100,
    }
}

const PHASES: usize = 2;
const INTERVALS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
];
