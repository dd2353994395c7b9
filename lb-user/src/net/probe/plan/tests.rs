use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::types::IfIndex;

/// A link in virtual time: who has which address, and what was asked.
struct Sim {
    plan: Plan,
    now: Instant,
    hosts: BTreeMap<NeighbourKey, Mac>,
    sent: Vec<(Duration, Action)>,
    started: Instant,
}

impl Sim {
    /// `kernel` is what the kernel has for neighbours 0, 1, ….
    fn new(kernel: &[Option<Mac>]) -> Self {
        let now = Instant::now();
        let mut plan = Plan::new(now);
        plan.set_peers(now, (0..).map(key).zip(kernel.iter().copied()));
        Self {
            plan,
            now,
            hosts: BTreeMap::new(),
            sent: Vec::new(),
            started: now,
        }
    }

    /// Lets time pass; hosts answer at once.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some(action) = self.plan.poll_action() {
                self.sent.push((self.now - self.started, action));
                self.answer(action);
            }
            match self.plan.next_deadline() {
                Some(deadline) if deadline <= end => {
                    self.now = self.now.max(deadline);
                    self.plan.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.now = end;
        self.check();
    }

    fn answer(&mut self, action: Action) {
        let (key, asked) = match action {
            Action::Unicast { key, mac } => (key, Some(mac)),
            Action::Multicast { key } => (key, None),
            Action::Learned { .. } => return,
        };
        if let Some(&mac) = self.hosts.get(&key)
            && asked.is_none_or(|asked| asked == mac)
        {
            self.plan.handle_reply(self.now, key, mac);
        }
    }

    /// Every neighbour has exactly one deadline, and the count of silent ones is right.
    fn check(&self) {
        let plan = &self.plan;
        assert_eq!(plan.due.len(), plan.peers.len());
        for (key, state) in &plan.peers {
            assert!(plan.due.contains(&(state.deadline, *key)));
        }
        let silent = plan
            .peers
            .values()
            .filter(|state| state.unanswered >= SILENT_ROUNDS);
        assert_eq!(silent.count(), plan.silent as usize);
    }

    fn learned(&self) -> Vec<(Duration, NeighbourKey, Mac)> {
        self.sent
            .iter()
            .filter_map(|(at, action)| match action {
                Action::Learned { key, mac } => Some((*at, *key, *mac)),
                _ => None,
            })
            .collect()
    }

    fn probes(&self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.sent
            .iter()
            .filter(|(_, action)| wanted(action))
            .count()
    }
}

#[test]
fn a_living_neighbour_is_asked_alone_every_interval() {
    let mut sim = Sim::new(&[Some(A)]);
    sim.hosts.insert(key(0), A);
    sim.run(Duration::from_secs(4));
    assert!((10..=11).contains(&sim.sent.len()), "{:?}", sim.sent);
    assert_eq!(sim.probes(is_unicast), sim.sent.len());
}

#[test]
fn a_changed_address_is_learned_within_an_interval_and_a_reply_limit() {
    for offset in (0..400).step_by(7) {
        let mut sim = Sim::new(&[Some(A)]);
        sim.hosts.insert(key(0), A);
        sim.run(Duration::from_secs(1) + Duration::from_millis(offset));
        let changed = sim.now - sim.started;
        sim.hosts.insert(key(0), B);
        sim.run(Duration::from_secs(1));
        let (at, who, mac) = sim.learned()[0];
        assert_eq!((who, mac), (key(0), B));
        assert!(at - changed <= INTERVAL + REPLY_LIMIT, "{:?}", at - changed);
    }
}

#[test]
fn what_the_kernel_does_not_take_is_said_again() {
    let mut sim = Sim::new(&[Some(A)]);
    sim.hosts.insert(key(0), B);
    sim.run(Duration::from_secs(5));
    assert!(sim.learned().len() > 5);
    let kernel = [(key(0), Some(B))];
    sim.plan.set_peers(sim.now, kernel.into_iter());
    let said = sim.learned().len();
    sim.run(Duration::from_secs(5));
    assert_eq!(sim.learned().len(), said);
}

