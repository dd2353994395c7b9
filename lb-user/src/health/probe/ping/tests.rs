use super::*;

fn reply_to(request: &[u8], kind: u8) -> Vec<u8> {
    let mut reply = request.to_vec();
    reply[0] = kind;
    reply
}

#[test]
fn only_the_reply_to_our_own_request_counts() {
    let sent = request(Framing::V4, 7, 0x0102_0304_0506_0708);
    assert!(answers(Framing::V4, &sent, &reply_to(&sent, ECHO_REPLY)));
    assert!(
        !answers(Framing::V4, &sent, &sent),
        "an echo of the request"
    );
    let other = request(Framing::V4, 7, 0x0102_0304_0506_0709);
    assert!(!answers(Framing::V4, &sent, &reply_to(&other, ECHO_REPLY)));
    let mut longer = reply_to(&sent, ECHO_REPLY);
    longer.push(0);
    assert!(!answers(Framing::V4, &sent, &longer));
    assert!(!answers(Framing::V4, &sent, &[]));
}

#[test]
fn a_raw_reply_has_a_header_of_any_length_before_it() {
    let sent = request(Framing::V4Raw, 7, 1);
    for words in [5u8, 15] {
        let mut reply = vec![0; usize::from(words) * 4];
        reply[0] = 0x40 | words;
        reply.extend(reply_to(&sent, ECHO_REPLY));
        assert!(answers(Framing::V4Raw, &sent, &reply));
    }
    assert!(!answers(Framing::V4Raw, &sent, &[0x4f, 0, 0]));
}

#[test]
fn the_checksum_of_a_raw_request_sums_to_nothing() {
    let sent = request(Framing::V4Raw, 0xfffe, u64::MAX / 3);
    assert_eq!(checksum(&sent), 0);
    assert_ne!(&sent[2..4], [0, 0]);
}

#[test]
fn version_6_has_types_of_its_own() {
    let sent = request(Framing::V6, 7, 1);
    assert_eq!(sent[0], 128);
    assert!(answers(Framing::V6, &sent, &reply_to(&sent, 129)));
    assert!(!answers(Framing::V6, &sent, &reply_to(&sent, 0)));
}
