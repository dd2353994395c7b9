//! One balancer, its clients and its operator, on a virtual clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use lb_common::{
    addr::Addr,
    flow::{FlowKey, TCP, UDP},
    verdict::{DropReason, FlowEvent},
};
use lb_tests::random::Random;
use lb_user::{
    config::model::{Protocol, Scheduler, Service, ServiceKey},
    dataplane::{
        compose::{Admission, Hop},
        schedule,
    },
};

use crate::{
    balancer::{Answer, Balancer, Wanted},
    clients::{self, Clients},
    flaw::Flaw,
    flows::{self, Excuse, Flow, Step},
    histories::describe_service,
};

/// See the top of this file.
pub(crate) struct World {
    pub(crate) random: Random,
    /// Milliseconds since the machine started.
    pub(crate) now: u64,
    /// What the operator and the checks say now.
    pub(crate) wanted: Wanted,
    /// What they said before, since the last plan that was carried out to its end.
    before: Vec<Wanted>,
    balancer: Option<Balancer>,
    flows: Vec<Flow>,
    clients: Clients,
    /// The last packet's flow was remembered, and then pushed out for its own client.
    lost_own: bool,
    /// Steps of plans that were carried out.
    changes: u64,
    calm: bool,
    next_port: u16,
    pub(crate) log: Vec<String>,
    pub(crate) seen: Seen,
}

/// What a history has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Packets of flows that had to stay where they were, and did.
    pub(crate) stayed: u64,
    /// Those among them whose slot has another owner.
    pub(crate) stayed_though_moved: u64,
    /// Packets of flows that might go elsewhere: whether they did.
    pub(crate) excused: BTreeMap<(Excuse, bool), u64>,
    /// New flows that got a backend.
    pub(crate) opened: u64,
    /// New flows of clients that had to go where the client was, and did.
    pub(crate) returned: u64,
}

type Outcome = Result<(), String>;

impl World {
    pub(crate) fn new(mut random: Random, wanted: Wanted, table: u32, flaw: Flaw) -> Self {
        let now = 1_000_000 + random.below(1000);
        let balancer = Balancer::new(table, random.next(), now).with(flaw);
        Self {
            random,
            now,
            before: Vec::new(),
            wanted,
            balancer: Some(balancer),
            flows: Vec::new(),
            clients: Clients::default(),
            lost_own: false,
            changes: 0,
            calm: false,
            next_port: 1024,
            log: Vec::new(),
            seen: Seen::default(),
        }
    }

    pub(crate) fn note(&mut self, what: &str) {
        self.log.push(format!("{:9} {what}", self.now));
    }

    pub(crate) fn balancer(&mut self) -> &mut Balancer {
        self.balancer.as_mut().expect("there always is one")
    }

    /// All flows end without a word, and nothing goes wrong any more.
    pub(crate) fn calm_down(&mut self) {
        self.flows.clear();
        self.clients = Clients::default();
        self.calm = true;
    }

    /// The agent dies and another one starts after a while.
    pub(crate) fn crash(&mut self) -> Outcome {
        self.note("the agent dies");
        let balancer = self.balancer.take().expect("there always is one");
        let flaw = balancer.flaw();
        let applied = balancer.applied.clone();
        let balancer = balancer.restart();
        if self.before.is_empty() && flaw == Flaw::None && balancer.applied != applied {
            return Err("another image was read back".to_owned());
        }
        self.balancer = Some(balancer);
        let away = self.random.below(3000);
        self.pass(away, false)?;
        self.note("the agent is back");
        self.reconcile()
    }

    /// The operator or the checks have changed what is wanted from `before`.
    pub(crate) fn changed(&mut self, before: Wanted) -> Outcome {
        self.before.push(before);
        self.bury();
        self.reconcile()
    }

