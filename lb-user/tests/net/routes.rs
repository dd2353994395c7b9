//! Virtual routes.

use std::net::IpAddr;

use lb_user::net::{
    Net,
    route::{Route, RouteAnswer, RouteError},
};

use super::{Lab, adverts::index, can_make_namespaces, ip, with_net};

/// By which gateway the kernel goes.
async fn gateway(net: &Net, to: &str) -> Option<IpAddr> {
    match net.route_to(ip(to)).await.expect("the kernel answers") {
        RouteAnswer::Unicast { gateway, .. } => gateway,
        _ => None,
    }
}

#[test]
fn a_virtual_default_route_wins_while_it_is_there_and_gives_back_the_hosts() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.ip("route add default via 10.0.0.2");
    lab.lb.ip("route add default via fd00::2");
    let before = [lab.lb.ip("-4 route"), lab.lb.ip("-6 route")];
    lab.lb.run(|| {
        with_net(async |net| {
            for (to, via, host, inside) in [
                ("0.0.0.0/0", "10.0.0.9", "10.0.0.2", "192.0.2.1"),
                ("::/0", "fd00::9", "fd00::2", "2001:db8::1"),
            ] {
                let to = to.parse().unwrap();
                let route = Route::virtual_to(to, Some(ip(via)), Some(index("wire0")));
                assert!(net.add_route(&route).await.unwrap());
                assert!(!net.add_route(&route).await.unwrap());
                assert_eq!(gateway(&net, inside).await, Some(ip(via)));
                let ours = net.our_routes().await.unwrap();
                assert!(ours.len() == 1 && ours[0].to == to && ours[0].via == Some(ip(via)));
                assert!(net.remove_route(&route).await.unwrap());
                assert!(!net.remove_route(&route).await.unwrap());
                assert_eq!(gateway(&net, inside).await, Some(ip(host)));
            }
        });
    });
    assert_eq!([lab.lb.ip("-4 route"), lab.lb.ip("-6 route")], before);
}

#[test]
fn a_route_by_the_interface_alone_or_the_gateway_alone_comes_and_goes() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            for (to, via, interface) in [
                ("192.0.2.0/24", None, Some(index("wire0"))),
                ("192.0.2.0/24", Some(ip("10.0.0.2")), None),
                ("2001:db8::/64", None, Some(index("wire0"))),
                ("2001:db8::/64", Some(ip("fd00::2")), None),
            ] {
                let route = Route::virtual_to(to.parse().unwrap(), via, interface);
                assert!(net.add_route(&route).await.unwrap());
                assert!(!net.add_route(&route).await.unwrap());
                let inside = if via.is_some_and(|via| via.is_ipv6()) || to.contains(':') {
                    "2001:db8::1"
                } else {
                    "192.0.2.1"
                };
                assert_eq!(gateway(&net, inside).await, via);
                assert!(net.remove_route(&route).await.unwrap());
                assert!(!net.remove_route(&route).await.unwrap());
            }
        });
    });
}

#[test]
fn a_new_gateway_takes_over_from_the_old_one() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            for (to, old, new, inside) in [
                ("192.0.2.0/24", "10.0.0.8", "10.0.0.9", "192.0.2.1"),
                ("2001:db8::/64", "fd00::8", "fd00::9", "2001:db8::1"),
            ] {
                let [old, new] = [old, new]
                    .map(|via| Route::virtual_to(to.parse().unwrap(), Some(ip(via)), None));
                assert!(net.add_route(&old).await.unwrap());
                assert!(net.add_route(&new).await.unwrap());
                assert_eq!(gateway(&net, inside).await, new.via);
                // Whether the old one is still behind it is the kernel's business.
                net.remove_route(&old).await.unwrap();
                assert_eq!(gateway(&net, inside).await, new.via);
                assert!(net.remove_route(&new).await.unwrap());
                assert_eq!(net.our_routes().await.unwrap(), []);
            }
        });
    });
}

#[test]
fn anothers_route_of_the_same_metric_is_never_touched() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.ip("route add 192.0.2.0/24 via 10.0.0.2");
    lab.lb.ip("route add 2001:db8::/64 via fd00::2 metric 1");
    let before = [lab.lb.ip("-4 route"), lab.lb.ip("-6 route")];
    lab.lb.run(|| {
        with_net(async |net| {
            // The very same way, and another.
            for via in ["10.0.0.2", "10.0.0.9"] {
                let to = "192.0.2.0/24".parse().unwrap();
                let route = Route::virtual_to(to, Some(ip(via)), None);
                assert!(!net.remove_route(&route).await.unwrap());
                assert!(net.add_route(&route).await.unwrap());
                assert_eq!(gateway(&net, "192.0.2.1").await, Some(ip(via)));
                assert!(net.remove_route(&route).await.unwrap());
            }
            for via in ["fd00::2", "fd00::9"] {
                let to = "2001:db8::/64".parse().unwrap();
                let route = Route::virtual_to(to, Some(ip(via)), None);
                assert!(!net.remove_route(&route).await.unwrap());
                let taken = net.add_route(&route).await;
                assert!(matches!(taken, Err(RouteError::Taken { .. })), "{taken:?}");
            }
        });
    });
    assert_eq!([lab.lb.ip("-4 route"), lab.lb.ip("-6 route")], before);
}

#[test]
fn a_gateway_that_cannot_be_reached_is_named() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            for (to, via) in [
                ("192.0.2.0/24", "198.51.100.1"),
                ("2001:db8::/64", "2001:db8:1::1"),
            ] {
                let route = Route::virtual_to(to.parse().unwrap(), Some(ip(via)), None);
                let error = net.add_route(&route).await.expect_err("nobody leads there");
                assert_eq!(
                    error.to_string(),
                    format!(
                        "cannot add the route to {to}: its gateway {via} is in no network of an \
                         interface that is up"
                    )
                );
            }
        });
    });
}
