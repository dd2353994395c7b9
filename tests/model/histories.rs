//! From a seed to a history.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::{NonZeroU16, NonZeroU32},
    sync::LazyLock,
    time::Duration,
};

use lb_tests::random::Random;
use lb_user::{
    config::{
        self, Config,
        model::{Fallback, Persistence, Protocol, Scheduler, Service, Timeouts},
    },
    dataplane::compose::{Admission, Change, Changes, Hop, NextHop},
    types::{IfIndex, Mac, Weight},
};

use crate::{agree, balancer::Wanted, flaw::Flaw, world::World};

/// Plays the history of a seed with a balancer that may be broken: whether every promise held, what happened, and what was seen.
pub(crate) fn play(seed: u64, flaw: Flaw) -> (Result<(), String>, World) {
    let mut random = Random::new(seed);
    let wanted = wanted(&mut random);
    let table = random.pick(&[512, 4096, 1 << 16, 1 << 16]);
    let mut world = World::new(random, wanted, table, flaw);
    let outcome = start(&mut world).and_then(|()| live(&mut world));
    (outcome, world)
}

fn start(world: &mut World) -> Result<(), String> {
    let text = describe(&world.wanted);
    world.note(&text);
    world.reconcile()
}

fn live(world: &mut World) -> Result<(), String> {
    for _ in 0..EVENTS {
        event(world)?;
        let time = world.random.below(2500);
        world.pass(time, true)?;
    }
    agree::is_quiet(world)?;
    agree::agrees(world)
}

/// What an operator, a check, a client or a crash does.
fn event(world: &mut World) -> Result<(), String> {
    match world.random.below(20) {
        0..5 => {
            for _ in 0..world.random.below(8) {
                world.open()?;
            }
            world.some_packets(10)
        }
        5 => world.close(),
        6 => {
            let count = world.random.pick(&[5, 50, 200]);
            world.flood(count)
        }
        7 => world.crash(),
        8 => {
            let long = world.random.below(LONG);
            world.note(&format!("{long} ms go by"));
            world.pass(long, true)
        }
        _ => {
            let before = world.wanted.clone();
            for _ in 0..1 + world.random.below(2) {
                change(world);
            }
            world.changed(before)
        }
    }
}

/// One thing is other than before.
fn change(world: &mut World) {
    let wanted = &mut world.wanted;
    let random = &mut world.random;
    let services = wanted.config.services.len();
    let chosen = random.index(services);
    let kind = random.below(40);
    if kind == 0 && services > 1 {
        let gone = wanted.config.services.swap_remove(chosen);
        wanted
            .changes
            .retain(|(service, _), _| *service != gone.key());
        return world.note(&format!("{} is removed", gone.name));
    }
    if kind == 1 && services < SERVICES {
        add_service(wanted, random);
        let text = describe(wanted);
        return world.note(&format!("a service is added: {text}"));
    }
    if kind == 2 {
        let text = quorum(wanted, random, chosen);
        return world.note(&text);
    }
    let service = &mut wanted.config.services[chosen];
    let name = service.name.clone();
    let what = match kind {
        3 => {
            service.persistence = persistence(service.address.is_ipv4(), random);
            format!("keeps clients: {:?}", service.persistence)
        }
        4 => {
            service.ring_size = ring_size(random);
            format!("has a ring of {:?}", service.ring_size)
        }
        5 | 6 => {
            service.scheduler = scheduler(random);
            format!("goes by {}", service.scheduler)
        }
        7..13 => match add(service, random) {
            Some(address) => format!("gets {address}"),
            None => return,
        },
        13..17 if service.backends.len() > 1 => {
            let gone = random.index(service.backends.len());
            let gone = service.backends.remove(gone);
            wanted.changes.remove(&(service.key(), gone.key()));
            format!("loses {}", gone.address)
        }
        17..21 => {
            let index = random.index(service.backends.len());
            let backend = &mut service.backends[index];
            backend.weight = Weight::new(random.pick(&WEIGHTS));
            format!("weighs {} as {}", backend.address, backend.weight.get())
        }
        21..23 => {
            let address = address(service.address.is_ipv4(), random.below(POOL + FALLBACKS));
            let hop = match wanted.hops.get(&address) {
                Some(Hop::Unresolved) => reachable(),
                _ => Hop::Unresolved,
            };
            let text = format!(
                "has {address} {}",
                match hop {
                    Hop::Unresolved => "out of reach",
                    _ => "in reach",
                }
            );
            wanted.hops.insert(address, hop);
            text
        }
        _ => {
            let index = random.index(service.backends.len());
            let backend = service.backends[index].key();
            let change = Change {
                admission: match random.below(6) {
                    0 | 1 => Admission::Out,
                    2 => Admission::Drained,
                    3 => Admission::Closed,
                    _ => Admission::Open,
                },
                weight: random.percent(10).then(|| random.pick(&WEIGHTS)),
            };
            wanted.changes.insert((service.key(), backend), change);
            format!("has {backend} {change:?}")
        }
    };
    world.note(&format!("{name} {what}"));
}

