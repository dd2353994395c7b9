mod captured;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use proptest::prelude::*;

use super::*;
use crate::ipvs::table::{Flags, Method, SyncRole, TCP, UDP};

pub(crate) fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::from(Ipv6Addr::from(octets))),
    ]
}

fn any_key() -> impl Strategy<Value = ServiceKey> {
    prop_oneof![
        (
            prop_oneof![Just(TCP), Just(UDP)],
            any_address(),
            any::<u16>()
        )
            .prop_map(|(protocol, address, port)| ServiceKey::Address {
                protocol,
                address,
                port
            }),
        (any::<bool>(), any::<u32>()).prop_map(|(v4, mark)| ServiceKey::Mark {
            family: if v4 { Family::V4 } else { Family::V6 },
            mark
        }),
    ]
}

fn any_settings(family: Family) -> impl Strategy<Value = Settings> {
    let longest = match family {
        Family::V4 => 32u8,
        Family::V6 => 128,
    };
    ("[a-z]{1,8}", any::<u32>(), any::<u32>(), 1..=longest).prop_map(
        |(scheduler, bits, timeout, prefix_length)| Settings {
            scheduler,
            flags: Flags::from_bits(bits),
            timeout,
            prefix_length,
        },
    )
}

fn any_destination() -> impl Strategy<Value = (DestinationKey, Destination)> {
    (any_address(), any::<u16>(), 0..9u32, any::<u32>()).prop_map(
        |(address, port, method, weight)| {
            let method = match method {
                0 => Method::Masquerade,
                1 => Method::Local,
                2 => Method::Tunnel,
                3 => Method::DirectRouting,
                other => Method::Other(other),
            };
            (
                DestinationKey { address, port },
                Destination { method, weight },
            )
        },
    )
}

/// The kernel lists things in the very messages that add them.
fn decoded(request: &Request) -> Reply {
    let mut replies = decode(&request.encode(30, 7)).unwrap();
    assert_eq!(replies.len(), 1);
    let (sequence, reply) = replies.remove(0);
    assert_eq!(sequence, 7);
    reply
}

proptest! {
    #[test]
    fn a_service_is_read_as_it_was_written(
        (key, settings) in any_key().prop_flat_map(|key| (Just(key), any_settings(key.family())))
    ) {
        let seen = SeenService {
            settings: settings.clone(),
            stats: Stats::default(),
            destinations: BTreeMap::new(),
        };
        prop_assert_eq!(decoded(&Request::AddService(key, settings)), Reply::Service(key, seen));
    }

    #[test]
    fn a_real_server_is_read_as_it_was_written(
        service in any_key(), (key, destination) in any_destination()
    ) {
        let seen = SeenDestination {
            destination, active: 0, inactive: 0, persistent: 0, stats: Stats::default(),
        };
        prop_assert_eq!(
            decoded(&Request::AddDestination(service, key, destination)),
            Reply::Destination(key, seen)
        );
    }

    #[test]
    fn a_sync_daemon_is_read_as_it_was_written(
        interface in "[a-z0-9.]{1,15}", id in any::<u8>(), send in any::<bool>()
    ) {
        let role = if send { SyncRole::Send } else { SyncRole::Receive };
        let daemon = SyncDaemon { role, interface, id: id.into() };
        prop_assert_eq!(decoded(&Request::StartDaemon(daemon.clone())), Reply::Daemon(daemon));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(decode(&bytes));
    }

    #[test]
    fn a_message_with_broken_bytes_does_not_make_it_panic(
        key in any_key(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = Request::RemoveService(key).encode(30, 1);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        drop(decode(&bytes));
    }
}

#[test]
fn a_refusal_is_read_as_its_errno() {
    // NLMSG_ERROR, -2, and the header of the message it is about.
    let mut bytes = vec![36, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend((-2i32).to_ne_bytes());
    bytes.extend([0; 16]);
    assert_eq!(decode(&bytes), Ok(vec![(9, Reply::Status(2))]));
}

#[test]
fn several_messages_come_in_one_datagram() {
    let key = ServiceKey::Mark {
        family: Family::V4,
        mark: 5,
    };
    let settings = Settings {
        scheduler: "rr".to_owned(),
        flags: Flags::NONE,
        timeout: 0,
        prefix_length: 32,
    };
    let mut bytes = Request::AddService(key, settings).encode(30, 1);
    bytes.extend([20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let replies = decode(&bytes).unwrap();
    assert!(matches!(
        replies[..],
        [(1, Reply::Service(..)), (1, Reply::End)]
    ));
}

#[test]
fn a_message_that_is_longer_than_what_came_is_cut_off() {
    let bytes = [200, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decode(&bytes), Err(Malformed::CutOff));
    assert_eq!(decode(&bytes[..9]), Err(Malformed::CutOff));
}
