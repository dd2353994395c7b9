//! Virtual addresses.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use lb_user::net::{Net, address::AddressSpec, route::RouteAnswer};

use super::{Lab, adverts::index, can_make_namespaces, ip, runtime, with_net};

fn spec(address: IpAddr, prefix: u8) -> AddressSpec {
    AddressSpec {
        interface: index("wire0"),
        address,
        prefix,
        label: None,
    }
}

/// With the whole host: sources are chosen over all of its addresses.
#[test]
fn the_kernel_chooses_no_virtual_address_as_source() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.ip("route add default via 10.0.0.2");
    lab.lb.ip("route add default via fd00::2");
    lab.lb.run(|| {
        with_net(async |net| {
            // Lower than the interface's own, longer matches of the destinations below.
            let specs = [
                spec(ip("10.0.0.0"), 32),
                spec(ip("10.0.0.3"), 24),
                spec(ip("10.0.0.130"), 25),
                spec(ip("192.0.2.9"), 32),
                spec(ip("fd00::"), 128),
                spec(ip("fd00::3"), 64),
                spec(ip("2001:db8::9"), 128),
                spec(ip("fe80::9"), 64),
            ];
            for added in net.add_addresses(&specs).await {
                assert!(added.unwrap());
            }
            for (to, own) in [
                ("10.0.0.2", "10.0.0.1"),
                ("192.0.2.8", "10.0.0.1"),
                ("fd00::2", "fd00::1"),
                ("2001:db8::8", "fd00::1"),
            ] {
                let answer = net.route_to(ip(to)).await.unwrap();
                assert!(
                    matches!(answer, RouteAnswer::Unicast { source, .. } if source == Some(ip(own))),
                    "to {to}: {answer:?}"
                );
            }
            let all = net.addresses().await.unwrap();
            for spec in &specs {
                let own = all.iter().find(|own| own.address == spec.address);
                let own = own.expect("it was added");
                assert!(own.ours && !own.tentative, "{own:?}");
            }
            let real = all.iter().find(|own| own.address == ip("10.0.0.1"));
            assert!(!real.expect("it stays").ours);
        });
    });
}

#[test]
fn a_label_is_shown_and_a_host_prefix_makes_no_route() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            let mut labelled = spec(ip("10.0.0.100"), 24);
            labelled.label = Some("wire0:1".to_owned());
            assert!(net.add_address(&labelled).await.unwrap());
            assert!(
                net.add_address(&spec(ip("2001:db8::9"), 128))
                    .await
                    .unwrap()
            );
            assert!(
                net.add_address(&spec(ip("2001:db8:1::9"), 64))
                    .await
                    .unwrap()
            );
        });
    });
    let shown = lab.lb.ip("address show dev wire0 label wire0:1");
    assert!(shown.contains("10.0.0.100/24"), "{shown}");
    assert!(shown.contains("secondary"), "{shown}");
    let routes = lab.lb.ip("-6 route show dev wire0");
    assert!(!routes.contains("2001:db8::9"), "{routes}");
    assert!(routes.contains("2001:db8:1::/64"), "{routes}");
    let shown = lab.lb.ip("-6 address show dev wire0 deprecated");
    assert!(shown.contains("2001:db8::9/128"), "{shown}");
}

#[test]
fn removing_an_address_leaves_the_network_to_the_others() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            let specs = [spec(ip("10.0.0.100"), 24), spec(ip("fd00::100"), 64)];
            for added in net.add_addresses(&specs).await {
                assert!(added.unwrap());
            }
            for removed in net.remove_addresses(&specs).await {
                assert!(removed.unwrap());
            }
        });
    });
    let routes = [lab.lb.ip("route"), lab.lb.ip("-6 route")].concat();
    assert!(routes.contains("10.0.0.0/24"), "{routes}");
    assert!(routes.contains("fd00::/64"), "{routes}");
}

#[test]
fn the_hosts_own_address_stays_where_a_virtual_one_came_first() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let setting = || lab.lb.run(|| std::fs::read_to_string(PROMOTE)).unwrap();
    let before = setting();
    // As when a network service takes its addresses away and gives them back.
    lab.lb.ip("address del 10.0.0.1/24 dev wire0");
    lab.lb.run(|| {
        with_net(async |net| {
            let vips = [spec(ip("10.0.0.100"), 24), spec(ip("10.0.0.101"), 24)];
            for added in net.add_addresses(&vips).await {
                assert!(added.unwrap());
            }
            lab.lb.ip("address add 10.0.0.1/24 dev wire0");
            for removed in net.remove_addresses(&vips).await {
                assert!(removed.unwrap());
            }
        });
    });
    let left = lab.lb.ip("-4 address show dev wire0");
    assert!(
        left.contains("10.0.0.1/24") && !left.contains("secondary"),
        "{left}"
    );
    assert!(!left.contains("10.0.0.10"), "{left}");
    assert_eq!(setting(), before);
}

#[test]
fn a_handle_that_is_driven_apart_works_without_its_callers_runtime() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        let net = Net::open_apart().unwrap();
        runtime().block_on(async {
            assert!(net.add_address(&spec(ip("10.0.0.100"), 32)).await.unwrap());
        });
    });
    assert!(
        lab.lb
            .ip("address show dev wire0")
            .contains("10.0.0.100/32")
    );
}

/// IPv6 takes longer the more there are, whoever adds them: for every address the kernel announces all
/// multicast groups of the interface anew.
#[test]
fn thousands_of_addresses_come_and_go_quickly() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            let v4 = |number: u16| {
                let [high, low] = number.to_be_bytes();
                IpAddr::from([10, 7, high, low])
            };
            let v6 = |number| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, number));
            for (what, address, prefix, count) in [
                ("/32", &v4 as &dyn Fn(u16) -> IpAddr, 32, 5100),
                ("/16, one network", &v4, 16, 5100),
                ("/128", &v6, 128, 510),
                ("/64, one network", &v6, 64, 510),
            ] {
                let specs: Vec<_> = (1..=count).map(|n| spec(address(n), prefix)).collect();
                let began = Instant::now();
                for added in net.add_addresses(&specs).await {
                    assert!(added.unwrap());
                }
                let (added, again) = (began.elapsed(), Instant::now());
                for there in net.add_addresses(&specs).await {
                    assert!(!there.unwrap());
                }
                let (again, removing) = (again.elapsed(), Instant::now());
                // The first of a network last: the others go with it.
                let specs: Vec<_> = specs.into_iter().rev().collect();
                for removed in net.remove_addresses(&specs).await {
                    assert!(removed.unwrap());
                }
                let removed = removing.elapsed();
                eprintln!("{count} {what}: {added:?}, again {again:?}, removed {removed:?}");
                assert!(added < QUICKLY && removed < QUICKLY);
            }
        });
    });
}

/// A tenth of it is usual on an idle machine.
const QUICKLY: Duration = Duration::from_secs(5);
const PROMOTE: &str = "/proc/sys/net/ipv4/conf/wire0/promote_secondaries";
