//! Virtual routers and virtual addresses.

use std::{collections::BTreeSet, time::Duration};

use super::{LB2, WEB1, YAML, healthy, ip, noted, only, own, unknown, unseen};
use crate::{
    config::model::{Family, VrrpVersion},
    doctor::{
        facts::{Claim, Facts, Heard, Seen},
        firewall,
    },
    types::{Mac, Priority, RouterId},
    vrrp::wire::{Advert, AdvertError, Authentication},
};

fn advert() -> Advert {
    Advert {
        version: VrrpVersion::V2,
        virtual_router_id: RouterId::new(51).unwrap(),
        priority: Priority::new(150).unwrap(),
        interval: Duration::from_secs(1),
        addresses: vec![ip("10.0.0.125")],
        authentication: Authentication::None,
    }
}

fn from(source: &str, advert: Advert) -> Heard {
    Heard {
        source: ip(source),
        ttl: 255,
        advert: Ok(advert),
    }
}

fn hearing(heard: Vec<Heard>) -> Facts {
    with_heard(Ok(heard))
}

fn with_heard(heard: Seen<Vec<Heard>>) -> Facts {
    let mut facts = healthy();
    let place = ("eth0".parse().unwrap(), Family::V4);
    facts.heard.insert(place, heard);
    facts
}

#[test]
fn the_adverts_of_a_peer_that_agrees_are_no_trap() {
    let facts = hearing(vec![from("10.0.0.3", advert()), from("10.0.0.3", advert())]);
    assert!(noted(YAML, &facts).is_empty());
}

#[test]
fn a_router_of_our_number_with_other_addresses_is_in_conflict() {
    let other = Advert {
        addresses: vec![ip("10.0.0.200")],
        ..advert()
    };
    let evidence = only(
        YAML,
        &hearing(vec![from("10.0.0.3", other)]),
        "vrid-conflict",
    );
    assert!(
        evidence.contains("10.0.0.3") && evidence.contains("10.0.0.200"),
        "{evidence}"
    );
    let number = Advert {
        virtual_router_id: RouterId::new(52).unwrap(),
        ..advert()
    };
    assert!(noted(YAML, &hearing(vec![from("10.0.0.3", number)])).is_empty());
}

#[test]
fn what_two_nodes_have_to_agree_on_is_compared() {
    let version = Advert {
        version: VrrpVersion::V3,
        ..advert()
    };
    let facts = hearing(vec![from("10.0.0.3", version)]);
    assert!(only(YAML, &facts, "vrrp-version-mismatch").contains("version 3, ours is 2"));
    let password = Advert {
        authentication: Authentication::Simple(*b"theirs\0\0"),
        ..advert()
    };
    let facts = hearing(vec![from("10.0.0.3", password)]);
    let evidence = only(YAML, &facts, "vrrp-password-mismatch");
    assert!(
        evidence.contains("a password, we have no password"),
        "{evidence}"
    );
    assert!(!evidence.contains("theirs"), "a secret is told");
    let ours = YAML.to_owned() + "    authentication: { pass: ours }\n";
    let evidence = only(&ours, &facts, "vrrp-password-mismatch");
    assert!(evidence.contains("another password"), "{evidence}");
    let same = YAML.to_owned() + "    authentication: { pass: theirs }\n";
    assert!(noted(&same, &facts).is_empty());
    let interval = Advert {
        interval: Duration::from_secs(2),
        ..advert()
    };
    let facts = hearing(vec![from("10.0.0.3", interval)]);
    assert!(only(YAML, &facts, "vrrp-interval-mismatch").contains("2s, ours is 1s"));
}

#[test]
fn adverts_from_afar_from_ourselves_or_malformed_teach_nothing() {
    let wrong = Advert {
        addresses: vec![ip("10.0.0.200")],
        ..advert()
    };
    let mut far = from("10.0.0.3", wrong.clone());
    far.ttl = 254;
    let own = from("10.0.0.2", wrong);
    let malformed = Heard {
        advert: Err(AdvertError::Interval),
        ..far.clone()
    };
    assert!(noted(YAML, &hearing(vec![far, own, malformed])).is_empty());
}

#[test]
fn two_senders_or_one_beside_us_are_two_masters() {
    let both = vec![from("10.0.0.3", advert()), from("10.0.0.4", advert())];
    assert!(only(YAML, &hearing(both), "two-masters").contains("10.0.0.3, 10.0.0.4"));
    let mut facts = hearing(vec![from("10.0.0.3", advert())]);
    own(facts.network.as_mut().unwrap(), "10.0.0.125", 32);
    assert!(only(YAML, &facts, "two-masters").contains("this host has the addresses"));
    // One that steps down is a change of roles at work.
    let release = Advert {
        priority: Priority::RELEASE,
        ..advert()
    };
    let both = vec![from("10.0.0.3", advert()), from("10.0.0.4", release)];
    assert!(noted(YAML, &hearing(both)).is_empty());
}