/// A service is below its quorum, and its fallback serves alone; or it is above again.
fn quorum(wanted: &mut Wanted, random: &mut Random, chosen: usize) -> String {
    let service = &mut wanted.config.services[chosen];
    let (name, key) = (service.name.clone(), service.key());
    let fallback = service.fallback.get_or_insert_with(|| Fallback {
        // Now and then one that is a backend, too.
        address: match random.percent(30) {
            true => address(service.address.is_ipv4(), random.below(POOL)),
            false => address(service.address.is_ipv4(), POOL + random.below(FALLBACKS)),
        },
        port: service.port,
    });
    let change = wanted.changes.entry((key, fallback.key())).or_default();
    let serves = change.admission != Admission::Alone;
    change.admission = if serves {
        Admission::Alone
    } else {
        Admission::Open
    };
    for backend in &service.backends {
        let change = wanted.changes.entry((key, backend.key())).or_default();
        change.admission = match change.admission {
            Admission::Open if serves => Admission::Closed,
            Admission::Closed if !serves => Admission::Open,
            admission => admission,
        };
    }
    let fallback = service.fallback.as_ref().map(|f| f.address);
    format!("{name} has its fallback {fallback:?} serve: {serves}")
}

/// A backend that the service does not have yet.
fn add(service: &mut Service, random: &mut Random) -> Option<IpAddr> {
    let address = address(service.address.is_ipv4(), random.below(POOL));
    if service.backends.iter().any(|b| b.address == address) {
        return None;
    }
    let mut backend = TEMPLATE.services[0].backends[0].clone();
    backend.name = address.into();
    backend.address = address;
    backend.port = service.port;
    backend.weight = Weight::new(random.pick(&WEIGHTS));
    let place = random.index(service.backends.len() + 1);
    service.backends.insert(place, backend);
    Some(address)
}

fn add_service(wanted: &mut Wanted, random: &mut Random) {
    let mut service = TEMPLATE.services[0].clone();
    let taken = |port: u16| {
        let mut services = wanted.config.services.iter();
        services.any(|service| service.port.get() == port)
    };
    let port = (80..).find(|port| !taken(*port)).expect("few services");
    service.name = format!("s{port}").parse().expect("a name");
    service.port = NonZeroU16::new(port).expect("not 0");
    service.address = address(random.percent(70), 500);
    service.protocol = random.pick(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp]);
    service.scheduler = scheduler(random);
    service.ring_size = ring_size(random);
    service.new_flow_budget = random.pick(&[0, 3, 20, 100_000, 100_000, 100_000]);
    let mut time = |from: u64, to: u64| Duration::from_secs(from + random.below(to - from));
    service.fallback = None;
    service.grace = time(2, 9);
    service.udp_grace = time(2, 9);
    service.timeouts = Timeouts {
        syn: time(2, 5),
        established: time(3, 12),
        closing: time(2, 5),
        udp: time(2, 9),
    };
    service.persistence = persistence(service.address.is_ipv4(), random);
    service.backends.clear();
    while service.backends.is_empty() || random.percent(70) {
        add(&mut service, random);
    }
    wanted.config.services.push(service);
}

