//! Adverts are written out in hex, as a capture shows them.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Adverts of keepalived 2.2.7: what it is, how it is summed, from, to, bytes.
const KEEPALIVED: [(Form, &str, &str, &str); 5] = [
    (
        Form::MessageOnly,
        "192.168.6.110",
        "224.0.0.18",
        "213464020101874bc0a80764c0a807653131313100000000",
    ),
    (
        Form::MessageOnly,
        "192.168.6.110",
        "224.0.0.18",
        "21166e010001a928c0a807160000000000000000",
    ),
    (
        Form::MessageOnly,
        "192.168.6.110",
        "224.0.0.18",
        "214e6e00000170b00000000000000000",
    ),
    (
        Form::PseudoHeader,
        "192.168.6.110",
        "224.0.0.18",
        "3121c8010032973bc0a80721",
    ),
    (
        Form::PseudoHeader,
        "fe80::a45c:cdff:fe8a:5ce8",
        "ff02::12",
        "3142960200323f85fe80000000000000000000000000006620010db8000000000000000000000066",
    ),
];

use ChecksumForm as Form;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
        .collect()
}

fn envelope(source: &str, destination: &str) -> Envelope {
    Envelope {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

fn multicast_v4() -> Envelope {
    envelope("192.168.6.110", "224.0.0.18")
}

fn multicast_v6() -> Envelope {
    envelope("fe80::a45c:cdff:fe8a:5ce8", "ff02::12")
}

/// Decodes bytes whose checksum field is given as `0000` and computed here, over the whole of them.
fn decode_summed(hex: &str, form: Form, envelope: Envelope) -> Result<(Advert, Form), AdvertError> {
    let mut message = bytes(hex);
    let checksum = form.checksum(&message, envelope);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    decode(&message, envelope)
}

fn encoded(advert: &Advert, form: Form, envelope: Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    encode(advert, form, envelope, &mut out).unwrap();
    out
}

#[test]
fn keepalived_adverts_decode_and_encode_to_the_same_bytes() {
    for (form, source, destination, hex) in KEEPALIVED {
        let envelope = envelope(source, destination);
        let (advert, found) = decode(&bytes(hex), envelope).unwrap();
        assert_eq!(found, form, "{hex}");
        assert_eq!(encoded(&advert, form, envelope), bytes(hex), "{hex}");
    }
}

#[test]
fn a_password_advert_of_version_2_means_what_was_configured() {
    let (_, _, _, hex) = KEEPALIVED[0];
    let (advert, _) = decode(&bytes(hex), multicast_v4()).unwrap();
    let expected = Advert {
        version: VrrpVersion::V2,
        virtual_router_id: RouterId::new(52).unwrap(),
        priority: Priority::new(100).unwrap(),
        interval: Duration::from_secs(1),
        addresses: addresses(&["192.168.7.100", "192.168.7.101"]),
        authentication: Authentication::simple(&Password::new("1111".to_owned()).unwrap()),
    };
    assert_eq!(advert, expected);
}

#[test]
fn an_ipv6_advert_of_version_3_means_what_was_configured() {
    let (_, _, _, hex) = KEEPALIVED[4];
    let (advert, _) = decode(&bytes(hex), multicast_v6()).unwrap();
    let expected = Advert {
        version: VrrpVersion::V3,
        virtual_router_id: RouterId::new(66).unwrap(),
        priority: Priority::new(150).unwrap(),
        interval: Duration::from_millis(500),
        addresses: addresses(&["fe80::66", "2001:db8::66"]),
        authentication: Authentication::None,
    };
    assert_eq!(advert, expected);
}

/// The sums that the capture was recomputed with, both ways.
#[test]
fn version_3_over_ipv4_is_accepted_with_and_without_pseudo_header() {
    let with = bytes("3121c8010032973bc0a80721");
    let without = bytes("3121c80100323ee1c0a80721");
    let (first, form) = decode(&with, multicast_v4()).unwrap();
    assert_eq!(form, Form::PseudoHeader);
    let (second, form) = decode(&without, multicast_v4()).unwrap();
    assert_eq!(form, Form::MessageOnly);
    assert_eq!(first, second);
    assert_eq!(encoded(&first, Form::MessageOnly, multicast_v4()), without);
}

#[test]
fn a_unicast_advert_summed_for_the_group_is_accepted_and_told_apart() {
    // Unicast, but the same sum as in the capture to the group.
    let unicast = envelope("192.168.6.110", "192.168.6.111");
    let message = bytes("3121c8010032973bc0a80721");
    let (advert, form) = decode(&message, unicast).unwrap();
    assert_eq!(form, Form::MulticastPseudoHeader);
    assert_eq!(encoded(&advert, form, unicast), message);
    let proper = encoded(&advert, Form::PseudoHeader, unicast);
    assert_ne!(proper, message);
    assert_eq!(decode(&proper, unicast), Ok((advert, Form::PseudoHeader)));
}

#[test]
fn version_2_and_ipv6_are_summed_in_one_way_whatever_is_asked_for() {
    for (index, only) in [(0, Form::MessageOnly), (4, Form::PseudoHeader)] {
        let (_, source, destination, hex) = KEEPALIVED[index];
        let envelope = envelope(source, destination);
        let (advert, _) = decode(&bytes(hex), envelope).unwrap();
        for form in [
            Form::MessageOnly,
            Form::PseudoHeader,
            Form::MulticastPseudoHeader,
        ] {
            assert_eq!(encoded(&advert, form, envelope), bytes(hex));
            let mut other = bytes(hex);
            other[6..8].fill(0);
            let checksum = form.checksum(&other, envelope).to_be_bytes();
            other[6..8].copy_from_slice(&checksum);
            let accepted = decode(&other, envelope).is_ok();
            assert_eq!(accepted, other == bytes(hex), "{only:?} {form:?}");
        }
    }
}

#[test]
fn the_zero_bits_and_what_follows_the_message_are_not_looked_at() {
    let (plain, _) = decode(&bytes("3121c8010032973bc0a80721"), multicast_v4()).unwrap();
    let reserved = decode_summed(
        "3121c801f0320000c0a80721",
        Form::PseudoHeader,
        multicast_v4(),
    );
    assert_eq!(reserved, Ok((plain.clone(), Form::PseudoHeader)));
    let trailed = decode(&bytes("3121c8010032973bc0a80721ffffff"), multicast_v4());
    assert_eq!(trailed, Ok((plain, Form::PseudoHeader)));
    let (_, _, _, version_2) = KEEPALIVED[0];
    let trailed = decode(&bytes(&format!("{version_2}ff")), multicast_v4());
    assert_eq!(trailed, decode(&bytes(version_2), multicast_v4()));
}

#[test]
fn priorities_0_and_255_have_their_meaning() {
    for (hex, priority) in [
        ("3121000100320000c0a80721", Priority::RELEASE),
        ("3121ff0100320000c0a80721", Priority::OWNER),
        ("3121010100320000c0a80721", Priority::new(1).unwrap()),
        ("3121fe0100320000c0a80721", Priority::new(254).unwrap()),
    ] {
        let (advert, _) = decode_summed(hex, Form::MessageOnly, multicast_v4()).unwrap();
        assert_eq!(advert.priority, priority);
    }
}

#[test]
fn authentication_data_without_authentication_is_ignored() {
    let garbage = "21166e0100010000c0a80716 ffffffffffffffff";
    let (advert, _) = decode_summed(garbage, Form::MessageOnly, multicast_v4()).unwrap();
    assert_eq!(advert.authentication, Authentication::None);
}

#[test]
fn a_password_is_cut_at_8_bytes_and_padded_with_nul() {
    let simple = |text: &str| Authentication::simple(&Password::new(text.to_owned()).unwrap());
    assert_eq!(simple("abc"), Authentication::Simple(*b"abc\0\0\0\0\0"));
    assert_eq!(simple("123456789"), Authentication::Simple(*b"12345678"));
}

#[test]
fn a_password_does_not_show_in_logs() {
    assert_eq!(
        format!("{:?}", Authentication::Simple(*b"secret\0\0")),
        "Simple(…)"
    );
}

/// A reason, its bytes with a right checksum, and whether they came over IPv6.
const REFUSED: [(AdvertError, &str, bool); 14] = [
    (AdvertError::Truncated(0), "", false),
    (AdvertError::Truncated(7), "2134640201018700", false),
    (
        AdvertError::Version(1),
        "1134640100010000c0a807640000000000000000",
        false,
    ),
    (AdvertError::Version(4), "4134640100010000c0a80764", false),
    (
        AdvertError::VersionFamily,
        "21346400000100000000000000000000",
        true,
    ),
    (AdvertError::Type(0), "3021c80100320000c0a80721", false),
    (AdvertError::Type(2), "3221c80100320000c0a80721", false),
    // Two addresses are announced, one is there.
    (
        AdvertError::Length {
            needed: 16,
            got: 12,
        },
        "3121c80200320000c0a80721",
        false,
    ),
    // Version 2 without the authentication data.
    (
        AdvertError::Length {
            needed: 20,
            got: 12,
        },
        "21166e0100010000c0a80716",
        false,
    ),
    (
        AdvertError::Length {
            needed: 24,
            got: 12,
        },
        "3142960100320000c0a80721",
        true,
    ),
    (
        AdvertError::VirtualRouterId,
        "3100c80100320000c0a80721",
        false,
    ),
    (
        AdvertError::AuthenticationType(2),
        "21166e0102010000c0a807160000000000000000",
        false,
    ),
    (
        AdvertError::Interval,
        "21166e0100000000c0a807160000000000000000",
        false,
    ),
    // The reserved bits are not part of the interval.
    (AdvertError::Interval, "3121c801f0000000c0a80721", false),
];

#[test]
fn each_reason_has_bytes_that_get_it() {
    for (reason, hex, v6) in REFUSED {
        let envelope = if v6 { multicast_v6() } else { multicast_v4() };
        let got = if let AdvertError::Truncated(length) = reason {
            decode(&bytes(hex)[..length], envelope)
        } else {
            let form = if v6 || hex.starts_with('3') {
                Form::PseudoHeader
            } else {
                Form::MessageOnly
            };
            decode_summed(hex, form, envelope)
        };
        assert_eq!(got, Err(reason), "{hex}");
    }
}

#[test]
fn a_wrong_checksum_is_refused_before_the_contents() {
    for hex in [
        "3121c8010032973cc0a80721",
        "21166e010001a929c0a807160000000000000000",
        // The router identifier is 0, too.
        "3100c8010032973cc0a80721",
    ] {
        let error = decode(&bytes(hex), multicast_v4()).unwrap_err();
        assert!(matches!(error, AdvertError::Checksum(_)), "{hex}: {error}");
    }
    let (_, _, _, v6) = KEEPALIVED[4];
    let elsewhere = envelope("fe80::1", "ff02::12");
    assert_eq!(
        decode(&bytes(v6), elsewhere),
        Err(AdvertError::Checksum(0x3f85))
    );
}

#[test]
fn an_envelope_of_two_families_is_refused_both_ways() {
    let mixed = envelope("192.168.6.110", "ff02::12");
    let message = bytes("3121c8010032973bc0a80721");
    assert_eq!(decode(&message, mixed), Err(AdvertError::Envelope));
    let (advert, _) = decode(&message, multicast_v4()).unwrap();
    let result = encode(&advert, Form::PseudoHeader, mixed, &mut Vec::new());
    assert_eq!(result, Err(EncodeError::Envelope));
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let reasons = REFUSED.map(|(reason, ..)| reason);
    let rest = [AdvertError::Checksum(0), AdvertError::Envelope];
    let named: HashSet<_> = reasons.iter().chain(&rest).map(AdvertError::name).collect();
    assert_eq!(named, HashSet::from(AdvertError::NAMES));
    assert_eq!(named.len(), AdvertError::NAMES.len());
}

#[test]
fn cut_anywhere_an_advert_is_refused() {
    for (_, source, destination, hex) in KEEPALIVED {
        let message = bytes(hex);
        for length in 0..message.len() {
            let error = decode(&message[..length], envelope(source, destination)).unwrap_err();
            let expected = if length < 8 { "truncated" } else { "length" };
            assert_eq!(error.name(), expected, "{length} bytes of {hex}");
        }
    }
}

#[test]
fn what_no_router_may_send_is_not_encoded() {
    let (advert, _) = decode(&bytes("3121c8010032973bc0a80721"), multicast_v4()).unwrap();
    let refused = |change: &dyn Fn(&mut Advert), envelope| {
        let mut changed = advert.clone();
        change(&mut changed);
        let mut out = vec![0xa5; 40];
        let error = encode(&changed, Form::PseudoHeader, envelope, &mut out).unwrap_err();
        assert!(out.is_empty(), "nothing that could be sent by mistake");
        error
    };
    let one: IpAddr = "192.168.7.1".parse().unwrap();
    assert_eq!(
        refused(&|a| a.addresses = vec![one; 256], multicast_v4()),
        EncodeError::AddressCount(256)
    );
    assert_eq!(
        refused(&|_| {}, multicast_v6()),
        EncodeError::AddressFamily(advert.addresses[0])
    );
    assert_eq!(
        refused(
            &|a| a.authentication = Authentication::Simple([0; 8]),
            multicast_v4()
        ),
        EncodeError::Authentication
    );
    let v2_over_ipv6 = |a: &mut Advert| {
        a.version = VrrpVersion::V2;
        a.addresses.clear();
    };
    assert_eq!(
        refused(&v2_over_ipv6, multicast_v6()),
        EncodeError::VersionFamily
    );
    for (version, millis) in [
        (VrrpVersion::V2, [0, 500, 1001, 256_000]),
        (VrrpVersion::V3, [0, 5, 1001, 40_960]),
    ] {
        for interval in millis.map(Duration::from_millis) {
            let change = |a: &mut Advert| {
                a.version = version;
                a.interval = interval;
            };
            assert_eq!(
                refused(&change, multicast_v4()),
                EncodeError::Interval(interval)
            );
        }
    }
}

#[test]
fn encoding_replaces_all_of_the_buffer() {
    for (form, source, destination, hex) in KEEPALIVED {
        let envelope = envelope(source, destination);
        let (advert, _) = decode(&bytes(hex), envelope).unwrap();
        for length in [0, 1, 8, 100] {
            let mut out = vec![0xa5; length];
            encode(&advert, form, envelope, &mut out).unwrap();
            assert_eq!(out, bytes(hex));
        }
    }
}

#[test]
fn the_largest_adverts_fit() {
    for (address, envelope) in [("10.0.0.1", multicast_v4()), ("ff::1", multicast_v6())] {
        let advert = Advert {
            version: VrrpVersion::V3,
            virtual_router_id: RouterId::new(255).unwrap(),
            priority: Priority::OWNER,
            interval: Duration::from_millis(40_950),
            addresses: addresses(&[address; 255]),
            authentication: Authentication::None,
        };
        let message = encoded(&advert, Form::PseudoHeader, envelope);
        assert_eq!(decode(&message, envelope), Ok((advert, Form::PseudoHeader)));
    }
}

fn any_advert(family: Family) -> impl Strategy<Value = Advert> {
    let address = match family {
        Family::V4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    };
    let second = prop_oneof![
        Just(Authentication::None),
        any::<[u8; 8]>().prop_map(Authentication::Simple)
    ];
    let v2 = (1u64..=255, second)
        .prop_map(|(seconds, auth)| (VrrpVersion::V2, Duration::from_secs(seconds), auth));
    let v3 = (1u64..=4095).prop_map(|steps| {
        (
            VrrpVersion::V3,
            Duration::from_millis(steps * 10),
            Authentication::None,
        )
    });
    let versioned = match family {
        Family::V4 => prop_oneof![v2, v3].boxed(),
        Family::V6 => v3.boxed(),
    };
    let priority = any::<u8>().prop_map(|n| match n {
        0 => Priority::RELEASE,
        255 => Priority::OWNER,
        n => Priority::new(n).unwrap(),
    });
    let list = proptest::collection::vec(address, 0..=24);
    (versioned, 1u8.., priority, list).prop_map(
        |((version, interval, authentication), router, priority, addresses)| Advert {
            version,
            virtual_router_id: RouterId::new(router).unwrap(),
            priority,
            interval,
            addresses,
            authentication,
        },
    )
}

fn any_sent() -> impl Strategy<Value = (Advert, Envelope)> {
    let v4 = (any_advert(Family::V4), any::<[[u8; 4]; 2]>()).prop_map(|(advert, [from, to])| {
        (
            advert,
            Envelope {
                source: from.into(),
                destination: to.into(),
            },
        )
    });
    let v6 = (any_advert(Family::V6), any::<[[u8; 16]; 2]>()).prop_map(|(advert, [from, to])| {
        (
            advert,
            Envelope {
                source: from.into(),
                destination: to.into(),
            },
        )
    });
    prop_oneof![v4, v6]
}

fn any_form() -> impl Strategy<Value = Form> {
    proptest::sample::select(vec![
        Form::MessageOnly,
        Form::PseudoHeader,
        Form::MulticastPseudoHeader,
    ])
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_received((advert, envelope) in any_sent(), form in any_form()) {
        let message = encoded(&advert, form, envelope);
        let (received, found) = decode(&message, envelope).unwrap();
        prop_assert_eq!(&received, &advert);
        // Two forms may give one sum; either way the bytes are the same.
        prop_assert_eq!(encoded(&received, found, envelope), message);
    }

    #[test]
    fn one_wrong_bit_in_the_message_is_noticed((advert, envelope) in any_sent(), bit: usize) {
        let mut message = encoded(&advert, Form::PseudoHeader, envelope);
        let bit = bit % (message.len() * 8);
        // With another version or count, other bytes are summed, and may be right by chance.
        prop_assume!(bit / 8 != 0 && bit / 8 != 3);
        message[bit / 8] ^= 1 << (bit % 8);
        if let Ok((_, form)) = decode(&message, envelope) {
            // So may the sum be in another form than it was made in.
            prop_assert!(advert.version == VrrpVersion::V3 && form != Form::PseudoHeader);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(payload: Vec<u8>, v6: bool, head in 0usize..5) {
        let envelope = if v6 { multicast_v6() } else { multicast_v4() };
        let first = [0x21, 0x31, 0x00, 0x3f, 0xff][head];
        let result = decode(&payload, envelope);
        prop_assert!(result.is_ok() || AdvertError::NAMES.contains(&result.unwrap_err().name()));
        let payload = [&[first], payload.as_slice()].concat();
        let result = decode(&payload, envelope);
        prop_assert!(result.is_ok() || AdvertError::NAMES.contains(&result.unwrap_err().name()));
    }
}
