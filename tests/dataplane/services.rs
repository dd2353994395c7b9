//! What a service does with packets that are fit, and what is no service's.

use lb_common::verdict::DropReason;
use lb_tests::packet::eth;
use lb_user::dataplane::image::{BackendId, Image};

use crate::{
    forwarding::sent,
    harness::{Expect, bench, cases},
    world::{self, CLIENT_PORT, Family, NO_SERVICE, Protocol, Target, WEB, Way},
};

#[test]
fn an_empty_arena_passes_everything() {
    bench(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                let packet = protocol.header(family.packet(), WEB);
                bench.passes("a request", &packet)?;
                bench.passes("a broken one", &packet.ip_version(3))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_front_table_without_services_passes_everything() {
    bench(|bench| {
        let image = Image {
            front: world::image().front,
            ..Image::default()
        };
        bench.apply(&image)?;
        for family in Family::BOTH {
            let packet = family.packet().tcp(CLIENT_PORT, WEB.port());
            bench.passes("a request", &packet)?;
            bench.passes("a broken one", &packet.ip_version(3))?;
        }
        Ok(())
    });
}

#[test]
fn a_services_address_without_the_port_is_passed() {
    cases(|bench| {
        for family in Family::BOTH {
            for port in [0, 79, NO_SERVICE, 65535] {
                bench.passes("TCP", &family.packet().tcp(CLIENT_PORT, port))?;
                bench.passes("UDP", &family.packet().udp(CLIENT_PORT, port))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_services_port_on_another_address_is_passed() {
    cases(|bench| {
        for (family, address) in [
            (Family::V4, "192.0.2.11"),
            (Family::V4, "10.2.0.192"),
            (Family::V4, "255.255.255.255"),
            (Family::V4, Family::V4.own()),
            (Family::V6, "2001:db8::11"),
            (Family::V6, "2001:db8:0:1::10"),
            (Family::V6, "ff02::1"),
            (Family::V6, Family::V6.own()),
        ] {
            for protocol in Protocol::BOTH {
                let ip = family.header(eth(), family.client(), address);
                bench.passes(address, &protocol.header(ip, WEB))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_service_without_an_available_backend_drops_by_name() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                for way in [Way::NoBackend, Way::NoLocals] {
                    let packet = protocol.header(family.packet(), way);
                    let name = format!("{family:?} {protocol:?} {way:?}");
                    bench.drops(name, &packet, DropReason::NoBackend)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_backend_without_a_next_hop_drops_by_name() {
    cases(|bench| {
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                let packet = protocol.header(family.packet(), Way::Unresolved);
                let name = format!("{family:?} {protocol:?}");
                bench.drops(name, &packet, DropReason::NextHopUnresolved)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_changed_backend_is_used_from_the_next_packet_on() {
    cases(|bench| {
        let mut image = world::image();
        let target = Target::of(Family::V4, Protocol::Udp, Way::Unresolved);
        let web = Target::of(Family::V4, Protocol::Udp, WEB);
        let resolved = image.backends[&BackendId(web.backend)].entry;
        let (frame, _) = sent(Family::V4, Protocol::Udp, Way::Unresolved, |before, ttl| {
            let ip = before.ipv4(Family::V4.client(), Family::V4.vip()).ttl(ttl);
            Protocol::Udp.header(ip, Way::Unresolved)
        });
        let unresolved = Expect::Drop(DropReason::NextHopUnresolved);
        bench.case("before", &frame, &unresolved)?;

        let backend = image
            .backends
            .get_mut(&BackendId(target.backend))
            .expect("it is in the world");
        let old = backend.entry;
        backend.entry.mode = resolved.mode;
        bench.apply(&image)?;
        let (frame, forwarded) = sent(Family::V4, Protocol::Udp, Way::Unresolved, |before, ttl| {
            let ip = before.ipv4(Family::V4.client(), Family::V4.vip()).ttl(ttl);
            Protocol::Udp.header(ip, Way::Unresolved)
        });
        bench.case("after", &frame, &Expect::Send(forwarded))?;

        if let Some(backend) = image.backends.get_mut(&BackendId(target.backend)) {
            backend.entry = old;
        }
        bench.apply(&image)?;
        bench.case("and back", &frame, &unresolved)
    });
}

#[test]
fn a_removed_service_is_passed_from_the_next_packet_on() {
    cases(|bench| {
        let web = Target::of(Family::V4, Protocol::Tcp, WEB);
        let mut image = world::image();
        image.services.retain(|id, _| id.0 != web.service);
        image.backends.retain(|id, _| id.0 != web.backend);
        bench.apply(&image)?;
        let packet = Family::V4.packet();
        bench.passes("TCP", &packet.clone().tcp(CLIENT_PORT, WEB.port()))?;
        let (frame, sent) = sent(Family::V4, Protocol::Udp, WEB, |before, ttl| {
            before
                .ipv4(Family::V4.client(), Family::V4.vip())
                .ttl(ttl)
                .udp(CLIENT_PORT, WEB.port())
        });
        bench.case("UDP stays", &frame, &Expect::Send(sent))
    });
}
