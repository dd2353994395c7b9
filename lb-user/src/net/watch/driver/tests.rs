use netlink_packet_core::NetlinkHeader;
use netlink_packet_route::{
    AddressFamily,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::RouteMessage,
};

use super::*;

#[tokio::test]
async fn lost_events_have_everything_read_anew_soon() {
    let mut driver = clean_driver();
    driver.note(&message(NetlinkPayload::Overrun(Vec::new())));
    assert!(driver.dirty.tables && driver.dirty.routes);
    assert!(driver.wake() <= Instant::now() + COALESCE);
}

#[tokio::test]
async fn a_route_event_asks_for_all_routes_and_a_burst_does_not_put_it_off() {
    let mut driver = clean_driver();
    let mut route = RouteMessage::default();
    route.header.address_family = AddressFamily::Inet;
    let event = message(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(
        route,
    )));
    driver.note(&event);
    assert!(driver.dirty.routes && !driver.dirty.tables);
    let first = driver.wake();
    driver.note(&event);
    assert_eq!(driver.wake(), first);
}

#[tokio::test]
async fn a_neighbour_event_counts_only_for_next_hops() {
    let mut driver = clean_driver();
    let interface = crate::types::IfIndex::new(2).unwrap();
    let address = IpAddr::from([10, 0, 0, 2]);
    let key = NeighbourKey { interface, address };
    driver.note(&neighbour(NeighbourState::Reachable));
    assert_eq!(driver.wake(), driver.resync_at);
    driver.behind.insert(key, vec![address]);
    driver.note(&neighbour(NeighbourState::Failed));
    assert!(driver.dirty.neighbours.contains(&key) && !driver.dirty.routes);
    assert!(driver.wake() <= Instant::now() + COALESCE);
}

/// A driver with nothing to do until the next resync.
fn clean_driver() -> Driver {
    let (net, _) = Net::open().unwrap();
    let mut driver = Driver::new(Ends {
        net,
        events: Box::pin(futures_util::stream::pending()),
        targets: watch::channel(BTreeSet::new()).1,
        learned: mpsc::channel(1).1,
        out: watch::channel(NetView::default()).0,
        peers: watch::channel(Peers::new()).0,
    });
    driver.dirty = Dirty::default();
    driver.flush_at = None;
    driver
}

fn neighbour(state: NeighbourState) -> NetlinkMessage<RouteNetlinkMessage> {
    let mut entry = NeighbourMessage::default();
    entry.header.family = AddressFamily::Inet;
    entry.header.ifindex = 2;
    entry.header.state = state;
    entry.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(
        [10, 0, 0, 2].into(),
    ))];
    message(NetlinkPayload::InnerMessage(
        RouteNetlinkMessage::NewNeighbour(entry),
    ))
}

fn message(payload: NetlinkPayload<RouteNetlinkMessage>) -> NetlinkMessage<RouteNetlinkMessage> {
    NetlinkMessage::new(NetlinkHeader::default(), payload)
}
