use super::*;
use crate::net::{address::Address, link::Vlan};

/// eth0 (10.0.0.1/24, fd00::1/64), with eth0.5 (10.5.0.1/24) in VLAN 5, svc (802.1ad 7) on eth0 and
/// svc.8 (10.8.0.1/24) in VLAN 8 of it.
fn tables() -> Tables {
    let mut tables = Tables::default();
    for link in [
        link(1, "lo", None),
        link(2, "eth0", None),
        link(3, "eth0.5", Some((5, false, 2))),
        link(4, "svc", Some((7, true, 2))),
        link(5, "svc.8", Some((8, false, 4))),
    ] {
        tables.links.insert(link.index, link);
    }
    for (interface, text, prefix) in [
        (1, "127.0.0.1", 8),
        (2, "10.0.0.1", 24),
        (2, "fd00::1", 64),
        (3, "10.5.0.1", 24),
        (5, "10.8.0.1", 24),
    ] {
        add_address(&mut tables, interface, text, prefix);
    }
    tables
}

#[test]
fn each_answer_of_the_kernel_is_a_next_hop_or_a_reason() {
    let mut tables = tables();
    add_neighbour(&mut tables, 2, "10.0.0.2", NeighbourState::Reachable);
    add_neighbour(&mut tables, 2, "10.0.0.3", NeighbourState::Incomplete);
    add_neighbour(&mut tables, 2, "10.0.0.4", NeighbourState::Failed);
    for (answer, wanted) in [
        (
            via(2, None),
            Err("198.51.100.1 has not answered ARP or neighbour discovery on eth0 yet"),
        ),
        (via(2, Some("10.0.0.2")), Ok((2, vec![], 1500))),
        (
            via(2, Some("10.0.0.3")),
            Err("10.0.0.3 has not answered ARP or neighbour discovery on eth0 yet"),
        ),
        (
            via(2, Some("10.0.0.4")),
            Err(
                "10.0.0.4 does not answer ARP or neighbour discovery on eth0: is it up, and on that network?",
            ),
        ),
        (
            via(9, None),
            Err(
                "interface number 9 is not in this network namespace: route to an interface that is",
            ),
        ),
        (
            RouteAnswer::NoRoute,
            Err(
                "no route to 198.51.100.1: give an interface an address in its network, or add a route",
            ),
        ),
        (
            RouteAnswer::Blackhole,
            Err(
                "the route to 198.51.100.1 is of type blackhole: `ip route get 198.51.100.1` shows it",
            ),
        ),
        (
            RouteAnswer::Unreachable,
            Err(
                "the route to 198.51.100.1 is of type unreachable: `ip route get 198.51.100.1` shows it",
            ),
        ),
        (
            RouteAnswer::Prohibited,
            Err(
                "the route to 198.51.100.1 is of type prohibit: `ip route get 198.51.100.1` shows it",
            ),
        ),
        (
            RouteAnswer::NotUnicast,
            Err("198.51.100.1 is no address of a single host: correct it"),
        ),
    ] {
        let to = ip("198.51.100.1");
        tables.routes.insert(to, answer);
        assert_eq!(
            seen(&tables.next_hop(to)),
            wanted.map_err(str::to_owned),
            "{answer:?}"
        );
    }
}

#[test]
fn our_own_addresses_are_local_whatever_the_route_says() {
    let mut tables = tables();
    tables.routes.insert(ip("10.0.0.1"), via(2, None));
    tables.routes.insert(ip("127.0.0.9"), RouteAnswer::Local);
    for own in ["10.0.0.1", "fd00::1", "127.0.0.1", "127.0.0.9"] {
        assert_eq!(tables.next_hop(ip(own)), NextHop::Local, "{own}");
        assert_eq!(tables.neighbour_of(ip(own)), None);
    }
    assert!(!tables.is_own(ip("10.0.0.2")));
}

#[test]
fn an_address_not_asked_for_yet_is_pending() {
    let pending = NextHop::Unresolved {
        reason: Unresolved::Pending,
    };
    assert_eq!(tables().next_hop(ip("10.0.0.2")), pending);
}

