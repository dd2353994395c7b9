//! Announcements.

use std::net::IpAddr;

use lb_user::{
    net::announce::{Announcer, gratuitous_arp, unsolicited_advertisement},
    types::{IfIndex, Mac},
};

use super::{
    LB_MAC, Lab, Namespace, SOON,
    adverts::{frame, index, tap},
    can_make_namespaces, ip, wait_for,
};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn announcer(namespace: &Namespace) -> Announcer {
    namespace.run(|| Announcer::open(index("wire0"), MAC).expect("root may"))
}

#[test]
fn an_announcement_changes_the_neighbours_table_at_once() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let announcer = announcer(&lab.lb);
    for vip in ["10.0.0.100", "fd00::100"] {
        for state in ["reachable", "stale"] {
            lab.host.ip(&format!(
                "neigh replace {vip} lladdr 02:00:00:00:00:99 dev wire1 nud {state}"
            ));
            announcer.announce(ip(vip)).unwrap();
            wait_for(SOON, || {
                lab.host
                    .ip(&format!("neigh show {vip} dev wire1"))
                    .contains(LB_MAC)
            });
        }
    }
    // A router by its flag, so that nobody who has it as one drops a route.
    let neighbour = lab.host.ip("neigh show fd00::100 dev wire1");
    assert!(neighbour.contains("router"), "{neighbour}");
}

#[test]
fn the_frames_go_out_as_they_are_made() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let tap = lab.host.run(tap);
    let announcer = announcer(&lab.lb);
    for vip in ["10.0.0.100", "fd00::100"] {
        let wanted = match ip(vip) {
            IpAddr::V4(vip) => gratuitous_arp(MAC, vip),
            IpAddr::V6(vip) => unsolicited_advertisement(MAC, vip),
        };
        announcer.announce(ip(vip)).unwrap();
        frame(&tap, |frame| frame == wanted);
    }
}

#[test]
fn a_burst_for_255_instances_of_20_addresses_fits() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let announcer = announcer(&lab.lb);
    for number in 0..5100u32 {
        let vip = IpAddr::from((0x0a01_0000 + number).to_be_bytes());
        announcer.announce(vip).unwrap();
    }
}

#[test]
fn a_link_that_goes_down_is_an_error_until_it_is_back() {
    if !can_make_namespaces() {
        return;
    }
    let lab = Lab::new();
    let announcer = announcer(&lab.lb);
    let vip = ip("10.0.0.100");
    lab.lb.ip("link set wire0 down");
    let error = announcer.announce(vip).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NetworkDown);
    lab.lb.ip("link set wire0 up");
    wait_for(SOON, || announcer.announce(vip).is_ok());
    lab.lb.ip("link delete wire0");
    assert!(announcer.announce(vip).is_err());
}

#[test]
fn an_interface_that_is_not_there_cannot_be_announced_on() {
    if !can_make_namespaces() {
        return;
    }
    let opened = Namespace::new().run(|| Announcer::open(IfIndex::new(999).expect("not 0"), MAC));
    assert_eq!(
        opened.expect_err("there is none").to_string(),
        "cannot announce addresses on interface number 999"
    );
}
