//! Adverts: what decodes also encodes, to the same meaning and, where there is one form only, the same
//! bytes.
//!
//! Input: one byte of [choices](Choices), then the payload of the IP packet. No search finds a 16-bit
//! sum by chance, so the choices may ask for it to be put right, by code of its own.

use std::net::IpAddr;

use lb_user::vrrp::wire::{self, AdvertError, ChecksumForm, Envelope};

/// One input; panics if the code under test is wrong.
pub(crate) fn run(data: &[u8]) {
    let Some((first, payload)) = data.split_first() else {
        return;
    };
    let choices = Choices(*first);
    let envelope = choices.envelope();
    let mut payload = payload.to_vec();
    let repaired = choices.repair(&mut payload, envelope);

    let decoded = wire::decode(&payload, envelope);
    if repaired {
        let refused = matches!(decoded, Err(AdvertError::Checksum(_)));
        assert!(!refused, "a right checksum is refused");
    }
    match decoded {
        Ok((advert, form)) => round_trip(&payload, &advert, form, envelope),
        Err(error) => assert!(AdvertError::NAMES.contains(&error.name())),
    }
}

fn round_trip(payload: &[u8], advert: &wire::Advert, form: ChecksumForm, envelope: Envelope) {
    let mut message = vec![0xa5; 3];
    wire::encode(advert, form, envelope, &mut message).expect("what was received can be sent");
    let (again, _) = wire::decode(&message, envelope).expect("what is sent can be received");
    assert_eq!(&again, advert);
    let received = &payload[..message.len()];
    if is_canonical(received) {
        assert_eq!(message, received);
    }
}

/// Whether there is nothing in a message that a receiver ignores, and one way to write its sum.
fn is_canonical(message: &[u8]) -> bool {
    let zero_sum = message[6..8] == [0xff; 2];
    let ignored = match message[0] >> 4 {
        2 => message[4] == 0 && message[message.len() - 8..] != [0; 8],
        _ => message[4] & 0xf0 != 0,
    };
    !zero_sum && !ignored
}

/// What the first byte says: bit 0: IPv6; bit 1: unicast; bits 2 and 3: which checksum to put right,
/// or 0: none.
struct Choices(u8);

impl Choices {
    fn envelope(&self) -> Envelope {
        let (source, destination) = match self.0 & 3 {
            0 => ("192.168.6.110", GROUP),
            1 => ("fe80::a45c:cdff:fe8a:5ce8", "ff02::12"),
            2 => ("192.168.6.110", "192.168.6.111"),
            _ => ("fe80::a45c:cdff:fe8a:5ce8", "fe80::1"),
        };
        Envelope {
            source: address(source),
            destination: address(destination),
        }
    }

    /// True if the payload now is one that must be taken for well summed.
    fn repair(&self, payload: &mut [u8], envelope: Envelope) -> bool {
        let Some(length) = declared_length(payload, envelope) else {
            return false;
        };
        let message = &mut payload[..length];
        let version = message[0] >> 4;
        let pseudo_header = match self.0 >> 2 & 3 {
            0 => return false,
            1 => vec![],
            2 => pseudo_header(envelope.source, envelope.destination, length),
            _ => pseudo_header(envelope.source, address(GROUP), length),
        };
        let is_known = match (version, envelope.source, pseudo_header.is_empty()) {
            (2, _, plain) => plain,
            (_, IpAddr::V4(_), _) => true,
            (_, IpAddr::V6(_), plain) => !plain && self.0 >> 2 & 3 == 2,
        };
        message[6..8].fill(0);
        let sum = ones_complement_sum(&[pseudo_header.as_slice(), message].concat());
        message[6..8].copy_from_slice(&(!sum).to_be_bytes());
        is_known
    }
}

/// How long the message says it is, if it is there.
fn declared_length(payload: &[u8], envelope: Envelope) -> Option<usize> {
    let version = payload.first()? >> 4;
    let count = usize::from(*payload.get(3)?);
    let (size, tail) = match (version, envelope.source) {
        (2, IpAddr::V4(_)) => (4, 8),
        (3, IpAddr::V4(_)) => (4, 0),
        (3, IpAddr::V6(_)) => (16, 0),
        _ => return None,
    };
    let length = 8 + count * size + tail;
    (length <= payload.len()).then_some(length)
}

/// RFC 9568 section 5.2.8, in full.
fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).expect("a few kilobytes");
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0, 112]);
    bytes
}

fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u16;
    for pair in bytes.chunks(2) {
        let (next, carry) = sum.overflowing_add(u16::from_be_bytes([pair[0], pair[1]]));
        sum = next + u16::from(carry);
    }
    sum
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const GROUP: &str = "224.0.0.18";
