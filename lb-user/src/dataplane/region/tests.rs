use std::net::{IpAddr, Ipv4Addr};

use lb_common::{
    flow::{TCP, UDP},
    ring::{self, NOBODY, Previous},
    service,
};

use super::*;
use crate::dataplane::arena::Arena as Mapped;

fn key(n: u32, port: u16, protocol: u8) -> ServiceKey {
    let ip = Ipv4Addr::from(0x0a00_0000 + n / 4);
    ServiceKey::new(Addr::from(IpAddr::V4(ip)), port, protocol)
}

fn table(services: u32) -> (Mapped, FrontRegion, Vec<FrontService>) {
    let wanted: Vec<_> = (0..services)
        .map(|n| FrontService {
            id: ServiceId(n),
            key: key(
                n,
                80 + u16::try_from(n % 2).unwrap(),
                if n % 4 < 2 { TCP } else { UDP },
            ),
            hash_key: u64::from(n),
            steering: Steering::default(),
            ring: 0,
        })
        .collect();
    let mut front_image = Front::default();
    for n in 1..=16 {
        let mac = Mac([2, 0, 0, 0, 0, u8::try_from(n).unwrap()]);
        front_image
            .interfaces
            .insert(IfIndex::new(n * 37).unwrap(), mac);
        front_image
            .peers
            .insert(Mac([2, 0, 0, 0, 1, u8::try_from(n).unwrap()]));
    }
    front_image
        .own_addresses
        .insert("192.0.2.1".parse().unwrap());
    let region = front(&front_image, &wanted);
    let mut arena = Mapped::anonymous(16 << 20).unwrap();
    arena.write(UNIT, &region.bytes);
    arena.write(0, root(UNIT, 0, 0).as_bytes());
    (arena, region, wanted)
}

#[test]
fn every_service_interface_peer_and_own_address_is_found() {
    for count in [0, 1, 2, 100, 4096] {
        let (arena, _, wanted) = table(count);
        let front = service::front(&arena).unwrap();
        for service in &wanted {
            let found = front.find(&arena, &service.key).unwrap();
            assert_eq!(found.entry.id, service.id.0);
            assert_eq!(front.address_flags(&arena, service.key.addr), VIP);
        }
        let own = Addr::from("192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(front.address_flags(&arena, own), OWN);
        assert!(front.find(&arena, &key(0, 9999, TCP)).is_none());
        for n in 1..=16u32 {
            let last = u8::try_from(n).unwrap();
            assert_eq!(
                front.interface_mac(&arena, n * 37),
                Some(word(Mac([2, 0, 0, 0, 0, last])))
            );
            assert_eq!(front.interface_mac(&arena, n * 37 + 1), None);
            assert!(front.is_peer(&arena, word(Mac([2, 0, 0, 0, 1, last]))));
            assert!(!front.is_peer(&arena, word(Mac([2, 0, 0, 0, 0, last]))));
        }
    }
}

#[test]
fn what_was_written_is_read_back() {
    let mut arena = Mapped::anonymous(1 << 20).unwrap();
    let entry = BackendEntry {
        id: 7,
        ..zerocopy::FromZeros::new_zeroed()
    };
    arena.write(64 * 1024, entry.as_bytes());
    let slots = [
        Slot::plain(0),
        Slot::plain(NOBODY),
        Slot::new(0, Previous::Older),
        Slot::new(NOBODY, Previous::Table),
        Slot::new(0, Previous::Local(0)),
    ];
    let older = OlderRing {
        slots: [0, NOBODY].into(),
        since: 77,
    };
    let image = RingImage {
        locals: [BackendId(7)].into(),
        slots: slots.into(),
        since: [0, 0, 5, 6, 7].into(),
        older: Some(older.into()),
        sequence: [0, 0].into(),
        sequence_start: 3,
    };
    let bytes = ring(&image, |_| 64 * 1024);
    arena.write(128 * 1024, &bytes);
    let mut front_image = Front::default();
    front_image
        .interfaces
        .insert(IfIndex::new(3).unwrap(), Mac([2, 0, 0, 0, 0, 9]));
    front_image
        .own_addresses
        .insert("2001:db8::1".parse().unwrap());
    let service = FrontService {
        id: ServiceId(5),
        key: key(1, 443, TCP),
        hash_key: 99,
        steering: Steering {
            stateful: true,
            by_source: true,
            budget: 5,
            client_bits: 0,
        },
        ring: 128 * 1024,
    };
    let region = front(&front_image, &[service]);
    arena.write(UNIT, &region.bytes);
    arena.write(0, root(UNIT, 0, 0).as_bytes());

    let found = read(&arena).unwrap();
    assert_eq!(found.front, front_image);
    assert_eq!(
        found.front_region,
        Some((UNIT, u32::try_from(region.bytes.len()).unwrap()))
    );
    assert_eq!(found.backends[&BackendId(7)], (64 * 1024, entry));
    let back = &found.services[&ServiceId(5)];
    assert_eq!(
        (back.key, back.hash_key, back.ring_at),
        (service.key, 99, 128 * 1024)
    );
    assert_eq!(back.ring, image);
    assert_eq!(back.entry, UNIT + region.entries[&ServiceId(5)]);
    assert_eq!(back.steering, service.steering);
    let fast = |hash| ring::plain(&arena, 128 * 1024, hash).map(|entry| entry.id);
    assert_eq!(fast(0), Some(7));
    assert_eq!(fast(u32::MAX / 4), None, "nobody's");
    assert_eq!(fast(u32::MAX), None, "it has moved");
    let opened = ring::Ring::open(&arena, 128 * 1024).unwrap();
    assert_eq!(opened.moved_at(3), Some(6));
    assert_eq!(opened.older(0), Ok(0));
    assert_eq!(opened.older(u32::MAX), Ok(NOBODY));
    assert_eq!(opened.sequence(4), Some(0));
}

#[test]
fn a_foreign_or_damaged_arena_is_not_adopted() {
    let mut arena = Mapped::anonymous(1 << 20).unwrap();
    assert!(read(&arena).is_none(), "no magic");
    arena.write(
        0,
        Root {
            layout: LAYOUT + 1,
            ..root(0, 0, 0)
        }
        .as_bytes(),
    );
    assert!(read(&arena).is_none(), "another layout");
    arena.write(0, root((1 << 20) - 8, 0, 0).as_bytes());
    assert!(read(&arena).is_none(), "a front table beyond the end");
}
