use std::time::Duration;

use super::*;
use crate::{
    config::model::{Garp, InitialState, Notify, Password, Track, Unicast},
    types::{Priority, RouterId},
};

const PEER: &str = "10.0.0.3";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn instance(version: VrrpVersion) -> VrrpInstance {
    VrrpInstance {
        name: "VI_1".parse().unwrap(),
        interface: "eth0".parse().unwrap(),
        virtual_router_id: RouterId::new(7).unwrap(),
        family: Family::V4,
        version,
        initial_state: InitialState::Backup,
        priority: Priority::DEFAULT,
        advertisement_interval: Duration::from_secs(1),
        preempt: true,
        preempt_delay: Duration::ZERO,
        checksum: Checksum::Auto,
        unicast_source: None,
        unicast: None,
        authentication: None,
        virtual_addresses: Vec::new(),
        virtual_routes: Vec::new(),
        garp: Garp {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
        },
        track: Track::default(),
        notify: Notify::default(),
    }
}

fn unicast(ttl_check: bool) -> VrrpInstance {
    VrrpInstance {
        unicast: Some(Unicast {
            peers: vec![ip(PEER)],
            ttl_check,
        }),
        ..instance(VrrpVersion::V2)
    }
}

fn from(source: &str, destination: &str, ttl: u8) -> Header {
    Header {
        source: ip(source),
        destination: ip(destination),
        ttl,
    }
}

fn check(instance: &VrrpInstance, packet: Header) -> Result<(), &'static str> {
    header(instance, Some(ip("10.0.0.2")), packet).map_err(|reason| reason.name())
}

fn an_advert(version: VrrpVersion) -> Advert {
    Advert {
        version,
        virtual_router_id: RouterId::new(7).unwrap(),
        priority: Priority::DEFAULT,
        interval: Duration::from_secs(1),
        addresses: Vec::new(),
        authentication: Authentication::None,
    }
}

#[test]
fn a_multicast_router_listens_to_the_group_alone() {
    let instance = instance(VrrpVersion::V3);
    assert_eq!(check(&instance, from(PEER, "224.0.0.18", 255)), Ok(()));
    assert_eq!(
        check(&instance, from(PEER, "10.0.0.2", 255)),
        Err("destination")
    );
}

#[test]
fn a_unicast_router_listens_to_its_peers_alone() {
    let instance = unicast(true);
    assert_eq!(check(&instance, from(PEER, "10.0.0.2", 255)), Ok(()));
    assert_eq!(
        check(&instance, from("10.0.0.9", "10.0.0.2", 255)),
        Err("source")
    );
    assert_eq!(
        check(&instance, from(PEER, "224.0.0.18", 255)),
        Err("destination")
    );
}

#[test]
fn what_crossed_a_router_is_refused_unless_unicast_allows_it() {
    let multicast = instance(VrrpVersion::V2);
    assert_eq!(check(&multicast, from(PEER, "224.0.0.18", 254)), Err("ttl"));
    assert_eq!(
        check(&unicast(true), from(PEER, "10.0.0.2", 64)),
        Err("ttl")
    );
    assert_eq!(check(&unicast(false), from(PEER, "10.0.0.2", 64)), Ok(()));
}

#[test]
fn our_own_adverts_are_not_a_peers() {
    let instance = instance(VrrpVersion::V3);
    let packet = from("10.0.0.2", "224.0.0.18", 255);
    assert_eq!(check(&instance, packet), Err("own"));
}

#[test]
fn version_2_wants_the_same_version_password_and_interval() {
    let mut instance = instance(VrrpVersion::V2);
    let password = Password::new("1111".to_owned()).unwrap();
    let ours = Authentication::simple(&password);
    instance.authentication = Some(password);
    let good = Advert {
        authentication: ours.clone(),
        ..an_advert(VrrpVersion::V2)
    };
    let form = ChecksumForm::MessageOnly;
    let judge =
        |message: &Advert| advert(&instance, &ours, message, form).map_err(|reason| reason.name());
    assert_eq!(judge(&good), Ok(()));
    assert_eq!(judge(&an_advert(VrrpVersion::V3)), Err("version"));
    assert_eq!(judge(&an_advert(VrrpVersion::V2)), Err("password"));
    let slow = Advert {
        interval: Duration::from_secs(2),
        ..good
    };
    assert_eq!(judge(&slow), Err("interval"));
}

#[test]
fn version_3_takes_the_masters_interval_whatever_it_is() {
    let instance = instance(VrrpVersion::V3);
    let slow = Advert {
        interval: Duration::from_secs(30),
        ..an_advert(VrrpVersion::V3)
    };
    let none = Authentication::None;
    assert_eq!(
        advert(&instance, &none, &slow, ChecksumForm::PseudoHeader),
        Ok(())
    );
}

#[test]
fn checksum_says_which_forms_count_over_ipv4_and_which_is_sent() {
    use ChecksumForm::{MessageOnly, MulticastPseudoHeader, PseudoHeader};
    let table = [
        (
            Checksum::Auto,
            vec![MessageOnly, PseudoHeader, MulticastPseudoHeader],
            PseudoHeader,
        ),
        (
            Checksum::PseudoHeader,
            vec![PseudoHeader, MulticastPseudoHeader],
            PseudoHeader,
        ),
        (Checksum::Rfc9568, vec![MessageOnly], MessageOnly),
    ];
    for (checksum, allowed, sent) in table {
        let instance = VrrpInstance {
            checksum,
            ..instance(VrrpVersion::V3)
        };
        assert_eq!(sent_form(&instance), sent, "{checksum}");
        for form in [MessageOnly, PseudoHeader, MulticastPseudoHeader] {
            let judged = advert(
                &instance,
                &Authentication::None,
                &an_advert(VrrpVersion::V3),
                form,
            );
            assert_eq!(
                judged.is_ok(),
                allowed.contains(&form),
                "{checksum} {form:?}"
            );
        }
        assert!(
            allowed.contains(&sent),
            "what we send, a peer with the same setting takes"
        );
    }
}

#[test]
fn version_3_over_ipv6_has_its_pseudo_header_whatever_checksum_says() {
    for checksum in [Checksum::Auto, Checksum::PseudoHeader, Checksum::Rfc9568] {
        let instance = VrrpInstance {
            checksum,
            family: Family::V6,
            ..instance(VrrpVersion::V3)
        };
        assert_eq!(sent_form(&instance), ChecksumForm::PseudoHeader);
        let judged = advert(
            &instance,
            &Authentication::None,
            &an_advert(VrrpVersion::V3),
            ChecksumForm::PseudoHeader,
        );
        assert_eq!(judged, Ok(()));
    }
}

#[test]
fn every_reason_is_in_the_list_of_names() {
    let reasons = [
        Rejected::Ttl(1),
        Rejected::Own,
        Rejected::Destination(ip(PEER)),
        Rejected::Source(ip(PEER)),
        Rejected::Version("2"),
        Rejected::ChecksumForm,
        Rejected::Password,
        Rejected::Interval {
            theirs: Duration::ZERO,
            ours: Duration::ZERO,
        },
    ];
    let names: Vec<&str> = reasons.iter().map(Rejected::name).collect();
    assert_eq!(names, Rejected::NAMES);
}
