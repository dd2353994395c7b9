use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn station(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn on_link(last: u8, via: Option<&str>) -> NextHop {
    NextHop::Resolved {
        interface: IfIndex::new(2).unwrap(),
        mac: station(last),
        via: via.map(address),
        source: None,
        source_mac: station(1),
        vlans: Vec::new(),
        mtu: 1500,
    }
}

#[test]
fn a_peer_that_is_the_way_to_anywhere_is_no_peers_station() {
    let peers = BTreeSet::from([address("10.0.0.2"), address("10.0.0.3")]);
    let mut view = NetView::default();
    view.next_hops.extend([
        (address("10.0.0.2"), on_link(2, None)),
        (address("10.0.0.3"), on_link(3, None)),
    ]);
    let both = BTreeSet::from([station(2), station(3)]);
    assert_eq!(peer_macs(&view, &peers), both);

    // What clients elsewhere send comes from the default router's station.
    let default = on_link(2, Some("10.0.0.2"));
    view.next_hops.insert(ANYWHERE[0], default);
    assert_eq!(peer_macs(&view, &peers), BTreeSet::from([station(3)]));
}

#[test]
fn a_peer_behind_a_router_has_no_station_here() {
    let peers = BTreeSet::from([address("10.9.0.2")]);
    let mut view = NetView::default();
    let behind = on_link(9, Some("10.0.0.9"));
    view.next_hops.insert(address("10.9.0.2"), behind);
    assert_eq!(peer_macs(&view, &peers), BTreeSet::new());
}