    /// Flows whose backend dies are nobody's any more; those of services that are gone, too.
    fn bury(&mut self) {
        let flows = std::mem::take(&mut self.flows);
        let survives = |flow: &Flow| {
            let service = service(&self.wanted, &flow.key);
            service.is_some_and(|service| self.is_promised(service, flow.home, flow.kept))
        };
        self.flows = flows.into_iter().filter(survives).collect();
        let in_force: Vec<&Wanted> = self.before.iter().chain([&self.wanted]).collect();
        self.clients.keep_promised(&in_force);
    }

    /// Whether a flow of this service with this backend has to stay: it lives, and the service is known
    /// all the time and tells flows apart in one way; and clients, too, but for flows that are `kept`
    /// in the table.
    fn is_promised(&self, service: &Service, home: IpAddr, kept: bool) -> bool {
        let by_source = |service: &Service| service.scheduler == Scheduler::Sh;
        let by_turn = |service: &Service| schedule::is_stateful(service.scheduler);
        let same = |old: &Service| {
            // Of a datagram nobody can say that it is not the first: it takes its turn.
            let takes_turns = service.protocol == Protocol::Udp && by_turn(service);
            let prefix = |service: &Service| service.persistence.map(|p| p.prefix_length);
            by_source(old) == by_source(service)
                && (!takes_turns || by_turn(old))
                && (kept || prefix(old) == prefix(service))
        };
        let same = |wanted: &Wanted| service_with(wanted, service.key()).is_some_and(same);
        self.before.iter().all(same) && !is_dead(&self.wanted, service, home)
    }

    /// Carries a plan out, now and then not to its end, and with packets between any two steps.
    pub(crate) fn reconcile(&mut self) -> Outcome {
        let wanted = self.wanted.clone();
        let plan = self.balancer().plan(&wanted);
        let length = plan.len() as u64;
        let stops = if length > 0 && !self.calm && self.random.percent(10) {
            Some(self.random.below(length))
        } else {
            None
        };
        for (number, op) in (0..).zip(&plan) {
            if stops == Some(number) {
                if self.before.is_empty() {
                    self.before.push(wanted);
                }
                self.note(&format!("step {number} of {length} is not carried out"));
                return Ok(());
            }
            self.balancer().apply(op);
            self.changes += 1;
            if !self.calm && self.random.percent(20) {
                self.some_packets(3)?;
            }
        }
        self.before.clear();
        self.balancer().applied_all();
        Ok(())
    }

    /// Time goes by, in which flows send as often as they do.
    pub(crate) fn pass(&mut self, millis: u64, agent: bool) -> Outcome {
        let end = self.now + millis;
        while self.now < end {
            let step = STEP.min(end - self.now).min(STEP - self.now % STEP);
            self.now += step;
            let now = self.now;
            self.balancer().set_clock(now);
            self.send_due()?;
            if agent && self.now.is_multiple_of(1000) {
                let due = self.balancer().tick();
                if due || !self.before.is_empty() {
                    self.reconcile()?;
                }
            }
        }
        Ok(())
    }

    /// Those flows send that would else be idle for longer than they are.
    fn send_due(&mut self) -> Outcome {
        for index in 0..self.flows.len() {
            let flow = &self.flows[index];
            let service = service(&self.wanted, &flow.key).ok_or("a flow of no service")?;
            let limit = flow.limit(service);
            let idle = flow.share.map_or(2 * limit, |share| limit / share);
            if self.now + STEP > flow.last + idle {
                self.send(index, Step::Data)?;
            }
        }
        Ok(())
    }

    /// Packets of whatever flows, and some new flows.
    pub(crate) fn some_packets(&mut self, count: u64) -> Outcome {
        for _ in 0..count {
            if self.flows.is_empty() || self.random.percent(15) {
                self.open()?;
            } else {
                let index = self.random.index(self.flows.len());
                let step = match self.random.below(20) {
                    0 => Step::About,
                    1 if self.flows[index].phase == crate::flows::Phase::Opening => Step::Syn,
                    _ => Step::Data,
                };
                self.send(index, step)?;
            }
        }
        Ok(())
    }

