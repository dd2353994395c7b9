use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::config;

/// The targets of `services`, a YAML list.
fn of(services: &str) -> Vec<(Subject, Arc<Target>)> {
    let text = format!("datapath: {{ interfaces: [lo] }}\nservices:\n{services}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ballast.yaml");
    std::fs::write(&path, text).unwrap();
    let loaded = config::load_and_validate(&path).unwrap();
    targets(&loaded.config).into_iter().collect()
}

const TWO_SERVICES: &str = "
  - { name: a, address: 192.0.2.1, port: 80, backends: [{ address: 10.0.0.1 }, { address: 10.0.0.2 }] }
  - { name: b, address: 192.0.2.2, port: 80, backends: [{ address: 10.0.0.1 }, { address: 10.0.0.3, health_check: none }] }
";

#[test]
fn equal_checks_are_one() {
    let targets = of(TWO_SERVICES);
    assert_eq!(targets.len(), 3);
    let shared: Vec<_> = targets
        .iter()
        .filter(|(subject, _)| subject.backend.address.to_string() == "10.0.0.1")
        .collect();
    assert_eq!(shared.len(), 2);
    assert!(Arc::ptr_eq(&shared[0].1, &shared[1].1));
}

#[test]
fn a_port_of_the_check_overrides_the_backends() {
    let targets = of("
  - name: a
    address: 192.0.2.1
    port: 80
    health_check: { tcp: { port: 8080 } }
    backends: [{ address: 10.0.0.1 }]
");
    assert_eq!(targets[0].1.at.to_string(), "10.0.0.1:8080");
}

#[test]
fn without_a_host_the_services_address_is_asked_for() {
    let targets = of("
  - name: a
    address: 2001:db8::1
    port: 443
    health_check: { https: {} }
    backends: [{ address: \"2001:db8::2\" }]
  - name: b
    address: 192.0.2.1
    port: 8080
    health_check: { http: {} }
    backends: [{ address: 10.0.0.1 }]
  - name: c
    address: 192.0.2.2
    port: 443
    health_check: { https: { host: \"www.example.com:8443\", port: 8443, tls_verify: false } }
    backends: [{ address: 10.0.0.1 }]
");
    let http: Vec<&Http> = targets
        .iter()
        .map(|(_, target)| match &target.what {
            What::Http(http) => http,
            other => panic!("{other:?}"),
        })
        .collect();
    let find = |host: &str| {
        http.iter()
            .find(|http| http.host == host)
            .unwrap_or_else(|| panic!("{http:?}"))
    };
    let by_address = find("[2001:db8::1]");
    assert_eq!(by_address.tls.as_ref().unwrap().name, "2001:db8::1");
    assert!(by_address.tls.as_ref().unwrap().verify);
    assert_eq!(find("192.0.2.1:8080").tls, None);
    let named = find("www.example.com:8443").tls.as_ref().unwrap();
    assert_eq!(
        (named.name.as_str(), named.verify),
        ("www.example.com", false)
    );
}

#[test]
fn checks_that_start_together_spread_evenly() {
    let timing = Timing {
        interval: Duration::from_secs(6),
        timeout: Duration::from_secs(3),
        retries: 1,
        retry_delay: Duration::from_secs(1),
        rise: 1,
    };
    // The worst case: they differ in the path alone.
    let share = |number: u32| {
        Target {
            at: "10.0.0.1:80".parse().unwrap(),
            source: None,
            timing,
            what: What::Http(Http {
                tls: None,
                host: "192.0.2.1".to_owned(),
                pages: vec![Page {
                    path: format!("/{number}"),
                    status: vec![200],
                    digest: None,
                    body: None,
                }],
            }),
        }
        .share()
    };
    let mut bins = [0u32; 100];
    for number in 0..10_000 {
        let bin = (u128::from(share(number)) * 100) >> 64;
        bins[usize::try_from(bin).unwrap()] += 1;
    }
    // 100 each on average; five standard deviations.
    assert!(
        bins.iter().all(|count| (50..150).contains(count)),
        "{bins:?}"
    );
    let once: BTreeSet<u64> = (0..10).map(share).collect();
    assert_eq!(once, (0..10).map(share).collect(), "the same every time");
}
