//! Links and addresses as they change.

use std::fmt::Write as _;

use lb_user::net::{
    Net,
    monitor::{Event, Monitor},
};
use tokio::time::timeout;

use super::{Lab, Namespace, SOON, adverts::index, can_make_namespaces, ip, runtime};

/// Runs `job` in the namespace with a started monitor.
fn watched(namespace: &Namespace, job: impl AsyncFnOnce(&mut Monitor, &Net) + Send) {
    namespace.run(|| {
        runtime().block_on(async {
            let (net, connection) = Net::open().expect("a netlink socket");
            let mut monitor = Monitor::open().expect("a netlink socket");
            let work = async {
                monitor.start(&net).await.expect("the kernel answers");
                job(&mut monitor, &net).await;
            };
            tokio::select! {
                () = connection => panic!("the netlink connection ended"),
                () = work => {}
            }
        });
    });
}

/// Events until one after which the condition holds; all of them.
async fn until(
    monitor: &mut Monitor,
    net: &Net,
    condition: impl Fn(&Monitor) -> bool,
) -> Vec<Event> {
    let mut events = Vec::new();
    while !condition(monitor) {
        let event = timeout(SOON, monitor.next(net)).await;
        let event = event.unwrap_or_else(|_| panic!("only {events:?}"));
        events.push(event.expect("the kernel answers"));
    }
    events
}

fn link(name: &str) -> Event {
    let name = name.parse().expect("a name");
    Event::Link { name }
}

#[test]
fn what_is_there_at_the_start_is_known_without_an_event() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    watched(&lab.lb, async |monitor, net| {
        let link = monitor
            .link(&"wire0".parse().unwrap())
            .expect("it is there");
        assert!(link.up);
        assert!(monitor.address(link.index, ip("10.0.0.1"), 24).is_some());
        assert!(monitor.address(link.index, ip("10.0.0.1"), 32).is_none());
        assert!(monitor.addresses().any(|own| own.address == ip("fd00::1")));
        let nothing = timeout(std::time::Duration::from_millis(20), monitor.next(net)).await;
        assert!(nothing.is_err(), "{nothing:?}");
    });
}

#[test]
fn addresses_that_others_add_and_remove_are_told() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    watched(&lab.lb, async |monitor, net| {
        let on = index("wire0");
        for (address, prefix) in [("10.0.0.100", 32), ("fd00::100", 128)] {
            let vip = ip(address);
            lab.lb
                .ip(&format!("address add {address}/{prefix} dev wire0"));
            let there = |monitor: &Monitor| monitor.address(on, vip, prefix).is_some();
            let events = until(monitor, net, there).await;
            assert_eq!(events.last(), Some(&Event::Address));
            lab.lb
                .ip(&format!("address del {address}/{prefix} dev wire0"));
            let events = until(monitor, net, |monitor| !there(monitor)).await;
            assert_eq!(events.last(), Some(&Event::Address));
        }
    });
}

#[test]
fn a_link_is_followed_through_carrier_name_and_removal() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    watched(&lab.lb, async |monitor, net| {
        let [old, new] = ["wire0", "wan0"].map(|name| name.parse().expect("a name"));
        let up = |monitor: &Monitor| monitor.link(&old).is_some_and(|link| link.up);
        // The other end's carrier is ours.
        for (side, end) in [(&lab.lb, "wire0"), (&lab.host, "wire1")] {
            side.ip(&format!("link set {end} down"));
            let events = until(monitor, net, |monitor| !up(monitor)).await;
            assert_eq!(events.last(), Some(&link("wire0")));
            side.ip(&format!("link set {end} up"));
            until(monitor, net, up).await;
        }
        lab.lb.ip("link set wire0 down");
        lab.lb.ip("link set wire0 name wan0");
        let mut events = until(monitor, net, |monitor| monitor.link(&new).is_some()).await;
        while !(events.contains(&link("wire0")) && events.contains(&link("wan0"))) {
            let event = timeout(SOON, monitor.next(net)).await;
            events.push(event.expect("both are told").expect("the kernel answers"));
        }
        assert!(monitor.link(&old).is_none());
        lab.lb.ip("link delete wan0");
        until(monitor, net, |monitor| monitor.link(&new).is_none()).await;
    });
}

#[test]
fn after_lost_events_everything_is_read_anew() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    watched(&lab.lb, async |monitor, net| {
        // More than the socket's buffer holds, while nobody reads.
        let mut batch = String::new();
        for _ in 0..10 {
            for (verb, kept) in [("add", 0), ("del", 1)] {
                for number in kept..1000 {
                    let (high, low) = (number / 250, number % 250 + 1);
                    writeln!(batch, "address {verb} 10.9.{high}.{low}/32 dev wire0").unwrap();
                }
            }
            writeln!(batch, "address del 10.9.0.1/32 dev wire0").unwrap();
        }
        writeln!(batch, "address add 10.9.9.9/32 dev wire0").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), batch).unwrap();
        lab.lb.ip(&format!("-batch {}", file.path().display()));
        let on = index("wire0");
        let events = until(monitor, net, |monitor| {
            monitor.address(on, ip("10.9.9.9"), 32).is_some()
        })
        .await;
        assert!(events.contains(&Event::Resync), "{events:?}");
        let left = monitor
            .addresses()
            .filter(|own| own.address.to_string().starts_with("10.9."))
            .count();
        assert_eq!(left, 1);
    });
}

#[test]
fn a_call_that_is_dropped_loses_no_event() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    watched(&lab.lb, async |monitor, net| {
        lab.lb.ip("address add 10.0.0.100/32 dev wire0");
        lab.lb.ip("link set wire0 mtu 1400");
        // As in a select! whose other arm is always ready.
        let mut events = Vec::new();
        let all = async {
            while !(events.contains(&Event::Address) && events.contains(&link("wire0"))) {
                if let Ok(event) = timeout(std::time::Duration::ZERO, monitor.next(net)).await {
                    events.push(event.expect("the kernel answers"));
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, all).await.expect("both are told");
    });
}