    /// A client opens a flow.
    pub(crate) fn open(&mut self) -> Outcome {
        if self.wanted.config.services.is_empty() {
            return Ok(());
        }
        let chosen = self.random.index(self.wanted.config.services.len());
        let service = self.wanted.config.services[chosen].clone();
        self.next_port = self.next_port.checked_add(1).unwrap_or(1024);
        let client = u32::try_from(self.random.below(6)).expect("few");
        let key = FlowKey {
            source: Addr::from(client_address(service.address, client)),
            destination: Addr::from(service.address),
            source_port: self.next_port,
            destination_port: service.port.get(),
            protocol: protocol(&service),
        };
        let (answer, events) = self.steer(&key, Step::Syn)?;
        let Some(answer) = answer else {
            return Ok(());
        };
        let refused = events
            .iter()
            .any(|e| matches!(e, FlowEvent::OverBudget | FlowEvent::Full));
        let backend = match answer.backend {
            Ok(backend) => backend,
            Err(DropReason::NoBackend) if !self.somebody_may(&service) => return Ok(()),
            Err(reason) => return Err(format!("a new flow was dropped: {reason:?}")),
        };
        if refused || service.protocol == Protocol::Udp {
            self.must_live(&service, backend)?;
        } else {
            self.must_be_open(&service, backend, answer.by_client)
                .map_err(|error| format!("{error}: {answer:?} {events:?}"))?;
        }
        self.seen.opened += 1;
        let Some(index) = self.track(key, &service, backend, &answer, &events) else {
            return Ok(());
        };
        // Most handshakes are done at once.
        if service.protocol == Protocol::Tcp && self.random.percent(80) {
            self.send(index, Step::Data)?;
        }
        Ok(())
    }

    /// From now on a flow has to stay where its first packet went.
    fn track(
        &mut self,
        key: FlowKey,
        service: &Service,
        backend: IpAddr,
        answer: &Answer,
        events: &[FlowEvent],
    ) -> Option<usize> {
        if !self.is_promised(service, backend, flows::is_kept(events)) {
            return None;
        }
        let share = 1 + self.random.below(4);
        let mut flow = Flow {
            share: (!self.random.percent(LAZY)).then_some(share),
            opened: self.changes,
            ..Flow::new(key, backend)
        };
        flow.sent(Step::Syn, backend, answer, events, self.now, self.changes);
        flow.evicted = self.lost_own;
        self.flows.push(flow);
        Some(self.flows.len() - 1)
    }

    /// A flow sends a packet, which must go where the flow is.
    pub(crate) fn send(&mut self, index: usize, step: Step) -> Outcome {
        let flow = self.flows[index].clone();
        let Some(service) = service(&self.wanted, &flow.key).cloned() else {
            return Ok(());
        };
        let (answer, events) = self.steer(&flow.key, step)?;
        let answer = answer.ok_or("a service is not known")?;
        let excuse = flow.excuse(step, &service, &answer, self.now, self.changes);
        let stayed = answer.backend == Ok(flow.home);
        match excuse {
            Some(excuse) => *self.seen.excused.entry((excuse, !stayed)).or_default() += 1,
            None if stayed => {
                self.seen.stayed += 1;
                self.seen.stayed_though_moved += u64::from(answer.owner != Some(flow.home));
            }
            None => {
                self.log.push(flow.story());
                let description = describe_service(&service);
                self.log.push(description);
                let to = answer.backend;
                return Err(format!(
                    "{flow}, last seen at {}, sends {step:?} and goes to {to:?} of a slot that is {:?} and {:?}'s: {events:?}",
                    flow.last, answer.previous, answer.owner
                ));
            }
        }
        let Ok(backend) = answer.backend else {
            // It has none, and whatever comes next may find another.
            self.flows[index].evicted = true;
            self.flows[index].last = self.now;
            return Ok(());
        };
        self.must_live(&service, backend)?;
        let promised = self.is_promised(&service, backend, flows::is_kept(&events));
        let flow = &mut self.flows[index];
        flow.sent(step, backend, &answer, &events, self.now, self.changes);
        flow.evicted |= !promised || self.lost_own;
        if step == Step::Syn {
            flow.opened = self.changes;
        }
        Ok(())
    }

