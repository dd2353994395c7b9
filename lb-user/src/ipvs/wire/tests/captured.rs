//! Against what was seen on the socket of `ipvsadm` (by strace).

use std::collections::BTreeMap;

use super::*;
use crate::ipvs::table::{Flags, Method, SyncRole, TCP, UDP};

/// A message of the recording, by its name there.
fn captured(name: &str) -> Vec<u8> {
    let lines = include_str!("captured.txt").lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let hex = found.next().unwrap();
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// What the recording's message says, if the kernel sent it.
fn decoded(name: &str) -> Reply {
    let body = captured(name);
    let length = u32::try_from(NETLINK_HEADER + body.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend([0x20, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(body);
    decode(&bytes).unwrap().remove(0).1
}

/// What we say, without `struct nlmsghdr`.
fn ours(request: &Request) -> Vec<u8> {
    request.encode(0x20, 1).split_off(NETLINK_HEADER)
}

fn web() -> ServiceKey {
    ServiceKey::Address {
        protocol: TCP,
        address: [10, 0, 0, 126].into(),
        port: 443,
    }
}

fn server() -> DestinationKey {
    DestinationKey {
        address: [10, 1, 0, 101].into(),
        port: 8443,
    }
}

#[test]
fn a_service_is_added_with_the_bytes_of_ipvsadm() {
    let settings = Settings {
        scheduler: "wlc".to_owned(),
        flags: Flags::PERSISTENT,
        timeout: 50,
        prefix_length: 24,
    };
    let request = Request::AddService(web(), settings);
    assert_eq!(ours(&request), captured("add a service"));
    let key = ServiceKey::Address {
        protocol: UDP,
        address: "fd00::126".parse().unwrap(),
        port: 53,
    };
    let settings = Settings {
        scheduler: "sh".to_owned(),
        flags: Flags::HASH_FALLBACK,
        timeout: 0,
        prefix_length: 128,
    };
    let request = Request::AddService(key, settings);
    assert_eq!(ours(&request), captured("add a service of IPv6"));
}

#[test]
fn a_sync_daemon_is_started_with_the_bytes_of_ipvsadm() {
    let daemon = SyncDaemon {
        role: SyncRole::Send,
        interface: "d0".to_owned(),
        id: 7,
    };
    let mut ours = ours(&Request::StartDaemon(daemon.clone()));
    // It leaves `NLA_F_NESTED` out here alone; the kernel takes both.
    let theirs = captured("start a sync daemon");
    ours[7] &= 0x7f | theirs[7];
    assert_eq!(ours, theirs);
    assert_eq!(decoded("sync daemon of the list"), Reply::Daemon(daemon));
}

/// The attributes inside the one of type `kind`.
fn inside(message: &[u8], kind: u16) -> BTreeMap<u16, Vec<u8>> {
    let value = value_of(&message[GENERIC_HEADER..], kind).unwrap();
    let pairs = all(value).map(Result::unwrap);
    pairs.map(|(kind, value)| (kind, value.to_vec())).collect()
}

/// Every attribute of ours is in the recording's message, with the same value.
#[track_caller]
fn says_no_other(request: &Request, name: &str) {
    let (ours, theirs) = (ours(request), captured(name));
    assert_eq!(ours[..GENERIC_HEADER], theirs[..GENERIC_HEADER]);
    for kind in [IPVS_CMD_ATTR_SERVICE, IPVS_CMD_ATTR_DEST] {
        if value_of(&ours[GENERIC_HEADER..], kind).is_err() {
            continue;
        }
        let theirs = inside(&theirs, kind);
        for (attribute, value) in inside(&ours, kind) {
            assert_eq!(Some(&value), theirs.get(&attribute), "{kind}.{attribute}");
        }
    }
}

#[test]
fn real_servers_and_removals_say_nothing_that_ipvsadm_does_not() {
    let destination = |weight| Destination {
        method: Method::Masquerade,
        weight,
    };
    let add = Request::AddDestination(web(), server(), destination(3));
    says_no_other(&add, "add a real server");
    let set = Request::SetDestination(web(), server(), destination(0));
    says_no_other(&set, "change a real server");
    let remove = Request::RemoveDestination(web(), server());
    says_no_other(&remove, "remove a real server");
    says_no_other(&Request::RemoveService(web()), "remove a service");
}

#[test]
fn the_kernels_list_is_read() {
    let Reply::Service(key, service) = decoded("service 1 of the list") else {
        panic!("no service");
    };
    assert_eq!(key.to_string(), "10.0.0.125:80/tcp");
    let wanted = Flags::PERSISTENT
        .with(Flags::HASH_FALLBACK)
        .with(Flags::HASH_PORT);
    assert_eq!(
        service.settings,
        Settings {
            scheduler: "mh".to_owned(),
            flags: wanted,
            timeout: 50,
            prefix_length: 24,
        }
    );
    let Reply::Service(key, service) = decoded("service 2 of the list") else {
        panic!("no service");
    };
    assert_eq!(key.to_string(), "[fd00::125]:53/udp");
    assert_eq!(service.settings.prefix_length, 128);
    let Reply::Destination(key, seen) = decoded("real server of the list") else {
        panic!("no real server");
    };
    assert_eq!(key.to_string(), "10.1.0.101:8080");
    assert_eq!(seen.destination.method, Method::Masquerade);
    assert_eq!((seen.destination.weight, seen.active), (3, 0));
}