#[test]
fn a_mac_is_used_in_these_states_and_no_others() {
    for (state, usable) in [
        (NeighbourState::None, false),
        (NeighbourState::Incomplete, false),
        (NeighbourState::Reachable, true),
        (NeighbourState::Stale, true),
        (NeighbourState::Delay, true),
        (NeighbourState::Probe, true),
        (NeighbourState::Failed, false),
        (NeighbourState::NoArp, true),
        (NeighbourState::Permanent, true),
    ] {
        let mut tables = tables();
        add_neighbour(&mut tables, 2, "10.0.0.2", state);
        tables.routes.insert(ip("10.0.0.2"), via(2, None));
        let resolved = matches!(tables.next_hop(ip("10.0.0.2")), NextHop::Resolved { .. });
        assert_eq!(resolved, usable, "{state:?}");
    }
}

#[test]
fn vlan_interfaces_are_taken_apart_outermost_first() {
    let mut tables = tables();
    for (interface, to, wanted) in [
        (3, "10.5.0.2", Ok((2, vec![5], 1500))),
        (5, "10.8.0.2", Ok((2, vec![7, 8], 1500))),
    ] {
        add_neighbour(&mut tables, interface, to, NeighbourState::Stale);
        tables.routes.insert(ip(to), via(interface, None));
        assert_eq!(seen(&tables.next_hop(ip(to))), wanted);
    }
}

#[test]
fn vlan_tags_that_cannot_be_written_are_refused() {
    let deep = link(6, "deep", Some((9, false, 5)));
    let foreign = Link {
        vlan: Some(Vlan {
            id: 1,
            service: false,
            parent: None,
        }),
        ..link(6, "foreign", None)
    };
    let lone_service = link(6, "lone", Some((7, true, 2)));
    let twice_customer = link(6, "twice", Some((7, false, 3)));
    for bad in [deep, foreign, lone_service, twice_customer] {
        let mut tables = tables();
        tables.routes.insert(ip("10.9.0.2"), via(6, None));
        tables.links.insert(bad.index, bad.clone());
        let refused = NextHop::Unresolved {
            reason: Unresolved::VlanStack {
                interface: bad.name,
            },
        };
        assert_eq!(tables.next_hop(ip("10.9.0.2")), refused);
    }
}

#[test]
fn the_interface_that_is_down_is_named_also_below_a_vlan_and_without_a_route() {
    for (to, route) in [
        ("10.0.0.2", via(2, None)),
        ("10.5.0.2", via(3, None)),
        ("10.0.0.2", RouteAnswer::NoRoute),
    ] {
        let mut tables = tables();
        tables.links.get_mut(&index(2)).unwrap().up = false;
        tables.routes.insert(ip(to), route);
        let down = NextHop::Unresolved {
            reason: Unresolved::LinkDown {
                interface: "eth0".parse().unwrap(),
            },
        };
        assert_eq!(tables.next_hop(ip(to)), down);
    }
}

#[test]
fn an_interface_without_ethernet_is_refused() {
    let mut tables = tables();
    tables.links.get_mut(&index(2)).unwrap().mac = None;
    tables.routes.insert(ip("10.0.0.2"), via(2, None));
    let text = tables.next_hop(ip("10.0.0.2")).to_string();
    assert!(
        text.starts_with("interface eth0 carries no Ethernet frames"),
        "{text}"
    );
}

#[test]
fn the_smaller_mtu_of_route_and_interface_counts() {
    for (of_route, wanted) in [(None, 1500), (Some(1400), 1400), (Some(9000), 1500)] {
        let mut tables = tables();
        add_neighbour(&mut tables, 2, "10.0.0.2", NeighbourState::Reachable);
        let answer = RouteAnswer::Unicast {
            gateway: None,
            interface: index(2),
            source: Some(ip("10.0.0.1")),
            mtu: of_route,
        };
        tables.routes.insert(ip("10.0.0.2"), answer);
        assert_eq!(
            seen(&tables.next_hop(ip("10.0.0.2"))),
            Ok((2, vec![], wanted))
        );
    }
}

