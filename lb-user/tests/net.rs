//! The `net` room, and the sockets of `vrrp`, against a real kernel: network namespaces of its own,
//! joined by veth.

#[path = "net/addresses.rs"]
mod addresses;
#[path = "net/adverts.rs"]
mod adverts;
#[path = "net/announce.rs"]
mod announce;
#[path = "net/monitor.rs"]
mod monitor;
#[path = "net/namespace.rs"]
mod namespace;
#[path = "net/routes.rs"]
mod routes;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use lb_user::{
    net::{
        Net, NetView, NextHop, Unresolved, Watch,
        address::AddressSpec,
        link::LinkError,
        neighbour::{NeighbourKey, NeighbourState},
        route::{Route, RouteAnswer},
        watch::WatchError,
    },
    types::Mac,
};
use tokio::{runtime::Runtime, sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use self::namespace::{Namespace, can_make_namespaces};

/// Balancer `lb` and a host, both on one link: 10.0.0.1 and .2, fd00::1 and ::2.
struct Lab {
    lb: Namespace,
    host: Namespace,
}

impl Lab {
    fn new() -> Self {
        let (lb, host) = (Namespace::new(), Namespace::new());
        let peer = host.path();
        lb.ip(&format!(
            "link add wire0 address {LB_MAC} type veth peer name wire1 address {HOST_MAC} netns {peer}"
        ));
        lb.ip("address add 10.0.0.1/24 dev wire0");
        lb.ip("address add fd00::1/64 dev wire0 nodad");
        lb.ip("link set wire0 up");
        host.ip("address add 10.0.0.2/24 dev wire1");
        host.ip("address add fd00::2/64 dev wire1 nodad");
        host.ip("link set wire1 up");
        // The kernel notices a carrier up to a second late, and has no IPv6 before.
        for (side, link) in [(&lb, "wire0"), (&host, "wire1")] {
            wait_for(SOON, || {
                side.ip(&format!("link show {link}")).contains("state UP")
                    && side.ip("-6 address show tentative").is_empty()
            });
        }
        Self { lb, host }
    }
}

/// A watch that runs in a namespace until dropped or stopped.
struct Running {
    targets: watch::Sender<BTreeSet<IpAddr>>,
    view: watch::Receiver<NetView>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<Result<(), WatchError>>>,
    runtime: Runtime,
}

impl Running {
    fn start(namespace: &Namespace, targets: &[&str]) -> Self {
        let (targets, wanted) = watch::channel(targets.iter().map(|to| ip(to)).collect());
        let (out, view) = watch::channel(NetView::default());
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let thread = namespace.start(move || {
            runtime().block_on(async {
                let watch = Watch::open().expect("a netlink socket");
                watch.run(wanted, out, cancelled).await
            })
        });
        Self {
            targets,
            view,
            cancel,
            thread: Some(thread),
            runtime: runtime(),
        }
    }

    /// Waits until the next hop is as wanted; how long it took.
    fn until(&mut self, to: &str, limit: Duration, wanted: impl Fn(&NextHop) -> bool) -> Duration {
        let to = ip(to);
        self.until_view(limit, |view| view.next_hops.get(&to).is_some_and(&wanted))
    }

    fn until_view(&mut self, limit: Duration, wanted: impl Fn(&NetView) -> bool) -> Duration {
        let began = Instant::now();
        let waited = self.runtime.block_on(async {
            let waited = timeout(limit, self.view.wait_for(|view| wanted(view))).await;
            waited.map(|view| drop(view.expect("the watch runs")))
        });
        assert!(
            waited.is_ok(),
            "not within {limit:?}: {:#?}",
            self.view.borrow().next_hops
        );
        began.elapsed()
    }

    fn stop(mut self) -> Result<(), WatchError> {
        self.cancel.cancel();
        let thread = self.thread.take().expect("stopped once");
        thread.join().expect("the watch does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[test]
fn the_watch_can_move_between_threads() {
    fn is_send(_: &impl Send) {}
    runtime().block_on(async {
        let (_targets, wanted) = watch::channel(BTreeSet::new());
        let (out, _view) = watch::channel(NetView::default());
        let watch = Watch::open().expect("a netlink socket");
        is_send(&watch.run(wanted, out, CancellationToken::new()));
    });
}

#[test]
fn hosts_on_the_link_resolve_at_once_in_both_families() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let mut watch = Running::start(&lab.lb, &["10.0.0.2", "fd00::2"]);
    for (to, from) in [("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")] {
        watch.until(to, SOON, |hop| {
            matches!(hop, NextHop::Resolved { mac, source_mac, vlans, mtu: 1500, source, .. }
                if mac.to_string() == HOST_MAC && source_mac.to_string() == LB_MAC
                    && vlans.is_empty() && *source == Some(ip(from)))
        });
    }
    let view = watch.view.borrow();
    let link = view
        .links
        .values()
        .find(|link| link.name.as_str() == "wire0");
    assert_eq!(link.map(|link| link.kind.as_deref()), Some(Some("veth")));
    assert!(view.own_addresses.contains(&ip("10.0.0.1")));
    assert_eq!(view.upkeep_problem, None);
}

#[test]
fn an_unannounced_change_of_the_hosts_mac_is_noticed() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let mut watch = Running::start(&lab.lb, &["10.0.0.2", "fd00::2"]);
    for to in ["10.0.0.2", "fd00::2"] {
        watch.until(to, SOON, |hop| goes_to(hop, HOST_MAC));
    }
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        let mac = format!("02:00:00:00:01:{round:02x}");
        lab.host.ip(&format!("link set wire1 address {mac}"));
        let began = Instant::now();
        for to in ["10.0.0.2", "fd00::2"] {
            watch.until(to, MAC_LIMIT, |hop| goes_to(hop, &mac));
            eprintln!("{to}: new MAC seen after {:?}", began.elapsed());
            slowest = slowest.max(began.elapsed());
        }
        let table = lab.lb.ip("neigh show 10.0.0.2 dev wire0");
        assert!(table.contains(&mac) && table.contains("managed"), "{table}");
    }
    eprintln!("slowest: {slowest:?}");
}

#[test]
fn a_link_that_goes_down_is_named_and_comes_back() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let mut watch = Running::start(&lab.lb, &["10.0.0.2"]);
    let resolved = |hop: &NextHop| goes_to(hop, HOST_MAC);
    let down = |hop: &NextHop| {
        matches!(hop, NextHop::Unresolved { reason: Unresolved::LinkDown { interface } }
            if interface.as_str() == "wire0")
    };
    watch.until("10.0.0.2", SOON, resolved);
    for (namespace, interface) in [(&lab.lb, "wire0"), (&lab.host, "wire1")] {
        namespace.ip(&format!("link set {interface} down"));
        watch.until("10.0.0.2", SOON, down);
        namespace.ip(&format!("link set {interface} up"));
        watch.until("10.0.0.2", SOON, resolved);
    }
}

