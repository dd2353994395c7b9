//! Real servers and the ways to them.

use std::collections::BTreeSet;

use super::{YAML, healthy, index, ip, noted, only, unknown, unseen};
use crate::{
    config::model::{Forwarding, Protocol},
    doctor::facts::{Answer, Facts, Seen, Server},
    net::{
        neighbour::{Neighbour, NeighbourKey, NeighbourState},
        route::RouteAnswer,
    },
};

fn answering(at_vip: Seen<Answer>, at_own: Seen<Answer>) -> Facts {
    let mut facts = healthy();
    facts.servers.push(Server {
        service: "web".to_owned(),
        vip: "10.0.0.125:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        backend: "web1".to_owned(),
        address: ip("10.0.0.101"),
        forwarding: Forwarding::DirectRouting,
        at_vip,
        at_own,
    });
    facts
}

fn key() -> NeighbourKey {
    NeighbourKey {
        interface: index(2),
        address: ip("10.0.0.101"),
    }
}

fn route(facts: &mut Facts, answer: RouteAnswer) {
    let tables = facts.network.as_mut().unwrap();
    tables.routes.insert(ip("10.0.0.101"), answer);
}

#[test]
fn a_server_that_answers_for_itself_but_not_for_the_virtual_address_lacks_it() {
    for own in [Answer::Accepted, Answer::Refused] {
        let evidence = only(
            YAML,
            &answering(Ok(Answer::Silence), Ok(own)),
            "vip-missing",
        );
        assert!(
            evidence.contains("`web1`") && evidence.contains("10.0.0.125:80"),
            "{evidence}"
        );
    }
    let silent = answering(Ok(Answer::Silence), Ok(Answer::Silence));
    unknown(YAML, &silent, &["vip-missing"]);
    unknown(
        YAML,
        &answering(Err(unseen()), Ok(Answer::Accepted)),
        &["vip-missing", "vip-refused"],
    );
}

#[test]
fn a_server_that_refuses_only_the_virtual_address_listens_elsewhere() {
    let facts = answering(Ok(Answer::Refused), Ok(Answer::Accepted));
    assert!(only(YAML, &facts, "vip-refused").contains("10.0.0.101:80 accepts"));
    // Nobody listens at all: health checks are for that.
    assert!(noted(YAML, &answering(Ok(Answer::Refused), Ok(Answer::Refused))).is_empty());
    assert!(noted(YAML, &answering(Ok(Answer::Accepted), Ok(Answer::Accepted))).is_empty());
}

#[test]
fn silence_of_a_udp_service_to_tcp_proves_nothing() {
    let mut facts = answering(Ok(Answer::Silence), Ok(Answer::Refused));
    facts.servers[0].protocol = Protocol::Udp;
    unknown(YAML, &facts, &["vip-missing"]);
    facts.servers[0].at_vip = Ok(Answer::Refused);
    assert!(noted(YAML, &facts).is_empty());
}

#[test]
fn who_answers_now_counts_for_more_than_what_the_kernel_remembers() {
    let mut facts = healthy();
    facts.stations.insert(key(), Ok(BTreeSet::new()));
    let entry = Neighbour {
        key: key(),
        mac: Some(super::WEB1),
        state: NeighbourState::Stale,
        managed: false,
        ours: false,
    };
    facts
        .network
        .as_mut()
        .unwrap()
        .neighbours
        .insert(key(), entry);
    assert!(only(YAML, &facts, "next-hop").contains("10.0.0.101 does not answer"));
    facts.stations.insert(key(), Err(unseen()));
    unknown(YAML, &facts, &["next-hop"]);
}

#[test]
fn a_backend_that_no_route_leads_to_is_found() {
    let mut facts = healthy();
    route(&mut facts, RouteAnswer::NoRoute);
    assert!(only(YAML, &facts, "next-hop").contains("no route to 10.0.0.101"));
    route(&mut facts, RouteAnswer::Local);
    assert!(noted(YAML, &facts).is_empty(), "a backend on this host");
}

#[test]
fn direct_routing_stops_at_routers_and_tunnels_do_not() {
    let mut facts = healthy();
    let router = NeighbourKey {
        address: ip("10.0.0.1"),
        ..key()
    };
    let answer = facts.stations[&key()].clone();
    facts.stations.insert(router, answer);
    let way = RouteAnswer::Unicast {
        gateway: Some(router.address),
        interface: index(2),
        source: None,
        mtu: None,
    };
    route(&mut facts, way);
    assert!(only(YAML, &facts, "direct-routing-routed").contains("behind 10.0.0.1"));
    let tunnel = YAML.replace(
        "address: 10.0.0.101",
        "address: 10.0.0.101, forwarding: tunnel",
    );
    only(&tunnel, &facts, "tunnel-mtu");
}

#[test]
fn a_tunnel_needs_room_for_its_header() {
    let tunnel = YAML.replace(
        "address: 10.0.0.101",
        "address: 10.0.0.101, forwarding: tunnel",
    );
    let mut facts = healthy();
    let evidence = only(&tunnel, &facts, "tunnel-mtu");
    assert!(evidence.contains("1480 fit an MTU of 1500"), "{evidence}");
    let link = |facts: &mut Facts, mtu| {
        let tables = facts.network.as_mut().unwrap();
        tables.links.get_mut(&index(2)).unwrap().mtu = mtu;
    };
    link(&mut facts, 1519);
    only(&tunnel, &facts, "tunnel-mtu");
    link(&mut facts, 1520);
    assert!(noted(&tunnel, &facts).is_empty());
}
