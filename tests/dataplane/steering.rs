//! Flows that a ring alone does not answer for: each case is a packet, who gets it, and what is counted.

use std::{collections::BTreeMap, os::fd::AsFd as _, sync::Arc};

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use lb_common::{
    backend::{CLOSED, DEAD},
    connections::{State, Value, WAY},
    counters::FLOW_WORDS,
    ring::{NOBODY, Previous, Slot},
    verdict::FlowEvent::{self, Eviction, Full, Hit, Insert, Miss, OverBudget, ToPrevious},
};
use lb_tests::packet::{Packet, tcp_flags};
use lb_user::dataplane::{
    arena::Arena,
    image::{BackendId, Image, OlderRing, RingImage, ServiceId, Steering},
    stats,
};

use crate::{
    harness::{Action, Bench, PINS, bench},
    world::{Family, Protocol, Target, WEB, image},
};

/// The service that is asked; [`UDP`] is another one with the same ring.
const TCP: (ServiceId, Protocol) = (ServiceId(0), Protocol::Tcp);
const UDP: (ServiceId, Protocol) = (ServiceId(1), Protocol::Udp);
const SYN: u8 = tcp_flags::SYN;
const ACK: u8 = tcp_flags::ACK;
const FIN: u8 = tcp_flags::FIN | tcp_flags::ACK;
const RST: u8 = tcp_flags::RST;

/// Three backends, 0 to 2, on a ring whose slots are all alike.
struct Scene<'a> {
    bench: &'a mut Bench,
    image: Image,
}