    /// Some flows end, of which some come back on the same port.
    pub(crate) fn close(&mut self) -> Outcome {
        let mut index = 0;
        while index < self.flows.len() {
            if !self.random.percent(20) {
                index += 1;
                continue;
            }
            let flow = self.flows[index].clone();
            if flow.key.protocol == TCP && self.random.percent(70) {
                self.send(index, Step::Fin)?;
                if self.random.percent(30) {
                    index += 1;
                    continue;
                }
            }
            let flow = self.flows.swap_remove(index);
            if self.random.percent(20) {
                self.again(&flow)?;
            }
        }
        Ok(())
    }

    /// A new connection of the very ports of an old one.
    fn again(&mut self, old: &Flow) -> Outcome {
        let Some(service) = service(&self.wanted, &old.key).cloned() else {
            return Ok(());
        };
        let (answer, events) = self.steer(&old.key, Step::Syn)?;
        let Some(answer) = answer else {
            return Ok(());
        };
        let Ok(backend) = answer.backend else {
            return Ok(());
        };
        self.must_live(&service, backend)?;
        self.track(old.key, &service, backend, &answer, &events);
        Ok(())
    }

    /// Clients that send one packet each and are never heard of again.
    pub(crate) fn flood(&mut self, count: u64) -> Outcome {
        self.note(&format!("a flood of {count}"));
        let services = self.wanted.config.services.clone();
        for _ in 0..count {
            let service = &services[self.random.index(services.len())];
            let client = u32::try_from(self.random.below(5000)).expect("small");
            let port = self.random.below(u64::from(u16::MAX));
            let key = FlowKey {
                source: Addr::from(client_address(service.address, 1000 + client)),
                destination: Addr::from(service.address),
                source_port: u16::try_from(port).expect("small"),
                destination_port: service.port.get(),
                protocol: protocol(service),
            };
            let step = if self.random.percent(80) {
                Step::Syn
            } else {
                Step::Data
            };
            self.steer(&key, step)?;
        }
        Ok(())
    }

    /// The program's answer; whoever was pushed out for it is told.
    fn steer(
        &mut self,
        key: &FlowKey,
        step: Step,
    ) -> Result<(Option<Answer>, Vec<FlowEvent>), String> {
        let flags = step.flags(key.protocol);
        let balancer = self.balancer.as_ref().expect("there always is one");
        let answer = balancer.steer(key, flags, step == Step::About);
        let (events, evicted) = balancer.table.take();
        if let Some(answer) = &answer
            && let (Some(explained), Ok(backend)) = (answer.explained, answer.backend)
            && explained != backend
        {
            return Err(format!(
                "explain says {explained}, and it is {backend}: {key:?} {step:?} {answer:?} {events:?}"
            ));
        }
        if let Some(Err(DropReason::BadTable)) = answer.map(|answer| answer.backend) {
            return Err("the ring makes no sense".to_owned());
        }
        let told = answer.and_then(|answer| {
            let service = service(&self.wanted, key)?;
            Some((service, answer))
        });
        let in_force: Vec<&Wanted> = self.before.iter().chain([&self.wanted]).collect();
        for (tag, value) in &evicted {
            self.clients.pushed_out(*tag, *value)?;
        }
        if let Some((service, answer)) = told {
            let news = clients::News {
                in_force: &in_force,
                service,
                key,
                tag: balancer.client_tag(key),
                step,
                backend: answer.backend.ok(),
                events: &events,
                now: self.now,
            };
            self.seen.returned += u64::from(self.clients.hear(&news)?);
        }
        let own = balancer.tag(key);
        self.lost_own = evicted.iter().any(|(tag, _)| own == Some(*tag));
        for (tag, value) in evicted {
            for flow in &mut self.flows {
                if balancer.tag(&flow.key) == Some(tag) {
                    flow.pushed_out(value)?;
                }
            }
        }
        Ok((answer, events))
    }

