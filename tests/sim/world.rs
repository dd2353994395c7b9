//! Nodes, links and a clock.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use lb_tests::random::Random;
use lb_user::{
    types::Priority,
    vrrp::{
        machine::{Action, Input, MachineConfig, Role, Start},
        sync_group::Group,
        wire::Advert,
    },
};

/// A machine with routers, one on each link, that move together.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) configs: Vec<MachineConfig>,
    pub(crate) group: Option<Group>,
    pub(crate) faulty: Vec<bool>,
    pub(crate) paused: bool,
    paused_at: Option<Instant>,
    /// It was paused for so long that a router must not say anything before this time, unless it has
    /// heard another master.
    listens_until: Vec<Option<Instant>>,
    /// Adverts in its sockets: link, source, message.
    queue: Vec<(usize, IpAddr, Advert)>,
    announced: Vec<u64>,
    /// When each router last spoke.
    pub(crate) spoke: Vec<Option<Instant>>,
    /// Changes of role, the first one not counted.
    pub(crate) changes: u64,
    roles: Vec<Role>,
    /// Hears nobody: a broken node.
    pub(crate) deaf: bool,
    /// Never announces: a broken node.
    pub(crate) mute: bool,
    /// Does not notice that it was paused: a broken node.
    pub(crate) hasty: bool,
    /// The intervals in the last two adverts of each peer, by link and peer.
    told: BTreeMap<(usize, IpAddr), [Duration; 2]>,
}