/// Runs cases on a ring of slots like this.
fn on_slots(slot: Slot, body: impl FnOnce(&mut Scene<'_>) -> Result<()> + Send) {
    bench(|bench| {
        let mut scene = Scene {
            bench,
            image: three_backends(slot),
        };
        scene.apply()?;
        body(&mut scene)
    });
}

/// The same for a service that takes turns.
fn by_turns(slot: Slot, body: impl FnOnce(&mut Scene<'_>) -> Result<()> + Send) {
    on_slots(slot, |scene| {
        scene.change(|steering, ring| {
            steering.stateful = true;
            ring.sequence = [0, 1, 2].into();
        })?;
        body(scene)
    });
}

fn three_backends(slot: Slot) -> Image {
    let world = image();
    let mut image = Image {
        front: world.front.clone(),
        devices: world.devices.clone(),
        ..Image::default()
    };
    for (id, protocol) in [TCP, UDP] {
        let target = Target::of(Family::V4, protocol, WEB);
        let mut service = world.services[&ServiceId(target.service)].clone();
        let locals: Vec<_> = (0..3).map(|n| BackendId(10 * id.0 + n)).collect();
        for local in &locals {
            let mut backend = world.backends[&BackendId(target.backend)].clone();
            backend.entry.id = local.0;
            let mac = Target {
                service: 0,
                backend: local.0,
            };
            backend.entry.macs.destination = lb_common::wire::ethernet::MacWords::new(mac.mac());
            backend.info.service_id = id;
            backend.info.address = [10, 1, 0, u8::try_from(local.0).unwrap_or(0)].into();
            image.backends.insert(*local, backend);
        }
        // Services share the table, and are told apart by their keys.
        service.hash_key = u64::from(id.0);
        service.ring = RingImage {
            locals: locals.into(),
            slots: [slot; 5].into(),
            since: [1; 5].into(),
            ..RingImage::default()
        };
        image.services.insert(id, service);
    }
    image
}

impl Scene<'_> {
    fn apply(&mut self) -> Result<()> {
        self.bench.apply(&self.image)
    }

    /// Changes both services.
    fn change(&mut self, change: impl Fn(&mut Steering, &mut RingImage)) -> Result<()> {
        for service in self.image.services.values_mut() {
            change(&mut service.steering, &mut service.ring);
        }
        self.apply()
    }

    /// Changes the backend of both services that has this number.
    fn change_backend(
        &mut self,
        number: u32,
        change: impl Fn(&mut lb_common::backend::BackendEntry),
    ) -> Result<()> {
        for id in [number, 10 + number] {
            let backend = self.image.backends.get_mut(&BackendId(id));
            change(&mut backend.context("no such backend")?.entry);
        }
        self.apply()
    }

    /// Who gets a packet: the number of a backend, or nobody.
    fn whom(&mut self, frame: &[u8]) -> Result<Option<u32>> {
        let (code, out) = self.bench.run(frame)?;
        if code == Action::Drop as u32 {
            return Ok(None);
        }
        ensure!(code == Action::Tx as u32, "verdict {code}");
        Ok(Some(u32::from(out[5]) % 10))
    }

    /// A packet of a client of the default address, who gets it, and what it counts.
    fn tcp(
        &mut self,
        port: u16,
        flags: u8,
        to: impl Into<Option<u32>>,
        events: &[FlowEvent],
    ) -> Result<()> {
        let packet = Family::V4.packet().tcp(port, WEB.port()).flags(flags);
        self.case(TCP, &packet, to.into(), events)
            .with_context(|| format!("TCP from port {port}, flags {flags:#x}"))
    }

    fn udp(&mut self, port: u16, to: impl Into<Option<u32>>, events: &[FlowEvent]) -> Result<()> {
        let packet = Family::V4.packet().udp(port, WEB.port());
        self.case(UDP, &packet, to.into(), events)
            .with_context(|| format!("UDP from port {port}"))
    }

    /// A SYN of another client.
    fn syn_of(&mut self, client: &str, to: u32, events: &[FlowEvent]) -> Result<()> {
        let packet = self.packet_of(client).flags(SYN);
        self.case(TCP, &packet, Some(to), events)
            .with_context(|| format!("a SYN of {client}"))
    }

    fn packet_of(&self, client: &str) -> Packet {
        let header = Family::V4.header(lb_tests::packet::eth(), client, Family::V4.vip());
        header.tcp(5000, WEB.port())
    }

    fn case(
        &mut self,
        (service, _): (ServiceId, Protocol),
        packet: &Packet,
        to: Option<u32>,
        events: &[FlowEvent],
    ) -> Result<()> {
        let before = self.counts(service);
        let got = self.whom(&packet.build())?;
        let after = self.counts(service);
        let mut counted = BTreeMap::new();
        for event in FlowEvent::ALL {
            let more = after[event as usize] - before[event as usize];
            counted.extend((more > 0).then_some((event, more)));
        }
        let mut wanted = BTreeMap::new();
        for event in events {
            *wanted.entry(*event).or_insert(0u64) += 1;
        }
        ensure!(
            got == to && counted == wanted,
            "went to {got:?}, expected {to:?}; counted {counted:?}, expected {wanted:?}"
        );
        Ok(())
    }

    fn counts(&self, service: ServiceId) -> [u64; FLOW_WORDS] {
        let flows = stats::read(&self.bench.bpf).flows;
        flows.get(&service).copied().unwrap_or_default()
    }

    /// Writes this value, and tags that no flow has, into all places.
    fn fill(&mut self, value: Value) -> Result<()> {
        let pin = format!("{PINS}/v{}/connections", lb_common::limits::LAYOUT);
        let map = MapData::from_pin(pin)?;
        let table = Arena::map(map.fd().as_fd(), self.bench.bpf.table().length())?;
        for at in (0..table.length()).step_by(WAY as usize) {
            table.put(at, u64::from(at) + 1);
            table.put(at + 8, value.word());
        }
        Ok(())
    }
}

#[test]
fn new_connections_take_turns_and_stay_where_they_are() {
    by_turns(Slot::new(0, Previous::Table), |scene| {
        for round in 0..2 {
            for turn in 0..3 {
                let port = 1000 + 10 * round + u16::try_from(turn)?;
                scene.tcp(port, SYN, turn, &[Miss, Insert])?;
                scene.tcp(port, SYN, turn, &[Hit])?;
                scene.tcp(port, ACK, turn, &[Hit])?;
            }
        }
        for (turn, port) in (0..3).zip(1000..) {
            scene.tcp(port, ACK, turn, &[Hit])?;
            scene.udp(port, turn, &[Miss, Insert])?;
            scene.udp(port, turn, &[Hit])?;
        }
        Ok(())
    });
}

#[test]
fn a_connection_that_opens_where_one_has_closed_is_a_new_one() {
    by_turns(Slot::new(0, Previous::Table), |scene| {
        scene.tcp(1000, SYN, 0, &[Miss, Insert])?;
        scene.tcp(1000, FIN, 0, &[Hit])?;
        scene.tcp(1000, ACK, 0, &[Hit])?;
        scene.tcp(1000, SYN, 1, &[Miss, Insert])?;
        scene.tcp(1000, RST, 1, &[Hit])?;
        scene.tcp(1000, SYN, 2, &[Miss, Insert])?;
        scene.tcp(1000, ACK, 2, &[Hit])
    });
}

#[test]
fn what_is_not_remembered_is_the_owners_and_stays_unremembered() {
    by_turns(Slot::new(2, Previous::Table), |scene| {
        for flags in [ACK, FIN, RST, 0] {
            scene.tcp(1000, flags, 2, &[Miss])?;
            scene.tcp(1000, flags, 2, &[Miss])?;
        }
        Ok(())
    });
}

#[test]
fn beyond_the_budget_new_connections_are_the_owners() {
    by_turns(Slot::new(2, Previous::Table), |scene| {
        scene.change(|steering, _| steering.budget = 0)?;
        scene.tcp(1000, SYN, 2, &[Miss, OverBudget])?;
        // What follows agrees.
        scene.tcp(1000, ACK, 2, &[Miss])?;
        scene.udp(1000, 2, &[Miss, OverBudget])
    });
}

#[test]
fn a_budget_is_kept_within_a_tick() {
    by_turns(Slot::new(2, Previous::Table), |scene| {
        scene.change(|steering, _| steering.budget = 5)?;
        for port in 0..100 {
            let packet = Family::V4.packet().tcp(2000 + port, WEB.port()).flags(SYN);
            scene.whom(&packet.build())?;
        }
        let counts = scene.counts(TCP.0);
        let (inserts, refused) = (counts[Insert as usize], counts[OverBudget as usize]);
        // The hundred may have taken two or three ticks of a second.
        ensure!((5..=15).contains(&inserts), "{inserts} inserts");
        ensure!(inserts + refused == 100, "{inserts} and {refused}");
        Ok(())
    });
}

#[test]
fn a_table_full_of_established_flows_takes_no_new_one_and_a_weaker_entry_makes_room() {
    by_turns(Slot::new(2, Previous::Table), |scene| {
        scene.fill(Value::new(1, 1, 0, State::Established))?;
        scene.tcp(1000, SYN, 2, &[Miss, Full])?;
        scene.tcp(1000, ACK, 2, &[Miss])?;
        scene.fill(Value::new(1, 1, 0, State::Client))?;
        scene.tcp(1000, SYN, 2, &[Miss, Full])?;
        for weaker in [
            State::Closing,
            State::Opening,
            State::Newcomer,
            State::Glimpsed,
        ] {
            scene.fill(Value::new(1, 1, 0, weaker))?;
            let before = scene.counts(TCP.0)[Eviction as usize];
            let packet = scene.packet_of("198.51.100.9").flags(SYN);
            scene.whom(&packet.build())?;
            let more = scene.counts(TCP.0)[Eviction as usize] - before;
            ensure!(more == 1, "{weaker:?}: {more} evictions");
        }
        Ok(())
    });
}

#[test]
fn what_is_remembered_of_an_earlier_life_of_a_backend_is_void() {
    by_turns(Slot::new(2, Previous::Table), |scene| {
        for turn in 0..2 {
            scene.tcp(1000 + u16::try_from(turn)?, SYN, turn, &[Miss, Insert])?;
        }
        scene.change_backend(0, |entry| entry.generation += 1)?;
        // A void entry is written over, so that nothing finds it once its generation comes round.
        scene.tcp(1000, ACK, 2, &[Miss, Insert])?;
        scene.tcp(1000, ACK, 2, &[Hit])?;
        scene.tcp(1001, ACK, 1, &[Hit])
    });
}

#[test]
fn on_a_moved_slot_new_connections_follow_the_owner_and_older_ones_stay() {
    on_slots(Slot::new(1, Previous::Local(0)), |scene| {
        scene.tcp(1000, SYN, 1, &[Miss, Insert])?;
        scene.tcp(1000, ACK, 1, &[Hit])?;
        scene.tcp(1001, ACK, 0, &[Miss, ToPrevious, Insert])?;
        scene.tcp(1001, FIN, 0, &[Hit])?;
        // A reset is the last of its connection: nothing to remember.
        scene.tcp(1002, RST, 0, &[Miss, ToPrevious])?;
        // UDP does not say what is new.
        scene.udp(1000, 0, &[Miss, ToPrevious, Insert])?;
        scene.udp(1000, 0, &[Hit])?;
        // The slot moves on to 2: who is remembered stays, who is not is still older than the first move.
        scene.change(|_, ring| ring.slots = [Slot::new(2, Previous::Local(0)); 5].into())?;
        scene.tcp(1000, ACK, 1, &[Hit])?;
        scene.tcp(1001, ACK, 0, &[Hit])?;
        scene.tcp(1003, ACK, 0, &[Miss, ToPrevious, Insert])?;
        scene.tcp(1004, SYN, 2, &[Miss, Insert])
    });
}

#[test]
fn on_a_moved_slot_what_cannot_be_remembered_goes_to_the_previous_owner() {
    on_slots(Slot::new(1, Previous::Local(0)), |scene| {
        scene.change(|steering, _| steering.budget = 0)?;
        scene.tcp(1000, SYN, 0, &[Miss, OverBudget])?;
        scene.tcp(1000, ACK, 0, &[Miss, ToPrevious, OverBudget])?;
        scene.change(|steering, _| steering.budget = 1000)?;
        scene.fill(Value::new(1, 1, 0, State::Established))?;
        scene.tcp(1001, SYN, 0, &[Miss, Full])?;
        scene.tcp(1001, ACK, 0, &[Miss, ToPrevious, Full])
    });
}

#[test]
fn after_its_grace_or_with_a_dead_previous_owner_a_moved_slot_is_its_owners() {
    on_slots(Slot::new(1, Previous::Local(0)), |scene| {
        scene.tcp(1000, ACK, 0, &[Miss, ToPrevious, Insert])?;
        scene.udp(1000, 0, &[Miss, ToPrevious, Insert])?;
        // What the agent makes of it in both cases; the dead one's generation is another, too.
        scene.change(|_, ring| ring.slots = [Slot::new(1, Previous::Table); 5].into())?;
        scene.tcp(1000, ACK, 0, &[Hit])?;
        scene.udp(1000, 0, &[Hit])?;
        scene.tcp(1001, ACK, 1, &[Miss])?;
        scene.tcp(1001, SYN, 1, &[Miss])?;
        scene.udp(1001, 1, &[Miss])?;
        scene.change_backend(0, |entry| entry.generation += 1)?;
        scene.tcp(1000, ACK, 1, &[Miss, Insert])?;
        scene.udp(1000, 1, &[Miss, Insert])
    });
}

#[test]
fn a_ring_of_another_size_answers_for_older_flows() {
    on_slots(Slot::new(1, Previous::Older), |scene| {
        scene.change(|_, ring| {
            ring.older = Some(Arc::new(OlderRing {
                slots: [2; 7].into(),
                since: 1,
            }));
        })?;
        scene.tcp(1000, SYN, 1, &[Miss, Insert])?;
        scene.tcp(1001, ACK, 2, &[Miss, ToPrevious, Insert])?;
        scene.udp(1001, 2, &[Miss, ToPrevious, Insert])?;
        scene.change(|_, ring| {
            ring.older = Some(Arc::new(OlderRing {
                slots: [NOBODY; 7].into(),
                since: 1,
            }));
        })?;
        scene.tcp(1000, ACK, 1, &[Hit])?;
        scene.tcp(1001, ACK, 2, &[Hit])?;
        scene.tcp(1002, ACK, 1, &[Miss, Insert])
    });
}

#[test]
fn where_nobody_takes_new_connections_older_ones_go_on() {
    on_slots(Slot::new(NOBODY, Previous::Local(0)), |scene| {
        scene.tcp(1000, SYN, None, &[Miss])?;
        scene.tcp(1001, ACK, 0, &[Miss, ToPrevious, Insert])
    });
}

/// Turns, and clients of a /24 stay together.
fn with_persistence(body: impl FnOnce(&mut Scene<'_>) -> Result<()> + Send) {
    by_turns(Slot::new(0, Previous::Table), |scene| {
        scene.change(|steering, _| steering.client_bits = 96 + 24)?;
        body(scene)
    });
}

#[test]
fn flows_of_one_client_go_where_its_first_one_went() {
    with_persistence(|scene| {
        scene.syn_of("198.51.100.1", 0, &[Miss, Insert])?;
        scene.syn_of("198.51.100.254", 0, &[Miss, Insert])?;
        scene.syn_of("198.51.101.1", 1, &[Miss, Insert])?;
        scene.syn_of("203.0.113.1", 2, &[Miss, Insert])?;
        scene.syn_of("203.0.113.2", 2, &[Miss, Insert])?;
        scene.tcp(1000, SYN, 0, &[Miss, Insert])?;
        scene.tcp(1000, ACK, 0, &[Hit])?;
        for port in 1..20 {
            scene.udp(port, 0, &[Miss, Insert])?;
        }
        Ok(())
    });
}

#[test]
fn a_client_leaves_a_backend_that_is_closed_or_dead_and_not_one_without_turns() {
    with_persistence(|scene| {
        scene.syn_of("198.51.100.1", 0, &[Miss, Insert])?;
        // Drained: no turns any more, and the clients that it has go on.
        scene.change(|_, ring| ring.sequence = [1, 2].into())?;
        scene.syn_of("198.51.100.2", 0, &[Miss, Insert])?;
        scene.change_backend(0, |entry| entry.flags = CLOSED)?;
        scene.change(|_, ring| ring.sequence = [1].into())?;
        scene.syn_of("198.51.100.3", 1, &[Miss, Insert])?;
        // Its open flows stay, and say nothing of where new ones go.
        let open = scene.packet_of("198.51.100.1").flags(ACK);
        scene.case(TCP, &open, Some(0), &[Hit])?;
        scene.change_backend(0, |entry| entry.flags = 0)?;
        scene.syn_of("198.51.100.4", 1, &[Miss, Insert])?;
        scene.change_backend(1, |entry| entry.generation += 1)?;
        scene.change(|_, ring| ring.sequence = [2].into())?;
        scene.syn_of("198.51.100.5", 2, &[Miss, Insert])?;
        scene.syn_of("198.51.100.6", 2, &[Miss, Insert])
    });
}

/// All are dead, and then another one returns before it: whoever tried meanwhile is not held by it.
#[test]
fn nothing_is_remembered_on_a_dead_backend() {
    with_persistence(|scene| {
        scene.change(|_, ring| ring.sequence = Arc::default())?;
        scene.change_backend(0, |entry| entry.flags = DEAD)?;
        scene.syn_of("198.51.100.1", 0, &[Miss])?;
        scene.udp(1000, 0, &[Miss])?;
        scene.change(|_, ring| ring.slots = [Slot::new(1, Previous::Table); 5].into())?;
        scene.syn_of("198.51.100.1", 1, &[Miss, Insert])?;
        scene.udp(1000, 1, &[Miss, Insert])?;
        // What was remembered of a connection that has closed is not found again, either.
        let fin = scene.packet_of("198.51.100.1").flags(FIN);
        scene.case(TCP, &fin, Some(1), &[Hit])?;
        scene.change(|_, ring| ring.slots = [Slot::new(0, Previous::Table); 5].into())?;
        scene.change_backend(1, |entry| entry.flags = CLOSED)?;
        scene.syn_of("198.51.100.1", 0, &[Miss])?;
        let ack = scene.packet_of("198.51.100.1").flags(ACK);
        scene.case(TCP, &ack, Some(0), &[Miss])
    });
}

#[test]
fn what_cannot_be_remembered_of_a_client_goes_by_the_ring() {
    with_persistence(|scene| {
        scene.change(|steering, _| steering.budget = 0)?;
        scene.syn_of("198.51.100.1", 0, &[Miss, OverBudget])?;
        scene.syn_of("198.51.101.1", 0, &[Miss, OverBudget])?;
        // The flow, but not the client: there is room for one.
        scene.change(|steering, _| steering.budget = 1)?;
        let before = scene.counts(TCP.0);
        let packet = scene.packet_of("203.0.113.1").flags(SYN);
        scene.whom(&packet.build())?;
        let after = scene.counts(TCP.0);
        let more = |event: FlowEvent| after[event as usize] - before[event as usize];
        ensure!(more(Insert) == 1 && more(OverBudget) <= 1);
        Ok(())
    });
}

#[test]
fn without_turns_a_client_gets_the_owner_of_its_own_slot() {
    with_persistence(|scene| {
        scene.change(|_, ring| {
            ring.sequence = Arc::default();
            ring.slots = [0, 1, 2, 0, 1]
                .map(|owner| Slot::new(owner, Previous::Table))
                .into();
        })?;
        let mut owners = std::collections::BTreeSet::new();
        for network in 0..20 {
            let mut seen = std::collections::BTreeSet::new();
            for (host, flags) in [(1, ACK), (2, SYN), (3, SYN), (4, ACK)] {
                // Also what is not remembered: another balancer may have seen its first packet.
                let client = format!("198.51.{network}.{host}");
                let packet = scene.packet_of(&client).flags(flags);
                seen.extend(scene.whom(&packet.build())?);
            }
            ensure!(seen.len() == 1, "network {network} went to {seen:?}");
            owners.extend(seen);
        }
        ensure!(owners.len() == 3, "only {owners:?}");
        Ok(())
    });
}