#[test]
fn another_address_is_not_believed_while_the_known_one_answers() {
    let mut sim = Sim::new(&[Some(A)]);
    sim.hosts.insert(key(0), A);
    for _ in 0..100 {
        sim.run(Duration::from_millis(37));
        sim.plan.handle_reply(sim.now, key(0), B);
    }
    assert_eq!(sim.learned(), []);
}

#[test]
fn no_group_address_is_ever_believed() {
    let mut sim = Sim::new(&[None]);
    sim.hosts.insert(key(0), Mac::BROADCAST);
    sim.run(Duration::from_secs(5));
    assert_eq!(sim.learned(), []);
}

#[test]
fn an_unknown_neighbour_is_asked_of_everybody_at_once() {
    let mut sim = Sim::new(&[None]);
    sim.hosts.insert(key(0), A);
    sim.run(Duration::from_millis(250));
    assert_eq!(sim.learned().len(), 1);
}

#[test]
fn a_silent_neighbour_is_asked_every_second_and_found_when_it_comes() {
    let mut sim = Sim::new(&[Some(A)]);
    sim.run(Duration::from_secs(60));
    let asked = sim.probes(is_multicast);
    assert!((55..=70).contains(&asked), "{asked}");
    let came = sim.now - sim.started;
    sim.hosts.insert(key(0), B);
    sim.run(Duration::from_secs(3));
    let (at, ..) = sim.learned()[0];
    assert!(at - came <= SILENT_INTERVAL + REPLY_LIMIT);
}

#[test]
fn five_thousand_neighbours_get_a_thousand_probes_a_second_evenly() {
    let mut sim = Sim::new(&vec![Some(A); 5000]);
    sim.hosts.extend((0..5000).map(|number| (key(number), A)));
    sim.run(Duration::from_secs(20));
    let total = sim.probes(|_| true);
    assert!((19_000..=20_100).contains(&total), "{total}");
    for number in [0, 1234, 4999] {
        let asked = sim.probes(|action| {
            *action
                == Action::Unicast {
                    key: key(number),
                    mac: A,
                }
        });
        assert!((3..=5).contains(&asked), "{number}: {asked}");
    }
    assert_paced(&sim);
}

#[test]
fn a_dead_network_costs_at_most_a_hundred_broadcasts_a_second() {
    let mut sim = Sim::new(&vec![None; 2000]);
    sim.run(Duration::from_secs(60));
    let before = sim.probes(is_multicast);
    sim.run(Duration::from_secs(60));
    let asked = sim.probes(is_multicast) - before;
    assert!(asked <= 60 * 110, "{asked}");
    assert_paced(&sim);
}

#[test]
fn neighbours_come_and_go() {
    let mut sim = Sim::new(&[Some(A), Some(A), None]);
    sim.run(Duration::from_secs(10));
    let known = [(key(1), Some(A)), (key(7), Some(B))];
    sim.plan.set_peers(sim.now, known.into_iter());
    sim.check();
    assert_eq!(sim.plan.silent, 1);
    sim.plan.set_peers(sim.now, std::iter::empty());
    sim.check();
    assert_eq!(sim.plan.next_deadline(), None);
    // An answer of one that is not probed any more changes nothing.
    sim.plan.handle_reply(sim.now, key(1), B);
    assert_eq!(sim.plan.poll_action(), None);
}

/// Never more than a second's worth and the burst in any second.
fn assert_paced(sim: &Sim) {
    let times: Vec<Duration> = sim.sent.iter().map(|(at, _)| *at).collect();
    for (first, at) in times.iter().enumerate() {
        let end = times.partition_point(|other| *other < *at + Duration::from_secs(1));
        assert!(end - first <= 1000 + 33, "{} from {at:?}", end - first);
    }
}

fn is_unicast(action: &Action) -> bool {
    matches!(action, Action::Unicast { .. })
}

fn is_multicast(action: &Action) -> bool {
    matches!(action, Action::Multicast { .. })
}

fn key(number: u32) -> NeighbourKey {
    NeighbourKey {
        interface: IfIndex::new(3).unwrap(),
        address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)),
    }
}

const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);