/// What a history begins with.
fn wanted(random: &mut Random) -> Wanted {
    let mut wanted = Wanted {
        config: TEMPLATE.clone(),
        changes: Changes::new(),
        hops: BTreeMap::new(),
    };
    wanted.config.services.clear();
    for v4 in [true, false] {
        for number in 0..POOL + FALLBACKS {
            wanted.hops.insert(address(v4, number), reachable());
        }
    }
    for _ in 0..1 + random.below(2) {
        add_service(&mut wanted, random);
    }
    wanted
}

fn describe(wanted: &Wanted) -> String {
    let services = wanted.config.services.iter().map(describe_service);
    services.collect::<Vec<_>>().join("; ")
}

pub(crate) fn describe_service(service: &Service) -> String {
    let backends = service.backends.iter();
    let backends = backends.map(|b| format!("{} weight {}", b.address, b.weight.get()));
    format!(
        "{} {} {} {:?} ring {:?} grace {:?} {:?} budget {} timeouts {:?}: {}",
        service.name,
        service.key(),
        service.scheduler,
        service.persistence,
        service.ring_size,
        service.grace,
        service.udp_grace,
        service.new_flow_budget,
        service.timeouts,
        backends.collect::<Vec<_>>().join(", "),
    )
}

/// Backends and services have an address each, of which there are few.
fn address(v4: bool, number: u64) -> IpAddr {
    let number = u16::try_from(number).expect("few");
    if v4 {
        let [high, low] = number.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(192, 0, high, low))
    } else {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number))
    }
}

fn reachable() -> Hop {
    Hop::To(NextHop {
        mac: Mac([2, 0, 0, 0, 0, 9]),
        source_mac: Mac([2, 0, 0, 0, 0, 1]),
        interface: IfIndex::new(2).expect("not 0"),
        vlans: None,
        mtu: 1500,
        source: None,
    })
}

fn scheduler(random: &mut Random) -> Scheduler {
    if random.percent(50) {
        return Scheduler::Maglev;
    }
    random.pick(&[
        Scheduler::Rr,
        Scheduler::Wrr,
        Scheduler::Lc,
        Scheduler::Wlc,
        Scheduler::Sed,
        Scheduler::Nq,
        Scheduler::Sh,
        Scheduler::Dh,
    ])
}

/// Mostly none; clients are one address, or four.
fn persistence(v4: bool, random: &mut Random) -> Option<Persistence> {
    let bits = if v4 { 32 } else { 128 };
    random.percent(30).then(|| Persistence {
        timeout: Duration::from_secs(2 + random.below(10)),
        prefix_length: bits - random.pick(&[0, 2]),
    })
}

fn ring_size(random: &mut Random) -> Option<NonZeroU32> {
    NonZeroU32::new(random.pick(&[0, 1000, 1000, 1000, 2000]))
}

/// A configuration with one of everything, to copy from.
static TEMPLATE: LazyLock<Config> = LazyLock::new(|| {
    let text = "
datapath: { interfaces: [eth0] }
services:
  - { name: web, address: 192.0.2.10, port: 80, backends: [{ address: 192.0.2.101 }] }
";
    config::validate_str("model", text)
        .expect("a configuration")
        .config
});

/// Things that happen in a history.
const EVENTS: usize = 40;
/// Milliseconds, longer than every grace time and timeout.
const LONG: u64 = 20_000;
/// Addresses that backends may have.
const POOL: u64 = 12;
/// Addresses beside them that fallbacks may have.
const FALLBACKS: u64 = 2;
const WEIGHTS: [u16; 6] = [0, 1, 1, 1, 2, 7];
const SERVICES: usize = 3;
