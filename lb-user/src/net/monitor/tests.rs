use netlink_packet_core::NetlinkHeader;
use netlink_packet_route::{
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkMessage},
};

use super::*;

#[test]
fn a_change_is_told_once_and_only_if_it_is_one() {
    let mut known = Known::default();
    known.note(&link(2, "eth0", LinkFlags::Up));
    known.note(&address(2));
    assert_eq!(known.take(), Some(event("eth0")));
    assert_eq!(known.take(), Some(Event::Address));
    assert_eq!(known.take(), None);
    known.note(&link(2, "eth0", LinkFlags::Up));
    known.note(&address(2));
    assert_eq!(known.take(), None);
}

#[test]
fn several_changes_of_a_link_are_one_event() {
    let mut known = Known::default();
    for flags in [LinkFlags::Up, LinkFlags::Up | LinkFlags::Running] {
        known.note(&link(2, "eth0", flags));
    }
    assert_eq!(known.take(), Some(event("eth0")));
    assert_eq!(known.take(), None);
    assert!(known.links.values().all(|link| link.up));
}

#[test]
fn a_renamed_link_is_told_by_both_names() {
    let mut known = Known::default();
    known.note(&link(2, "eth0", LinkFlags::Up));
    known.forget_changes();
    known.note(&link(2, "wan", LinkFlags::Up));
    assert_eq!(known.take(), Some(event("eth0")));
    assert_eq!(known.take(), Some(event("wan")));
}

#[test]
fn lost_messages_make_the_tables_stale_until_they_are_replaced() {
    let mut known = Known::default();
    known.note(&message(NetlinkPayload::Overrun(Vec::new())));
    assert!(known.stale);
    known.replace(Vec::new(), Vec::new());
    assert!(!known.stale);
}

fn event(name: &str) -> Event {
    let name = name.parse().unwrap();
    Event::Link { name }
}

fn link(index: u32, name: &str, flags: LinkFlags) -> NetlinkMessage<RouteNetlinkMessage> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = flags;
    link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    message(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(
        link,
    )))
}

fn address(index: u32) -> NetlinkMessage<RouteNetlinkMessage> {
    let mut address = AddressMessage::default();
    address.header.index = index;
    address.header.prefix_len = 24;
    address.attributes = vec![AddressAttribute::Local([10, 0, 0, 1].into())];
    message(NetlinkPayload::InnerMessage(
        RouteNetlinkMessage::NewAddress(address),
    ))
}

fn message(payload: NetlinkPayload<RouteNetlinkMessage>) -> NetlinkMessage<RouteNetlinkMessage> {
    NetlinkMessage::new(NetlinkHeader::default(), payload)
}