    /// `backend` may get new flows, or might until a moment ago.
    fn must_be_open(&self, service: &Service, backend: IpAddr, by_client: bool) -> Outcome {
        let may = self.in_force().any(|wanted| {
            let service = service_with(wanted, service.key());
            service.is_some_and(|service| {
                let open = open(wanted, service);
                open.contains(&backend) || by_client && clients::may_host(wanted, service, backend)
            })
        });
        if may {
            Ok(())
        } else {
            Err(format!("a new flow went to {backend}, which gets none"))
        }
    }

    /// `backend` can serve what it has.
    fn must_live(&self, service: &Service, backend: IpAddr) -> Outcome {
        let lives = self.in_force().any(|wanted| {
            let service = service_with(wanted, service.key());
            service.is_none_or(|service| {
                !is_dead(wanted, service, backend) || open(wanted, service).contains(&backend)
            })
        });
        if lives {
            Ok(())
        } else {
            Err(format!("a packet went to {backend}, which is dead"))
        }
    }

    /// Whether some backend gets new flows, before or after the change under way.
    fn somebody_may(&self, service: &Service) -> bool {
        self.in_force().all(|wanted| {
            service_with(wanted, service.key())
                .is_some_and(|service| !open(wanted, service).is_empty())
        })
    }

    /// What packets may be judged by.
    fn in_force(&self) -> impl Iterator<Item = &Wanted> {
        self.before.iter().chain([&self.wanted])
    }
}

/// Who gets new flows of a service. If nobody who should can be reached, those who should.
pub(crate) fn open(wanted: &Wanted, service: &Service) -> BTreeSet<IpAddr> {
    if let Some(fallback) = &service.fallback
        && let Some(change) = wanted.changes.get(&(service.key(), fallback.key()))
        && change.admission == Admission::Alone
    {
        return BTreeSet::from([fallback.address]);
    }
    let may = |reachable: bool| {
        let backends = service.backends.iter().filter(move |backend| {
            let change = wanted.changes.get(&(service.key(), backend.key()));
            let change = change.copied().unwrap_or_default();
            let weight = change.weight.unwrap_or(backend.weight.get());
            change.admission == Admission::Open
                && weight > 0
                && (!reachable || is_reachable(wanted, backend.address))
        });
        backends.map(|backend| backend.address).collect()
    };
    let all: BTreeSet<IpAddr> = may(true);
    if all.is_empty() { may(false) } else { all }
}

/// Whether what a backend has is lost.
fn is_dead(wanted: &Wanted, service: &Service, backend: IpAddr) -> bool {
    let out = service
        .backends
        .iter()
        .find(|candidate| candidate.address == backend)
        .and_then(|backend| wanted.changes.get(&(service.key(), backend.key())))
        .is_some_and(|change| change.admission == Admission::Out);
    out || !is_reachable(wanted, backend)
}

pub(crate) fn is_reachable(wanted: &Wanted, backend: IpAddr) -> bool {
    wanted.hops.get(&backend) != Some(&Hop::Unresolved)
}

fn service<'a>(wanted: &'a Wanted, key: &FlowKey) -> Option<&'a Service> {
    let services = wanted.config.services.iter();
    let mut services = services.filter(|service| {
        protocol(service) == key.protocol
            && service.port.get() == key.destination_port
            && Addr::from(service.address) == key.destination
    });
    services.next()
}

pub(crate) fn service_with(wanted: &Wanted, key: ServiceKey) -> Option<&Service> {
    let mut services = wanted.config.services.iter();
    services.find(|service| service.key() == key)
}

pub(crate) fn protocol(service: &Service) -> u8 {
    match service.protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}

/// A client of the family of a service.
pub(crate) fn client_address(service: IpAddr, number: u32) -> IpAddr {
    if service.is_ipv4() {
        IpAddr::V4(Ipv4Addr::from(0xc633_6400 + number))
    } else {
        let net = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0));
        IpAddr::V6(Ipv6Addr::from(net + u128::from(number)))
    }
}

/// Milliseconds between two looks at the flows.
const STEP: u64 = 250;
/// Percent of flows that are idle for longer than promised.
const LAZY: u64 = 10;
