use std::time::{Duration, SystemTime};

use super::*;

fn at(second: u64, what: What) -> Event {
    Event {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        what,
    }
}

fn backend(name: &str, health: Health) -> What {
    What::Backend {
        service: "web".to_owned(),
        backend: name.to_owned(),
        address: "172.16.0.101:80".to_owned(),
        health,
        reason: "bad: connection refused".to_owned(),
    }
}

#[test]
fn a_single_change_is_in_the_subject() {
    let batch = Batch {
        events: vec![at(1_700_000_000, backend("web1", Health::Down))],
        left_out: 0,
    };
    assert_eq!(
        message("lb01", &batch),
        Message {
            subject: "[lb01] backend web1 of web DOWN".to_owned(),
            body: "2023-11-14T22:13:20Z  backend web1 (172.16.0.101:80) of service web is DOWN: bad: connection refused\n".to_owned(),
        }
    );
}

#[test]
fn many_changes_are_counted_in_the_subject_and_listed_below() {
    let role = What::Role {
        kind: Kind::Instance,
        name: "front".to_owned(),
        state: "MASTER".to_owned(),
        priority: 150,
        reason: "the master fell silent".to_owned(),
    };
    let (service, group) = ("web".to_owned(), "VG1".to_owned());
    let quorum = |up| What::Quorum {
        service: service.clone(),
        up,
        weight: 1,
    };
    let kept = |backends| What::Kept {
        service: service.clone(),
        backends,
    };
    let fallback = |serves| What::Fallback {
        service: service.clone(),
        serves,
    };
    let events = [
        backend("web1", Health::Down),
        backend("web2", Health::Down),
        quorum(false),
        fallback(true),
        kept(3),
        kept(0),
        backend("web1", Health::Held),
        backend("web2", Health::Up),
        quorum(true),
        fallback(false),
        role,
        What::Role {
            kind: Kind::Group,
            name: group,
            state: "FAULT".to_owned(),
            priority: 0,
            reason: "eth1 is down".to_owned(),
        },
    ];
    let batch = Batch {
        events: events
            .into_iter()
            .zip(0..)
            .map(|(what, n)| at(n, what))
            .collect(),
        left_out: 7,
    };
    let Message { subject, body } = message("lb01", &batch);
    insta::assert_snapshot!(format!("{subject}\n\n{body}"));
}