#[test]
fn where_nobody_could_listen_all_that_needs_it_is_unknown() {
    let ids = [
        "vrid-conflict",
        "vrrp-version-mismatch",
        "vrrp-password-mismatch",
        "vrrp-interval-mismatch",
        "two-masters",
    ];
    unknown(YAML, &with_heard(Err(unseen())), &ids);
}

#[test]
fn multicast_matters_only_without_unicast_peers() {
    let mut facts = healthy();
    facts
        .devices
        .values_mut()
        .for_each(|d| d.multicast = Ok(false));
    only(YAML, &facts, "no-multicast");
    let unicast = YAML.to_owned() + "    unicast_source: 10.0.0.2\n    unicast_peers: [10.0.0.3]\n";
    assert!(noted(&unicast, &facts).is_empty());
}

#[test]
fn a_rule_that_drops_adverts_is_told_for_its_direction() {
    let mut facts = healthy();
    let rules =
        "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p vrrp -j DROP\nCOMMIT\n";
    facts.firewall.rules = firewall::parse_iptables(Family::V4, rules);
    let evidence = only(YAML, &facts, "vrrp-filtered");
    assert!(
        evidence.contains("outgoing") && evidence.contains("-p vrrp -j DROP"),
        "{evidence}"
    );
    let without = YAML.split("vrrp_instances").next().unwrap();
    own(facts.network.as_mut().unwrap(), "10.0.0.125", 32);
    assert!(noted(without, &facts).is_empty());
    let mut facts = healthy();
    facts.firewall.unseen = vec![unseen()];
    unknown(YAML, &facts, &["vrrp-filtered"]);
}

fn claimed(ours: bool, holders: &[Mac]) -> Facts {
    let mut facts = healthy();
    facts.claims.push(Claim {
        address: ip("10.0.0.125"),
        interface: "eth0".parse().unwrap(),
        ours,
        holders: Ok(holders.iter().copied().collect::<BTreeSet<_>>()),
    });
    facts
}

#[test]
fn one_holder_of_a_virtual_address_is_enough() {
    assert!(noted(YAML, &claimed(true, &[])).is_empty());
    assert!(noted(YAML, &claimed(false, &[])).is_empty());
    assert!(noted(YAML, &claimed(false, &[LB2])).is_empty());
    assert!(only(YAML, &claimed(true, &[LB2]), "duplicate-address").contains("this host and"));
    let other = Mac([2, 0, 10, 0, 0, 4]);
    only(YAML, &claimed(false, &[LB2, other]), "duplicate-address");
}

#[test]
fn a_real_server_that_holds_it_is_named() {
    for ours in [true, false] {
        let evidence = only(YAML, &claimed(ours, &[WEB1]), "vip-on-real-server");
        assert!(evidence.contains("`web1` (10.0.0.101)"), "{evidence}");
    }
    only(YAML, &claimed(false, &[LB2, WEB1]), "vip-on-real-server");
    let mut facts = claimed(false, &[]);
    facts.claims[0].holders = Err(unseen());
    unknown(YAML, &facts, &["duplicate-address", "vip-on-real-server"]);
}

#[test]
fn a_service_address_is_some_instances_or_this_hosts() {
    let without = YAML.split("vrrp_instances").next().unwrap();
    let mut facts = healthy();
    assert!(only(without, &facts, "address-unowned").contains("10.0.0.125"));
    own(facts.network.as_mut().unwrap(), "10.0.0.125", 32);
    assert!(noted(without, &facts).is_empty());
}

#[test]
fn a_virtual_address_brings_its_network_or_is_in_one() {
    let outside = YAML.replace("[10.0.0.125]", "[10.0.0.125, 192.0.2.7]");
    assert!(only(&outside, &healthy(), "address-outside-networks").contains("192.0.2.7/32"));
    let with_prefix = YAML.replace("[10.0.0.125]", "[10.0.0.125, 192.0.2.7/24]");
    assert!(noted(&with_prefix, &healthy()).is_empty());
}

#[test]
fn a_backup_needs_a_default_route_of_its_own() {
    let yaml = YAML.to_owned() + "    virtual_routes: [{ to: default, via: 10.0.0.1 }]\n";
    let mut facts = healthy();
    only(&yaml, &facts, "default-route-virtual");
    facts.host.default_routes[0] = Ok(vec![Some(ip("10.0.0.1"))]);
    only(&yaml, &facts, "default-route-virtual");
    facts.host.default_routes[0] = Ok(vec![Some(ip("10.0.0.1")), Some(ip("10.0.0.9"))]);
    assert!(noted(&yaml, &facts).is_empty());
}
