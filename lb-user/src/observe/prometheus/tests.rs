use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::*;
use crate::observe::{
    snapshot::{
        AlertWay, Attempts, Backend, BackendState, Fallback, Health, Ipvs, Late, Quorum, Tracker,
        Traffic,
    },
    text::tests::snapshot as document,
};

/// A node with something of everything.
fn node() -> Snapshot {
    let mut node = document();
    node.config.reloads.failed = 2;
    node.checks.checks = 2;
    node.checks.ended = 7;
    node.checks.late_ms = 1500;
    node.checks.lateness = vec![
        Late {
            under_ms: Some(1),
            attempts: 5,
        },
        Late {
            under_ms: None,
            attempts: 2,
        },
    ];
    node.alerts = vec![AlertWay {
        by: "smtp".to_owned(),
        sent: 3,
        failed: 1,
        left_out: 0,
        waiting: 2,
        problem: None,
    }];
    node.trackers = vec![Tracker {
        name: "script chk_haproxy".to_owned(),
        state: "bad".to_owned(),
        text: "exit code 1".to_owned(),
        for_seconds: 3,
    }];
    node.ipvs = Some(Ipvs {
        instead_of_xdp: Some("no interface takes it".to_owned()),
        ..Ipvs::default()
    });
    node.services[0].backends[0].health = Some(Health {
        state: "up".to_owned(),
        for_seconds: 9,
        last_result: None,
        last_took_ms: Some(12),
        good_in_a_row: 5,
        bad_in_a_row: 0,
        attempts: Attempts {
            good: 6,
            bad: 1,
            inconclusive: 0,
        },
    });
    node.services[0].quorum = Some(Quorum {
        up: true,
        for_seconds: 9,
        weight: 2,
        needed: 1,
        hysteresis: 0,
    });
    node.services[0].fallback = Some(Fallback {
        address: Ipv4Addr::new(10, 0, 0, 9).into(),
        port: 80,
        serves: false,
        next_hop: None,
        traffic: Traffic::default(),
    });
    node
}

fn plain(snapshot: Snapshot) -> String {
    text(&Arc::new(snapshot), Form::Plain).unwrap()
}

#[test]
fn a_scrape_has_everything_of_the_node() {
    insta::assert_snapshot!(plain(node()));
}

#[test]
fn openmetrics_is_the_same_with_its_own_heads_and_end() {
    let open = text(&Arc::new(node()), Form::OpenMetrics).unwrap();
    assert!(open.ends_with("# EOF\n"), "{open}");
    let samples = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(&open), samples(&plain(node())));
    assert!(open.contains("# TYPE ballast_backend_packets counter\n"));
    assert!(plain(node()).contains("# TYPE ballast_backend_packets_total counter\n"));
}

/// What `promtool check metrics` complains about, among others. The tool itself is run on a real scrape in `tests/scenarios`.
#[test]
fn names_follow_the_conventions() {
    let text = plain(node());
    let mut heads: BTreeMap<&str, (bool, &str)> = BTreeMap::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# HELP ") {
            let (name, help) = head.split_once(' ').unwrap();
            assert!(help.ends_with('.'), "{help}");
            assert!(heads.insert(name, (true, "")).is_none(), "{name} twice");
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            heads.get_mut(name).unwrap().1 = kind;
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                name.strip_suffix(end)
                    .filter(|base| heads.contains_key(base))
            });
            assert!(heads.contains_key(base.unwrap_or(name)), "{line}");
        }
    }
    for (name, (_, kind)) in heads {
        assert!(name.starts_with("ballast_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} {kind}");
    }
}

#[test]
fn a_name_can_hold_anything() {
    let mut node = node();
    node.services[0].name = "a \"quoted\" \\ name\nand a line".to_owned();
    let text = plain(node);
    let expected = r#"{service="a \"quoted\" \\ name\nand a line",backend="web1"}"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn every_backend_has_every_state_and_is_in_exactly_one() {
    let text = plain(node());
    for backend in ["web1", "second"] {
        let start = format!("ballast_backend_status{{service=\"web\",backend=\"{backend}\",");
        let values: Vec<_> = text.lines().filter(|l| l.starts_with(&start)).collect();
        assert_eq!(values.len(), BackendState::ALL.len());
        assert_eq!(values.iter().filter(|l| l.ends_with(" 1")).count(), 1);
    }
}

#[test]
fn refused_adverts_are_there_before_the_first_one() {
    let text = plain(node());
    let count = |reason: &str| {
        let end = format!("reason=\"{reason}\"}}");
        let line = text.lines().find(|line| {
            line.starts_with("ballast_vrrp_advertisements_refused_total") && line.contains(&end)
        });
        line.and_then(|line| line.rsplit(' ').next())
            .map(str::to_owned)
    };
    assert_eq!(count("checksum").as_deref(), Some("3"));
    for reason in ["password", "ttl", "version", "truncated"] {
        assert_eq!(count(reason).as_deref(), Some("0"), "{reason}");
    }
}

#[test]
fn what_a_client_accepts_decides_the_form() {
    // What Prometheus 2 asks with.
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Form::accepted(prometheus), Form::OpenMetrics);
    for plain in [
        "",
        "*/*",
        "text/plain",
        "application/openmetrics-text;q=0",
        "text/html, application/openmetrics-text; version=1.0.0; q=0.0",
        ";;;,,,==",
    ] {
        assert_eq!(Form::accepted(plain), Form::Plain, "{plain}");
    }
}

/// The scrape's limit is 200 ms; this is the part that is ours. Debug builds on a busy machine get six times that.
#[test]
fn ten_thousand_backends_are_written_quickly() {
    let mut node = node();
    let one = node.services[0].backends[0].clone();
    node.services[0].backends = (0..10_000)
        .map(|n| Backend {
            name: format!("backend-{n}"),
            ..one.clone()
        })
        .collect();
    let node = Arc::new(node);
    let began = Instant::now();
    let text = text(&node, Form::Plain).unwrap();
    let took = began.elapsed();
    println!("{} KiB in {took:?}", text.len() >> 10);
    assert!(took < Duration::from_millis(1200), "took {took:?}");
}
