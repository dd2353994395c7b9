//! An arena that makes no sense: whatever is in it, the program neither reads beside it nor aborts.

use std::os::fd::AsFd as _;

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use lb_common::{
    arena::{Arena as _, ROOT_FRONT},
    hash::mix64,
    service::ENTRY_RING,
    verdict::DropReason,
};
use lb_tests::packet::Packet;
use lb_user::dataplane::{
    arena::Arena,
    image::{BackendId, ServiceId},
    region,
};
use zerocopy::IntoBytes as _;

use crate::{
    harness::{Action, Bench, PINS, cases},
    world::{CLIENT_PORT, Family, Protocol, Target, WEB, Way},
};

/// A second mapping of the arena: a defective agent's.
fn mapped(bench: &Bench) -> Result<Arena> {
    let pin = format!("{PINS}/v{}/arena", lb_common::limits::LAYOUT);
    let map = MapData::from_pin(pin)?;
    Ok(Arena::map(map.fd().as_fd(), bench.bpf.arena().length())?)
}

/// Where a service's entry and its ring are in the arena.
fn places(arena: &Arena, target: Target) -> Result<(u32, u32)> {
    let found = region::read(arena).context("a readable arena")?;
    let service = found
        .services
        .get(&ServiceId(target.service))
        .context("the service")?;
    Ok((service.entry, service.ring_at))
}

fn request(family: Family, way: Way) -> Packet {
    family.packet().tcp(CLIENT_PORT, way.port())
}

#[test]
fn a_slot_beyond_the_owners_is_a_bad_table() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                let packet = protocol.header(family.packet(), Way::BadSlots);
                let name = format!("{family:?} {protocol:?}");
                bench.drops(name, &packet, DropReason::BadTable)?;
            }
        }
        Ok(())
    });
}

#[test]
fn words_that_point_out_of_the_arena_are_a_bad_table() {
    cases(|bench| {
        // The service of bad slots cannot be read back, by design.
        let mut image = crate::world::image();
        let bad_slots = Way::BadSlots.port();
        image
            .services
            .retain(|_, service| service.key.port() != bad_slots);
        bench.apply(&image)?;
        let mut arena = mapped(bench)?;
        let length = arena.length();
        let target = Target::of(Family::V4, Protocol::Tcp, WEB);
        let (entry, ring) = places(&arena, target)?;
        let packet = request(Family::V4, WEB);
        let beyond = [
            length - 63 + 7,
            length,
            length + 64,
            u32::MAX - 63,
            0xffff_fff8,
        ];

        let local = ring + region::local_word(5, 0);
        let good = arena.word(local).context("a word")?;
        for word in beyond {
            arena.flip(local, word);
            let name = format!("a backend at {word:#x}");
            bench.drops(name, &packet, DropReason::BadTable)?;
        }
        arena.flip(local, length - 64);
        bench.drops("a backend of zeros", &packet, DropReason::BadTable)?;
        let mut entry_of_no_mode = image.backends[&BackendId(target.backend)].entry;
        for mode in [0, 6, 255] {
            entry_of_no_mode.mode = mode;
            arena.write(length - 64, entry_of_no_mode.as_bytes());
            let name = format!("a backend of mode {mode}");
            bench.drops(name, &packet, DropReason::BadTable)?;
        }
        arena.flip(local, good);

        for word in beyond {
            arena.flip(entry + ENTRY_RING, word);
            let name = format!("a ring at {word:#x}");
            bench.drops(name, &packet, DropReason::BadTable)?;
        }
        arena.flip(entry + ENTRY_RING, 0);
        bench.drops("no ring", &packet, DropReason::NoBackend)?;
        arena.flip(entry + ENTRY_RING, ring);

        let front = arena.word(ROOT_FRONT).context("a word")?;
        for word in beyond {
            arena.flip(ROOT_FRONT, word);
            bench.passes(format!("a front table at {word:#x}"), &packet)?;
        }
        arena.flip(ROOT_FRONT, front);
        Ok(())
    });
}

#[test]
fn no_garbage_in_the_arena_aborts_the_program() {
    cases(|bench| {
        let mut arena = mapped(bench)?;
        let (used, _) = bench.bpf.ring_memory();
        let packets: Vec<_> = Family::BOTH
            .into_iter()
            .flat_map(|family| {
                [WEB, Way::Mixed, Way::Redirect].map(|way| request(family, way).build())
            })
            .collect();
        let mut random = 0;
        for round in 0..3000u64 {
            random = mix64(random + round);
            let at = u32::try_from(random % u64::from(used / 4))? * 4;
            // The root stays: a front table beyond the arena is the case above.
            if at >= 64 {
                arena.flip(at, (random >> 32) as u32);
            }
            for frame in &packets {
                let (code, _) = bench.run(frame)?;
                ensure!(
                    (Action::Drop as u32..=Action::Redirect as u32).contains(&code),
                    "verdict {code} after {round} words"
                );
            }
        }
        bench.check("no case aborted", true);
        Ok(())
    });
}
