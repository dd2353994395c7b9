use std::net::{IpAddr, SocketAddr};

use super::*;

fn knock_from(source: &str, destination: &str) -> Knock {
    Knock {
        to: Mac([2, 0, 0, 0, 0, 1]),
        from: Mac([2, 0, 0, 0, 0, 2]),
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        tunnel: None,
        ttl: 1,
    }
}

/// What a server would send back.
fn reply(from: &str, port: u16, flags: u8, acknowledged: u32) -> Reply {
    Reply {
        from: from.parse().unwrap(),
        port,
        flags,
        acknowledged,
    }
}

#[test]
fn a_segment_is_read_as_it_was_written_in_both_families() {
    for (source, destination) in [("10.0.0.2", "10.0.0.125:80"), ("fd00::2", "[fd00::125]:80")] {
        let knock = knock_from(source, destination);
        let bytes = frame::segment(&knock, 61_005, 7, 9, SYN | ACK).unwrap();
        let source: IpAddr = source.parse().unwrap();
        let read = frame::parse(&bytes).unwrap();
        assert_eq!(read.from, SocketAddr::new(source, 61_005));
        assert_eq!(
            (read.port, read.flags, read.acknowledged),
            (80, SYN | ACK, 9)
        );
    }
}

#[test]
fn a_tunnel_has_the_outer_addresses_first() {
    let knock = Knock {
        tunnel: Some(("10.0.0.2".parse().unwrap(), "10.0.0.101".parse().unwrap())),
        ..knock_from("fd00::2", "[fd00::125]:80")
    };
    let bytes = frame::segment(&knock, FIRST_PORT, SEQUENCE, 0, SYN).unwrap();
    assert_eq!(bytes[12..14], [0x08, 0x00]);
    assert_eq!(bytes[14 + 9], 41, "IPv6 inside of IPv4");
    assert_eq!(bytes[14 + 16..14 + 20], [10, 0, 0, 101]);
    assert_eq!(bytes.len(), 14 + 20 + 40 + 20);
    let mixed = knock_from("10.0.0.2", "[fd00::125]:80");
    assert_eq!(frame::segment(&mixed, FIRST_PORT, SEQUENCE, 0, SYN), None);
}

#[test]
fn only_answers_to_our_own_segments_count() {
    let knocks = [knock_from("10.0.0.2", "10.0.0.125:80")];
    let next = SEQUENCE + 1;
    let seen = |reply: Reply| classify(&knocks, &reply);
    let vip = "10.0.0.125:80";
    assert_eq!(
        seen(reply(vip, FIRST_PORT, SYN | ACK, next)),
        Some((0, Answer::Accepted))
    );
    assert_eq!(
        seen(reply(vip, FIRST_PORT, frame::RST | ACK, next)),
        Some((0, Answer::Refused))
    );
    assert_eq!(seen(reply(vip, FIRST_PORT, SYN | ACK, next + 1)), None);
    assert_eq!(seen(reply(vip, FIRST_PORT + 1, SYN | ACK, next)), None);
    assert_eq!(seen(reply(vip, 80, SYN | ACK, next)), None);
    assert_eq!(
        seen(reply("10.0.0.9:80", FIRST_PORT, SYN | ACK, next)),
        None
    );
    assert_eq!(seen(reply(vip, FIRST_PORT, ACK, next)), None);
}

#[test]
fn truncated_frames_are_no_replies() {
    let knock = knock_from("10.0.0.2", "10.0.0.125:80");
    let bytes = frame::segment(&knock, 61_005, 7, 9, SYN).unwrap();
    for length in 0..bytes.len() {
        assert_eq!(frame::parse(&bytes[..length]), None, "{length} bytes");
    }
}