#[test]
fn a_route_by_a_gateway_is_followed_when_it_changes() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.host.ip("address add 10.0.0.3/24 dev wire1");
    let other = Namespace::new();
    lab.lb.ip(&format!(
        "link add other0 type veth peer name other1 address {OTHER_MAC} netns {}",
        other.path()
    ));
    lab.lb.ip("address add 10.1.0.1/24 dev other0");
    lab.lb.ip("link set other0 up mtu 1400");
    other.ip("address add 10.1.0.2/24 dev other1");
    other.ip("link set other1 up mtu 1400");
    let mut watch = Running::start(&lab.lb, &["192.0.2.7"]);
    let limit = SOON;
    watch.until("192.0.2.7", limit, |hop| {
        matches!(
            hop,
            NextHop::Unresolved {
                reason: Unresolved::NoRoute { .. }
            }
        )
    });
    lab.lb.ip("route add 192.0.2.0/24 via 10.0.0.2");
    watch.until("192.0.2.7", limit, |hop| goes_to(hop, HOST_MAC));
    lab.lb
        .ip("route replace 192.0.2.0/24 via 10.1.0.2 mtu 1300");
    watch.until("192.0.2.7", limit, |hop| {
        goes_to(hop, OTHER_MAC) && matches!(hop, NextHop::Resolved { mtu: 1300, .. })
    });
    lab.lb.ip("route replace blackhole 192.0.2.0/24");
    watch.until("192.0.2.7", limit, |hop| {
        matches!(
            hop,
            NextHop::Unresolved {
                reason: Unresolved::Blackhole { .. }
            }
        )
    });
}

#[test]
fn an_address_of_our_own_is_local_as_long_as_we_have_it() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let mut watch = Running::start(&lab.lb, &["10.0.0.2", "10.0.0.9", "127.0.0.1"]);
    let limit = SOON;
    let local = |hop: &NextHop| *hop == NextHop::Local;
    watch.until("127.0.0.1", limit, local);
    lab.lb.ip("address add 10.0.0.9/32 dev lo");
    watch.until("10.0.0.9", limit, local);
    lab.lb.ip("address del 10.0.0.9/32 dev lo");
    watch.until("10.0.0.9", limit, |hop| !local(hop));
}

