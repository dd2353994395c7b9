//! Each judgement on facts made up for it. What the labs can set up is also found there
//! (`tests/scenarios/doctor.rs`).

mod hosts;
mod routers;
mod servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    CHECKS, Check, Examined, Outcome, Report, Severity,
    facts::{Bpffs, Device, Facts, Firewall, Host, Offloads, Unseen},
};
use crate::{
    config::{self, Config},
    net::{Link, address::Address, neighbour::NeighbourKey, nexthop::Tables, route::RouteAnswer},
    types::{IfIndex, Mac},
};

/// A service with one backend, and a virtual router for it.
pub(super) const YAML: &str = "
datapath: { interfaces: [eth0] }
services:
  - { name: web, address: 10.0.0.125, port: 80, backends: [{ name: web1, address: 10.0.0.101 }] }
vrrp_instances:
  - name: front
    interface: eth0
    virtual_router_id: 51
    virtual_addresses: [10.0.0.125]
";

pub(super) fn config(yaml: &str) -> Config {
    config::validate_str("test.yaml", yaml).unwrap().config
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn index(number: u32) -> IfIndex {
    IfIndex::new(number).unwrap()
}

pub(super) const WEB1: Mac = Mac([2, 0, 10, 0, 0, 101]);
pub(super) const LB2: Mac = Mac([2, 0, 10, 0, 0, 3]);

/// A host with nothing to find for [`YAML`].
pub(super) fn healthy() -> Facts {
    let mut tables = Tables::default();
    tables.links.insert(
        index(2),
        Link {
            index: index(2),
            name: "eth0".parse().unwrap(),
            mac: Some(Mac([2, 0, 10, 0, 0, 2])),
            mtu: 1500,
            up: true,
            resolves: true,
            kind: None,
            vlan: None,
            master: None,
        },
    );
    own(&mut tables, "10.0.0.2", 24);
    let way = RouteAnswer::Unicast {
        gateway: None,
        interface: index(2),
        source: Some(ip("10.0.0.2")),
        mtu: None,
    };
    tables.routes.insert(ip("10.0.0.101"), way);
    let key = NeighbourKey {
        interface: index(2),
        address: ip("10.0.0.101"),
    };
    Facts {
        host: host(),
        network: Ok(tables),
        devices: BTreeMap::from([("eth0".parse().unwrap(), device())]),
        stations: BTreeMap::from([(key, Ok(BTreeSet::from([WEB1])))]),
        claims: Vec::new(),
        servers: Vec::new(),
        heard: BTreeMap::new(),
        firewall: Firewall::default(),
    }
}

pub(super) fn own(tables: &mut Tables, address: &str, prefix: u8) {
    let address = Address {
        interface: index(2),
        address: ip(address),
        prefix,
        secondary: false,
        unchecked: false,
        tentative: false,
        ours: false,
    };
    let key = (address.address, address.interface, prefix);
    tables.addresses.insert(key, address);
}

fn host() -> Host {
    Host {
        missing_capabilities: Vec::new(),
        kernel: Ok((6, 1)),
        locked_memory: Ok(Some(8 << 20)),
        bpffs: Bpffs::Writable,
        clock_synchronised: Ok(true),
        conntrack: Some((10, 262_144)),
        keepalived: Ok(Vec::new()),
        agents: Ok(Vec::new()),
        unfit: Vec::new(),
        forwards: [Ok(false), Ok(false)],
        ipvs: Ok(false),
        ipvs_settings: Vec::new(),
        nft: true,
        default_routes: [Ok(Vec::new()), Ok(Vec::new())],
    }
}

fn device() -> Device {
    Device {
        multicast: Ok(true),
        driver: Some("ice".to_owned()),
        offloads: Ok(Offloads::default()),
        xdp_features: Ok(0x7f),
        xdp: Ok(None),
        peer_xdp: None,
        rp_filter: Ok(0),
        manager: None,
    }
}

/// The checks that found something or are not complete.
pub(super) fn noted(yaml: &str, facts: &Facts) -> Vec<Examined> {
    let report = Report::new(&config(yaml), facts);
    let noted = |check: &Examined| check.outcome != Outcome::Ok;
    report.checks.into_iter().filter(noted).collect()
}

/// Expects one check to find something, and all others nothing; what it said.
pub(super) fn only(yaml: &str, facts: &Facts, id: &str) -> String {
    let noted = noted(yaml, facts);
    let ids: Vec<_> = noted.iter().map(|check| check.id).collect();
    assert_eq!(ids, [id], "{noted:#?}");
    assert_eq!(noted[0].outcome, Outcome::Found);
    noted[0].evidence.join("\n")
}

/// Expects one check not to be complete, and nothing to be found.
pub(super) fn unknown(yaml: &str, facts: &Facts, ids: &[&str]) {
    let noted = noted(yaml, facts);
    assert!(
        noted.iter().all(|c| c.outcome == Outcome::Unknown),
        "{noted:#?}"
    );
    let found: Vec<_> = noted.iter().map(|check| check.id).collect();
    assert_eq!(found, ids);
}

pub(super) fn unseen() -> Unseen {
    Unseen("nobody looked".to_owned())
}

#[test]
fn a_healthy_host_has_nothing_to_find() {
    let report = Report::new(&config(YAML), &healthy());
    assert!(report.ok);
    assert_eq!(
        report.to_string(),
        format!("{} checks: nothing found\n", CHECKS.len())
    );
}

#[test]
fn ids_are_kebab_case_and_unique() {
    let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), CHECKS.len());
    for id in ids {
        let fits = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(
            id.chars().all(fits) && !id.starts_with('-') && !id.ends_with('-'),
            "{id}"
        );
    }
}

