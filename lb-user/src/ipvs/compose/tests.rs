use super::*;
use crate::{
    config::{self, model::BackendKey},
    dataplane::compose::Change,
};

/// The services of a document with `datapath` added.
fn services(text: &str) -> Vec<Service> {
    let text = format!("datapath: {{ interfaces: [eth0] }}\nservices:\n{text}");
    config::validate_str("t.yaml", &text)
        .unwrap()
        .config
        .services
}

fn nat() -> Service {
    services(
        "  - { name: web, address: 10.0.0.125, port: 80, forwarding: nat, persistence: { timeout: 1500ms, prefix_length: 24 },\n      \
         fallback: { address: 172.16.0.110, port: 81 },\n      \
         backends: [{ address: 172.16.0.101, port: 8080, weight: 3 }, { address: 172.16.0.102, port: 8081 }] }\n",
    )
    .remove(0)
}

fn weights(table: &Table) -> Vec<(String, u32)> {
    let service = table.values().next().unwrap();
    let servers = service.destinations.iter();
    servers
        .map(|(key, destination)| (key.to_string(), destination.weight))
        .collect()
}

#[test]
fn a_nat_service_masquerades_to_the_backends_own_ports() {
    let service = nat();
    let table = compose([&service], &Changes::new());
    let (key, entry) = table.iter().next().unwrap();
    assert_eq!(key.to_string(), "10.0.0.125:80/tcp");
    assert_eq!(
        weights(&table),
        [
            ("172.16.0.101:8080".into(), 3),
            ("172.16.0.102:8081".into(), 1)
        ]
    );
    assert!(
        entry
            .destinations
            .values()
            .all(|d| d.method == Method::Masquerade)
    );
    assert_eq!(entry.settings.scheduler, "mh");
    assert!(
        entry
            .settings
            .flags
            .has(Flags::PERSISTENT.with(Flags::HASH_PORT))
    );
    assert_eq!(
        (entry.settings.timeout, entry.settings.prefix_length),
        (2, 24)
    );
}

#[test]
fn a_backend_that_keeps_has_weight_0_and_one_that_is_out_no_entry() {
    let service = nat();
    let is = |backend: BackendKey, admission, weight| {
        let change = Change { admission, weight };
        ((service.key(), backend), change)
    };
    let [first, second] = [service.backends[0].key(), service.backends[1].key()];
    let mut changes = Changes::from([
        is(first, Admission::Closed, Some(9)),
        is(second, Admission::Out, None),
    ]);
    assert_eq!(
        weights(&compose([&service], &changes)),
        [("172.16.0.101:8080".into(), 0)]
    );
    let fallback = service.fallback.as_ref().unwrap().key();
    for admission in [Admission::Closed, Admission::Open] {
        changes.extend([
            is(fallback, Admission::Alone, None),
            is(first, admission, Some(9)),
        ]);
        assert_eq!(
            weights(&compose([&service], &changes)),
            [
                ("172.16.0.101:8080".into(), 0),
                ("172.16.0.110:81".into(), 1)
            ],
            "{admission:?}"
        );
    }
}

#[test]
fn the_operators_weight_goes_before_that_of_the_file_and_drained_is_weight_0() {
    let service = nat();
    let [first, second] = [service.backends[0].key(), service.backends[1].key()];
    let changes = Changes::from([
        (
            (service.key(), first),
            Change {
                weight: Some(7),
                ..Change::default()
            },
        ),
        (
            (service.key(), second),
            Change {
                admission: Admission::Drained,
                weight: Some(5),
            },
        ),
    ]);
    assert_eq!(
        weights(&compose([&service], &changes)),
        [
            ("172.16.0.101:8080".into(), 7),
            ("172.16.0.102:8081".into(), 0)
        ]
    );
}

#[test]
fn direct_routing_and_tunnel_are_ipvss_own() {
    let service = services(
        "  - { name: web, address: 10.0.0.125, port: 53, protocol: udp,\n      \
         backends: [{ address: 172.16.0.101 }, { address: 172.16.0.102, forwarding: tunnel, weight: 0 }] }\n",
    );
    let table = compose(&service, &Changes::new());
    let (key, entry) = table.iter().next().unwrap();
    assert_eq!(key.to_string(), "10.0.0.125:53/udp");
    let methods: Vec<_> = entry.destinations.values().map(|d| d.method).collect();
    assert_eq!(methods, [Method::DirectRouting, Method::Tunnel]);
    assert_eq!(weights(&table)[1].1, 0);
    assert!(!entry.settings.flags.has(Flags::PERSISTENT));
    assert_eq!(entry.settings.prefix_length, 32);
}