#[test]
fn neighbour_entries_are_managed_while_wanted_and_gone_afterwards() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb
        .ip("neigh add 10.0.0.77 lladdr 02:00:00:00:00:77 dev wire0");
    let mut watch = Running::start(&lab.lb, &["10.0.0.2", "fd00::2", "10.0.0.77"]);
    let limit = SOON;
    for to in ["10.0.0.2", "fd00::2"] {
        watch.until(to, limit, |hop| goes_to(hop, HOST_MAC));
        let table = lab.lb.ip(&format!("neigh show {to}"));
        assert!(table.contains("managed"), "{table}");
    }
    watch.until("10.0.0.77", limit, |hop| goes_to(hop, "02:00:00:00:00:77"));
    // A target that goes takes its entry along.
    let fewer = ["10.0.0.2", "10.0.0.77"].map(ip).into_iter().collect();
    watch.targets.send_replace(fewer);
    watch.until_view(limit, |view| view.next_hops.len() == 2);
    wait_for(limit, || lab.lb.ip("neigh show fd00::2").is_empty());
    watch.stop().expect("an orderly end");
    let table = lab.lb.ip("neigh show");
    assert!(!table.contains("10.0.0.2 "), "{table}");
    assert!(
        table.contains("10.0.0.77") && table.contains("PERMANENT"),
        "{table}"
    );
}

#[test]
fn entries_left_by_a_killed_agent_are_taken_over() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let left = ["10.0.0.2", "10.0.0.3"];
    lab.lb.run(|| {
        with_net(async |net| {
            let interface = net.link(&"wire0".parse().unwrap()).await.unwrap().index;
            for address in left.map(ip) {
                let key = NeighbourKey { interface, address };
                net.manage_neighbour(key).await.unwrap();
                let entry = net.neighbour(key).await.unwrap().unwrap();
                assert!(entry.managed && entry.ours, "{entry:?}");
            }
        });
    });
    let mut watch = Running::start(&lab.lb, &["10.0.0.2"]);
    watch.until("10.0.0.2", SOON, |hop| goes_to(hop, HOST_MAC));
    wait_for(SOON, || lab.lb.ip("neigh show 10.0.0.3").is_empty());
    watch.stop().expect("an orderly end");
    assert_eq!(lab.lb.ip("neigh show 10.0.0.2"), "");
}

#[test]
fn a_host_that_does_not_answer_is_named_and_found_soon_after_it_comes() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let mut watch = Running::start(&lab.lb, &["10.0.0.5"]);
    let reason = |hop: &NextHop, failed: bool| match hop {
        NextHop::Unresolved { reason } => match reason {
            Unresolved::NeighbourIncomplete { .. } => !failed,
            Unresolved::NeighbourFailed { .. } => failed,
            _ => false,
        },
        _ => false,
    };
    watch.until("10.0.0.5", SOON, |hop| reason(hop, false));
    watch.until("10.0.0.5", Duration::from_secs(10), |hop| reason(hop, true));
    lab.host.ip("address add 10.0.0.5/24 dev wire1");
    let found = watch.until("10.0.0.5", Duration::from_secs(3), |hop| {
        goes_to(hop, HOST_MAC)
    });
    eprintln!("found after {found:?}");
}

#[test]
fn ten_thousand_next_hops_resolve_in_seconds() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.host.ip("route add local 10.7.0.0/16 dev lo");
    for (route, what) in [
        ("via 10.0.0.2", "by one gateway"),
        ("dev wire0", "on the link"),
    ] {
        lab.lb.ip(&format!("route replace 10.7.0.0/16 {route}"));
        let began = Instant::now();
        let mut watch = Running::start(&lab.lb, &[]);
        let targets: BTreeSet<IpAddr> = (0..10_000u32)
            .map(|number| IpAddr::from((0x0a07_0100 + number).to_be_bytes()))
            .collect();
        watch.targets.send_replace(targets.clone());
        watch.until_view(Duration::from_secs(20), |view| {
            targets
                .iter()
                .all(|to| matches!(view.next_hops.get(to), Some(hop) if goes_to(hop, HOST_MAC)))
        });
        eprintln!("10,000 next hops {what} after {:?}", began.elapsed());
        let began = Instant::now();
        watch.stop().expect("an orderly end");
        eprintln!("closed after {:?}", began.elapsed());
    }
}