#[test]
fn the_page_lists_exactly_the_checks_there_are() {
    let page = include_str!("../../../docs/doctor.md");
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<_> = CHECKS
        .iter()
        .map(|check| {
            let Check {
                id,
                title,
                looks_at,
                severity,
                remedy,
                ..
            } = check;
            format!("| `{id}` | {severity} | {title} | {looks_at} | {remedy} |")
        })
        .collect();
    assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
}

#[test]
fn what_was_found_is_told_worst_first_with_its_remedy_and_then_what_is_unknown() {
    let mut facts = healthy();
    facts.host.clock_synchronised = Ok(false);
    facts.host.keepalived = Ok(vec![7, 9]);
    facts
        .devices
        .values_mut()
        .for_each(|d| d.offloads = Err(unseen()));
    let report = Report::new(&config(YAML), &facts);
    assert!(!report.ok);
    insta::assert_snapshot!(report);
}

#[test]
fn without_a_network_nothing_about_it_is_passed_off_as_fine() {
    let mut facts = healthy();
    facts.network = Err(unseen());
    facts.devices.clear();
    facts.stations.clear();
    let config = config(YAML);
    let report = Report::new(&config, &facts);
    let fine = |check: &&Examined| check.outcome == Outcome::Ok;
    let fine: Vec<_> = report.checks.iter().filter(fine).map(|c| c.id).collect();
    let of_the_host = CHECKS.iter().map(|check| check.id);
    let of_the_host = of_the_host.take_while(|id| *id != "interface-missing");
    let not_configured = ["rp-filter", "default-route-virtual", "vrrp-filtered"];
    let expected: Vec<_> = of_the_host.chain(not_configured).collect();
    assert_eq!(fine, expected);
}

#[test]
fn a_note_or_an_unknown_is_no_failure() {
    let mut facts = healthy();
    facts.host.clock_synchronised = Ok(false);
    facts.network = Err(unseen());
    let report = Report::new(&config(YAML), &facts);
    assert!(report.ok, "{report}");
    let clock = report
        .checks
        .iter()
        .find(|check| check.id == "clock")
        .unwrap();
    assert_eq!(
        (clock.outcome, clock.severity),
        (Outcome::Found, Severity::Note)
    );
}