#[test]
fn neighbours_are_asked_from_a_real_address_of_their_network() {
    let mut tables = tables();
    // Virtual addresses, all lower than the real one.
    add_address(&mut tables, 2, "10.0.0.0", 32);
    add_address(&mut tables, 2, "9.0.0.1", 24);
    add_address(&mut tables, 2, "fd00::", 64);
    let virtual_six = (ip("fd00::"), index(2), 64);
    tables.addresses.get_mut(&virtual_six).unwrap().unchecked = true;
    for (neighbour, source) in [
        ("10.0.0.2", Some("10.0.0.1")),
        ("fd00::2", Some("fd00::1")),
        ("9.0.0.7", Some("9.0.0.1")),
    ] {
        assert_eq!(tables.asking_source(key(2, neighbour)), source.map(ip));
    }
    assert_eq!(tables.asking_source(key(4, "10.0.0.2")), None);
}

#[test]
fn only_what_can_answer_is_asked() {
    let mut tables = tables();
    let neighbour = key(2, "10.0.0.2");
    let eth0 = tables.links[&index(2)].clone();
    assert_eq!(tables.askable(neighbour), eth0.mac);
    for change in [
        |link: &mut Link| link.up = false,
        |link: &mut Link| link.resolves = false,
        |link: &mut Link| link.mac = None,
    ] {
        let mut link = eth0.clone();
        change(&mut link);
        tables.links.insert(link.index, link);
        assert_eq!(tables.askable(neighbour), None);
    }
    tables.links.insert(eth0.index, eth0);
    add_neighbour(&mut tables, 2, "10.0.0.2", NeighbourState::Permanent);
    assert_eq!(tables.askable(neighbour), None);
}

/// Interface, tags and MTU; or the reason as text.
fn seen(hop: &NextHop) -> Result<(u32, Vec<u16>, u32), String> {
    match hop {
        NextHop::Resolved {
            mac,
            interface,
            vlans,
            mtu,
            ..
        } => {
            assert_eq!(*mac, THEM);
            Ok((interface.get(), vlans.clone(), *mtu))
        }
        other => Err(other.to_string()),
    }
}

fn link(number: u32, name: &str, vlan: Option<(u16, bool, u32)>) -> Link {
    Link {
        index: index(number),
        name: name.parse().unwrap(),
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        up: true,
        resolves: true,
        kind: vlan.map(|_| "vlan".to_owned()),
        vlan: vlan.map(|(id, service, parent)| Vlan {
            id,
            service,
            parent: IfIndex::new(parent),
        }),
        master: None,
    }
}

fn add_address(tables: &mut Tables, interface: u32, text: &str, prefix: u8) {
    let address = Address {
        interface: index(interface),
        address: ip(text),
        prefix,
        secondary: false,
        unchecked: false,
        tentative: false,
        ours: false,
    };
    let key = (address.address, address.interface, prefix);
    tables.addresses.insert(key, address);
}

fn add_neighbour(tables: &mut Tables, interface: u32, text: &str, state: NeighbourState) {
    let key = key(interface, text);
    let neighbour = Neighbour {
        key,
        mac: Some(THEM),
        state,
        managed: false,
        ours: false,
    };
    tables.neighbours.insert(key, neighbour);
}

fn via(interface: u32, gateway: Option<&str>) -> RouteAnswer {
    RouteAnswer::Unicast {
        gateway: gateway.map(ip),
        interface: index(interface),
        source: Some(ip("10.0.0.1")),
        mtu: None,
    }
}

fn key(interface: u32, address: &str) -> NeighbourKey {
    NeighbourKey {
        interface: index(interface),
        address: ip(address),
    }
}

fn index(number: u32) -> IfIndex {
    IfIndex::new(number).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const THEM: Mac = Mac([2, 0, 0, 0, 0, 9]);