#[test]
fn addresses_and_routes_are_added_and_removed_once() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            let interface = net.link(&"wire0".parse().unwrap()).await.unwrap().index;
            for (address, prefix, label) in [
                ("10.0.0.100", 24, Some("wire0:7")),
                ("fd00::100", 128, None),
            ] {
                let spec = AddressSpec {
                    interface,
                    address: ip(address),
                    prefix,
                    label: label.map(str::to_owned),
                };
                assert!(net.add_address(&spec).await.unwrap());
                assert!(!net.add_address(&spec).await.unwrap());
                let all = net.addresses().await.unwrap();
                assert!(all.iter().any(|own| own.address == spec.address));
                assert!(net.remove_address(&spec).await.unwrap());
                assert!(!net.remove_address(&spec).await.unwrap());
            }
            for (to, via, inside) in [
                ("192.0.2.0/24", "10.0.0.2", "192.0.2.1"),
                ("2001:db8::/64", "fd00::2", "2001:db8::1"),
            ] {
                let route = Route {
                    to: to.parse().unwrap(),
                    via: Some(ip(via)),
                    interface: Some(interface),
                    source: None,
                    metric: None,
                    table: None,
                    onlink: false,
                };
                assert_eq!(
                    net.route_to(ip(inside)).await.unwrap(),
                    RouteAnswer::NoRoute
                );
                assert!(net.add_route(&route).await.unwrap());
                assert!(!net.add_route(&route).await.unwrap());
                let answer = net.route_to(ip(inside)).await.unwrap();
                assert!(
                    matches!(answer, RouteAnswer::Unicast { gateway, interface: out, .. }
                    if gateway == Some(ip(via)) && out == interface)
                );
                assert!(net.remove_route(&route).await.unwrap());
                assert!(!net.remove_route(&route).await.unwrap());
            }
            let missing = net.link(&"nowhere0".parse().unwrap()).await;
            assert!(matches!(missing, Err(LinkError::NotFound(_))));
        });
    });
}

#[test]
fn routes_that_forbid_are_told_apart() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    for (number, kind) in ["blackhole", "unreachable", "prohibit", "throw"]
        .iter()
        .enumerate()
    {
        lab.lb.ip(&format!("route add {kind} 192.0.{number}.0/24"));
        lab.lb
            .ip(&format!("route add {kind} 2001:db8:{number}::/48"));
    }
    let wanted = [
        RouteAnswer::Blackhole,
        RouteAnswer::Unreachable,
        RouteAnswer::Prohibited,
        RouteAnswer::NoRoute,
    ];
    lab.lb.run(|| {
        with_net(async |net| {
            for (number, wanted) in wanted.iter().enumerate() {
                for to in [format!("192.0.{number}.1"), format!("2001:db8:{number}::1")] {
                    assert_eq!(net.route_to(ip(&to)).await.unwrap(), *wanted, "{to}");
                }
            }
            for (to, answer) in [
                ("10.0.0.1", RouteAnswer::Local),
                ("fd00::1", RouteAnswer::Local),
                ("10.0.0.255", RouteAnswer::NotUnicast),
                ("ff02::1", RouteAnswer::NotUnicast),
            ] {
                assert_eq!(net.route_to(ip(to)).await.unwrap(), answer, "{to}");
            }
        });
    });
}

#[test]
fn a_neighbours_address_is_written_and_stays_managed() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    lab.lb.run(|| {
        with_net(async |net| {
            let interface = net.link(&"wire0".parse().unwrap()).await.unwrap().index;
            let address = ip("10.0.0.2");
            let key = NeighbourKey { interface, address };
            let mac = Mac([2, 0, 0, 0, 0, 0x55]);
            net.set_neighbour(key, mac).await.unwrap();
            let entry = net.neighbour(key).await.unwrap().unwrap();
            assert_eq!(
                (entry.mac, entry.state),
                (Some(mac), NeighbourState::Reachable)
            );
            assert!(entry.managed && entry.ours);
            assert!(net.forget_neighbour(key).await.unwrap());
            assert!(!net.forget_neighbour(key).await.unwrap());
        });
    });
}

/// A handle on the calling thread's namespace while `job` runs.
fn with_net(job: impl AsyncFnOnce(Net)) {
    runtime().block_on(async {
        let (net, connection) = Net::open().expect("a netlink socket");
        tokio::select! {
            () = connection => panic!("the netlink connection ended"),
            () = job(net) => {}
        }
    });
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("descriptors are free")
}

fn wait_for(limit: Duration, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < limit, "not within {limit:?}");
        std::thread::yield_now();
    }
}

fn goes_to(hop: &NextHop, wanted: &str) -> bool {
    matches!(hop, NextHop::Resolved { mac, .. } if mac.to_string() == wanted)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a literal of this file")
}

/// For what takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(5);
/// For a changed MAC: 0.4 s is usual, 0.6 s the most on an idle machine.
const MAC_LIMIT: Duration = Duration::from_secs(3);
const LB_MAC: &str = "02:00:00:00:00:01";
const HOST_MAC: &str = "02:00:00:00:00:02";
const OTHER_MAC: &str = "02:00:00:00:00:03";
