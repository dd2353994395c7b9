//! When all is quiet: nothing of the past is left, and any other balancer would choose the same.

use lb_common::{addr::Addr, flow::FlowKey};
use lb_tests::random::Random;
use lb_user::dataplane::schedule;

use crate::{
    balancer::{Balancer, Wanted},
    flows::Step,
    world::{World, client_address, open, protocol},
};

/// Every flow has ended long ago: no slot, no entry and no backend is left from what was.
pub(crate) fn is_quiet(world: &mut World) -> Result<(), String> {
    world.calm_down();
    world.pass(QUIET, true)?;
    world.note("all is quiet");
    let balancer = world.balancer();
    if balancer.table.len() > 0 {
        return Err(format!(
            "{} flows are remembered for ever",
            balancer.table.len()
        ));
    }
    let backends = balancer.applied.backends.len();
    let configured = |wanted: &Wanted| -> usize {
        wanted
            .config
            .services
            .iter()
            .map(|service| {
                service.backends.len() + usize::from(service.fallback_backend().is_some())
            })
            .sum()
    };
    if backends != configured(&world.wanted) {
        return Err(format!("there are {backends} backends for ever"));
    }
    let balancer = world.balancer();
    for service in balancer.applied.services.values() {
        if !service.steering.stateful && !service.ring.is_quiet() {
            return Err(format!("{} has moved for ever", service.name));
        }
    }
    Ok(())
}

/// A balancer with the same configuration and health, but another past, chooses the same backends.
pub(crate) fn agrees(world: &mut World) -> Result<(), String> {
    let mut random = Random::new(world.random.next());
    let other = another(&mut random, &world.wanted);
    for service in &world.wanted.config.services.clone() {
        if schedule::is_stateful(service.scheduler) {
            continue;
        }
        for _ in 0..FLOWS {
            let client = u32::try_from(random.below(1 << 16)).expect("small");
            let key = FlowKey {
                source: Addr::from(client_address(service.address, client)),
                destination: Addr::from(service.address),
                source_port: u16::try_from(random.below(1 << 16)).expect("small"),
                destination_port: service.port.get(),
                protocol: protocol(service),
            };
            let flags = Step::Syn.flags(key.protocol);
            // What is explained and remembered depends on how much may be in this second.
            let chosen = |balancer: &Balancer| {
                let answer = balancer.steer(&key, flags, false)?;
                Some((answer.backend, answer.owner, answer.previous))
            };
            let ours = chosen(world.balancer());
            let theirs = chosen(&other);
            if ours != theirs || ours.is_none() {
                return Err(format!(
                    "{key:?} goes to {ours:?} here, to {theirs:?} there"
                ));
            }
            let (backend, ..) = ours.expect("as just asked");
            let somebody = !open(&world.wanted, service).is_empty();
            if backend.is_ok() != somebody {
                return Err(format!("a new flow: {backend:?}"));
            }
        }
    }
    Ok(())
}

/// Started with the backends in another order, some of them missing, and restarted in the middle.
fn another(random: &mut Random, wanted: &Wanted) -> Balancer {
    let mut now = random.below(1 << 40);
    let mut balancer = Balancer::new(4096, random.next(), now);
    let mut past = wanted.clone();
    past.config.services.reverse();
    for service in &mut past.config.services {
        let count = service.backends.len();
        service.backends.rotate_left(random.index(count));
        if count > 1 && random.percent(50) {
            service.backends.pop();
        }
    }
    past.changes.clear();
    for state in [&past, wanted] {
        if random.percent(50) {
            balancer = balancer.restart();
        }
        follow(&mut balancer, state);
        for _ in 0..QUIET / 1000 {
            now += 1000;
            balancer.set_clock(now);
            if balancer.tick() {
                follow(&mut balancer, state);
            }
        }
    }
    balancer
}

fn follow(balancer: &mut Balancer, wanted: &Wanted) {
    for op in balancer.plan(wanted) {
        balancer.apply(&op);
    }
    balancer.applied_all();
}

/// Milliseconds in which the last flow times out, the last grace time ends, and sweeps have found it so.
const QUIET: u64 = 60_000;
/// New flows for which two balancers are compared.
const FLOWS: usize = 100;