/// How the links are at the moment.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Of 100 adverts, so many are lost.
    pub(crate) loss: u64,
    /// Of 100 adverts, so many arrive twice.
    pub(crate) twice: u64,
    /// An advert takes less than this.
    pub(crate) delay: Duration,
    /// A node wakes up later than it wanted by less than this.
    pub(crate) jitter: Duration,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: usize,
    pub(crate) weather: Weather,
    /// From, to, link: nothing goes through.
    pub(crate) cut: Vec<(usize, usize, usize)>,
    /// Adverts on the way, by arrival.
    flying: BTreeMap<(Instant, u64), (usize, usize, IpAddr, Advert)>,
    /// When a node that has something to do does it.
    wakes: Vec<Option<Instant>>,
    sequence: u64,
    /// Who announced last on each link.
    pub(crate) last_announcement: Vec<Option<usize>>,
    /// Who spoke too early after a pause.
    pub(crate) spoke_early: Option<String>,
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) fn new(random: Random, configs: Vec<Vec<MachineConfig>>, weather: Weather) -> Self {
        let links = configs[0].len();
        let start = Instant::now();
        let nodes: Vec<Node> = configs.into_iter().map(Node::new).collect();
        Self {
            random,
            start,
            now: start,
            links,
            weather,
            cut: Vec::new(),
            flying: BTreeMap::new(),
            wakes: vec![None; nodes.len()],
            sequence: 0,
            last_announcement: vec![None; links],
            spoke_early: None,
            log: Vec::new(),
            nodes,
        }
    }

    /// A node begins.
    pub(crate) fn boot(&mut self, node: usize, start: Start) {
        self.note(node, &format!("starts {start:?}"));
        let (now, this) = (self.now, &mut self.nodes[node]);
        let mut group = Group::new(this.configs.clone());
        for (member, faulty) in this.faulty.iter().enumerate() {
            if *faulty {
                group.handle(now, member, Input::Fault(true));
            }
        }
        group.start(now, &vec![start; this.configs.len()]);
        this.group = Some(group);
        this.queue.clear();
        this.told.clear();
        self.act(node);
    }

    /// Its process is killed.
    pub(crate) fn crash(&mut self, node: usize) {
        self.note(node, "crashes");
        let this = &mut self.nodes[node];
        this.group = None;
        this.queue.clear();
        this.roles.fill(Role::Initialize);
        this.announced.fill(0);
        this.listens_until.fill(None);
        self.wakes[node] = None;
    }

    /// It ends as it should.
    pub(crate) fn shut_down(&mut self, node: usize) {
        self.note(node, "stops");
        self.input_all(node, &Input::Shutdown);
        self.crash(node);
    }

    pub(crate) fn input(&mut self, node: usize, member: usize, input: Input) {
        self.note(node, &format!("router {member}: {input:?}"));
        if let Some(group) = &mut self.nodes[node].group {
            group.handle(self.now, member, input);
        }
        self.act(node);
    }

    pub(crate) fn input_all(&mut self, node: usize, input: &Input) {
        if let Some(group) = &mut self.nodes[node].group {
            group.handle_all(self.now, input);
        }
        self.act(node);
    }

    pub(crate) fn set_priority(&mut self, node: usize, priority: Priority) {
        for config in &mut self.nodes[node].configs {
            config.priority = priority;
        }
        self.note(node, &format!("has priority {}", priority.get()));
        for member in 0..self.links {
            if let Some(group) = &mut self.nodes[node].group {
                group.handle(self.now, member, Input::Priority(priority));
            }
        }
        self.act(node);
    }

    /// The configuration is read again; `change` is about each of its routers.
    pub(crate) fn configure(&mut self, node: usize, change: impl Fn(&mut MachineConfig)) {
        let (now, this) = (self.now, &mut self.nodes[node]);
        this.configs.iter_mut().for_each(change);
        let configs = this.configs.clone();
        let one = &configs[0];
        let text = format!(
            "is configured: priority {}, every {:?}, preempt {} after {:?}, refresh {:?}",
            one.priority, one.interval, one.preempt, one.preempt_delay, one.garp.refresh
        );
        self.note(node, &text);
        for (member, config) in configs.into_iter().enumerate() {
            if let Some(group) = &mut self.nodes[node].group {
                group.configure(now, member, config);
            }
        }
        self.act(node);
    }

    /// It stops at once.
    pub(crate) fn pause(&mut self, node: usize) {
        self.note(node, "is paused");
        let this = &mut self.nodes[node];
        this.paused = true;
        this.paused_at = Some(self.now);
    }

    /// It goes on, and the first thing it does is a turn. Adverts that came meanwhile wait in its
    /// sockets, unless the whole machine was stopped.
    pub(crate) fn resume(&mut self, node: usize) {
        self.note(node, "goes on");
        let longest = self.longest_interval();
        let shortest = self.intervals().min().unwrap_or_default();
        let lost = self.random.percent(50);
        let this = &mut self.nodes[node];
        this.paused = false;
        if lost {
            this.queue.clear();
        }
        let stopped = this.paused_at.take().map(|at| self.now - at);
        let elects = this
            .roles
            .iter()
            .all(|role| matches!(role, Role::Backup | Role::Master));
        // Whatever it was waiting for has been late for long enough to be noticed.
        if elects && stopped.is_some_and(|time| time > 4 * longest + NOTICED) {
            this.listens_until.fill(Some(self.now + shortest));
        }
        self.turn(node);
    }

    fn intervals(&self) -> impl Iterator<Item = Duration> {
        let configs = self.nodes.iter().flat_map(|node| &node.configs);
        let told = self
            .nodes
            .iter()
            .flat_map(|node| node.told.values().flatten());
        configs.map(|config| config.interval).chain(told.copied())
    }

    /// That anybody has, or has learned.
    pub(crate) fn longest_interval(&self) -> Duration {
        self.intervals().max().unwrap_or_default()
    }

    /// The longest interval that a router may take for its master's: its own, or that master's.
    pub(crate) fn learned_interval(&self, node: usize, link: usize) -> Duration {
        let this = &self.nodes[node];
        let own = this.configs[link].interval;
        let heard = this
            .group
            .as_ref()
            .and_then(|group| group.machine(link).heard());
        let told = heard.and_then(|heard| this.told.get(&(link, heard.source)));
        told.into_iter().flatten().copied().fold(own, Duration::max)
    }

    /// The weather changes, for everybody.
    pub(crate) fn turns(&mut self, weather: Weather) {
        self.weather = weather;
        for node in 0..self.nodes.len() {
            self.arm(node);
        }
    }

    /// The next thing that happens before `end`; false if nothing does.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
        let awake = |(node, at): (usize, &Option<Instant>)| {
            at.filter(|_| !self.nodes[node].paused).map(|at| (at, node))
        };
        let wake = self.wakes.iter().enumerate().filter_map(awake).min();
        match (arrival, wake) {
            (Some(at), wake) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                self.now = self.now.max(at);
                self.arrive();
                true
            }
            (_, Some((at, node))) if at <= end => {
                self.now = self.now.max(at);
                self.turn(node);
                true
            }
            _ => {
                self.now = end;
                false
            }
        }
    }

    /// An advert gets into a socket; its node wakes up when the machine lets it.
    fn arrive(&mut self) {
        let Some((_, (to, link, source, advert))) = self.flying.pop_first() else {
            return;
        };
        let node = &mut self.nodes[to];
        if node.group.is_none() {
            return;
        }
        node.queue.push((link, source, advert));
        let at = self.now + self.random.duration(self.weather.jitter);
        let wake = &mut self.wakes[to];
        *wake = Some(wake.map_or(at, |other| other.min(at)));
    }

    /// As the engine: first whether it slept, then what it was sent, then its timers.
    fn turn(&mut self, node: usize) {
        let (now, this) = (self.now, &mut self.nodes[node]);
        let Some(group) = &mut this.group else {
            self.wakes[node] = None;
            return;
        };
        if !this.hasty {
            group.handle_wake(now);
        }
        let heard = std::mem::take(&mut this.queue);
        self.act(node);
        for (link, source, advert) in heard {
            let this = &mut self.nodes[node];
            if advert.priority != Priority::RELEASE {
                // It has heard of another master, and may say so.
                this.listens_until[link] = None;
                let told = this.told.entry((link, source));
                let told = told.or_insert([advert.interval; 2]);
                *told = [told[1], advert.interval];
            }
            if let Some(group) = this.group.as_mut().filter(|_| !this.deaf) {
                group.handle(now, link, Input::Advert { source, advert });
            }
            self.act(node);
        }
        if let Some(group) = &mut self.nodes[node].group {
            group.handle_timeout(now);
        }
        self.act(node);
    }

    fn act(&mut self, node: usize) {
        loop {
            let Some(group) = &mut self.nodes[node].group else {
                return;
            };
            let Some((member, action)) = group.poll_action() else {
                break;
            };
            match action {
                Action::Send(advert) => self.send(node, member, &advert),
                Action::Publish(published) => {
                    let this = &mut self.nodes[node];
                    let before = std::mem::replace(&mut this.roles[member], published.role);
                    let announces = published.announce != this.announced[member]
                        && published.role == Role::Master
                        && !(this.mute && before == Role::Master);
                    this.announced[member] = published.announce;
                    if before != published.role {
                        this.changes += u64::from(before != Role::Initialize);
                        let text = format!(
                            "router {member}: {before} to {}: {}",
                            published.role, published.reason
                        );
                        self.note(node, &text);
                    }
                    if announces {
                        self.last_announcement[member] = Some(node);
                        self.note(node, &format!("router {member} announces"));
                    }
                }
            }
        }
        self.arm(node);
    }

    /// When it does something next, if nothing arrives.
    fn arm(&mut self, node: usize) {
        let this = &self.nodes[node];
        let next = this.group.as_ref().and_then(Group::next_deadline);
        // What is in its sockets is read as soon as it runs.
        let next = if this.queue.is_empty() {
            next
        } else {
            Some(self.now)
        };
        let late = self.random.duration(self.weather.jitter);
        self.wakes[node] = next.map(|at| at.max(self.now) + late);
    }

    fn send(&mut self, node: usize, link: usize, advert: &Advert) {
        let source = address(node, link);
        self.nodes[node].spoke[link] = Some(self.now);
        let early = self.nodes[node].listens_until[link];
        if early.is_some_and(|until| self.now < until) {
            let text =
                format!("node {node} speaks on link {link} before it has listened after a pause");
            self.spoke_early.get_or_insert(text);
        }
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            if self.cut.contains(&(node, to, link)) {
                continue;
            }
            let copies = if self.random.percent(self.weather.loss) {
                0
            } else {
                1 + u64::from(self.random.percent(self.weather.twice))
            };
            for _ in 0..copies {
                let at = self.now + self.random.duration(self.weather.delay);
                self.sequence += 1;
                self.flying
                    .insert((at, self.sequence), (to, link, source, advert.clone()));
            }
        }
    }

    pub(crate) fn role(&self, node: usize, link: usize) -> Role {
        let group = self.nodes[node].group.as_ref();
        group.map_or(Role::Initialize, |group| group.machine(link).role())
    }

    /// Whether adverts get from one to the other and back.
    pub(crate) fn hear_each_other(&self, one: usize, two: usize, link: usize) -> bool {
        !self.cut.contains(&(one, two, link)) && !self.cut.contains(&(two, one, link))
    }

    pub(crate) fn note(&mut self, node: usize, what: &str) {
        let at = self.now.duration_since(self.start).as_secs_f64();
        self.log.push(format!("{at:10.4}  node {node} {what}"));
    }
}

impl Node {
    fn new(configs: Vec<MachineConfig>) -> Self {
        let routers = configs.len();
        Self {
            configs,
            group: None,
            faulty: vec![false; routers],
            paused: false,
            paused_at: None,
            listens_until: vec![None; routers],
            queue: Vec::new(),
            announced: vec![0; routers],
            spoke: vec![None; routers],
            changes: 0,
            roles: vec![Role::Initialize; routers],
            deaf: false,
            mute: false,
            hasty: false,
            told: BTreeMap::new(),
        }
    }

    /// Whether it can be master.
    pub(crate) fn able(&self) -> bool {
        self.group.is_some() && !self.paused && !self.faulty.contains(&true)
    }
}

/// The machine's limit for a delay that it takes for a pause, at most.
const NOTICED: Duration = Duration::from_millis(100);

/// A node's address on a link.
pub(crate) fn address(node: usize, link: usize) -> IpAddr {
    let byte = |n: usize| u8::try_from(n).expect("a handful");
    Ipv4Addr::new(10, 0, byte(link), byte(node) + 1).into()
}
