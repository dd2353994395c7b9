use std::net::IpAddr;

use netlink_packet_route::{
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState as Nud},
    route::RouteMessage,
};

use super::*;

#[test]
fn a_link_counts_when_something_we_look_at_changes() {
    let mut tables = Tables::default();
    let up = LinkFlags::Up | LinkFlags::Running;
    let new = |flags| RouteNetlinkMessage::NewLink(link(flags));
    assert_eq!(apply(&mut tables, &new(up)), Change::Routes);
    assert_eq!(apply(&mut tables, &new(up)), Change::Nothing);
    let promiscuous = new(up | LinkFlags::Promisc);
    assert_eq!(apply(&mut tables, &promiscuous), Change::Nothing);
    assert_eq!(apply(&mut tables, &new(LinkFlags::Up)), Change::Routes);
    assert!(tables.links.values().all(|link| !link.up));
    let gone = RouteNetlinkMessage::DelLink(link(up));
    assert_eq!(apply(&mut tables, &gone), Change::Routes);
    assert!(tables.links.is_empty());
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_a_deleted_link() {
    let mut tables = Tables::default();
    let mut message = link(LinkFlags::Up);
    apply(&mut tables, &RouteNetlinkMessage::NewLink(message.clone()));
    message.header.interface_family = AddressFamily::Bridge;
    let left = RouteNetlinkMessage::DelLink(message);
    assert_eq!(apply(&mut tables, &left), Change::Nothing);
    assert_eq!(tables.links.len(), 1);
}

#[test]
fn addresses_come_once_and_go() {
    let mut tables = Tables::default();
    let new = RouteNetlinkMessage::NewAddress(address());
    assert_eq!(apply(&mut tables, &new), Change::Routes);
    assert_eq!(apply(&mut tables, &new), Change::Nothing);
    let gone = RouteNetlinkMessage::DelAddress(address());
    assert_eq!(apply(&mut tables, &gone), Change::Routes);
    assert_eq!(apply(&mut tables, &gone), Change::Nothing);
}

#[test]
fn a_failed_neighbour_stays_failed_until_it_answers() {
    let mut tables = Tables::default();
    let mut states = Vec::new();
    for state in [
        Nud::Incomplete,
        Nud::Failed,
        Nud::Incomplete,
        Nud::Failed,
        Nud::Reachable,
        Nud::Incomplete,
    ] {
        apply(
            &mut tables,
            &RouteNetlinkMessage::NewNeighbour(neighbour(state)),
        );
        states.extend(tables.neighbours.values().map(|entry| entry.state));
    }
    use NeighbourState::{Failed, Incomplete, Reachable};
    let wanted = [Incomplete, Failed, Failed, Failed, Reachable, Incomplete];
    assert_eq!(states, wanted);
}

#[test]
fn a_neighbour_counts_when_its_entry_changes_or_goes() {
    let mut tables = Tables::default();
    let new = RouteNetlinkMessage::NewNeighbour(neighbour(Nud::Reachable));
    assert!(matches!(apply(&mut tables, &new), Change::Neighbour(_)));
    assert_eq!(apply(&mut tables, &new), Change::Nothing);
    let gone = RouteNetlinkMessage::DelNeighbour(neighbour(Nud::Failed));
    assert!(matches!(apply(&mut tables, &gone), Change::Neighbour(_)));
    assert_eq!(apply(&mut tables, &gone), Change::Nothing);
}

#[test]
fn bridge_forwarding_entries_are_no_neighbours() {
    let mut tables = Tables::default();
    let mut message = neighbour(Nud::Reachable);
    message.header.family = AddressFamily::Bridge;
    let entry = RouteNetlinkMessage::NewNeighbour(message);
    assert_eq!(apply(&mut tables, &entry), Change::Nothing);
}

#[test]
fn any_ip_route_counts() {
    let mut tables = Tables::default();
    for (family, change) in [
        (AddressFamily::Inet, Change::Routes),
        (AddressFamily::Inet6, Change::Routes),
        (AddressFamily::Mpls, Change::Nothing),
    ] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let news = RouteNetlinkMessage::NewRoute(message);
        assert_eq!(apply(&mut tables, &news), change);
    }
}

fn link(flags: LinkFlags) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 2;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = flags;
    message.attributes = vec![
        LinkAttribute::IfName("eth0".to_owned()),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
    ];
    message
}

fn address() -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 24;
    message.header.index = 2;
    message.attributes = vec![AddressAttribute::Local(IpAddr::from([10, 0, 0, 1]))];
    message
}

fn neighbour(state: Nud) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = 2;
    message.header.state = state;
    message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(
        [10, 0, 0, 2].into(),
    ))];
    message
}
