use super::*;
use crate::config;

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
    let table = compose([&service], &Parts::default());
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
    let keys: Vec<_> = service
        .backends
        .iter()
        .map(|b| (service.key(), b.key()))
        .collect();
    let mut parts = Parts::default();
    parts.backends.insert(keys[0], Part::Keeps);
    parts.backends.insert(keys[1], Part::Out);
    assert_eq!(
        weights(&compose([&service], &parts)),
        [("172.16.0.101:8080".into(), 0)]
    );
    parts.fallbacks.insert(service.key());
    assert_eq!(
        weights(&compose([&service], &parts)),
        [
            ("172.16.0.101:8080".into(), 0),
            ("172.16.0.110:81".into(), 1)
        ]
    );
}

#[test]
fn direct_routing_and_tunnel_are_ipvss_own() {
    let service = services(
        "  - { name: web, address: 10.0.0.125, port: 53, protocol: udp,\n      \
         backends: [{ address: 172.16.0.101 }, { address: 172.16.0.102, forwarding: tunnel, weight: 0 }] }\n",
    );
    let table = compose(&service, &Parts::default());
    let (key, entry) = table.iter().next().unwrap();
    assert_eq!(key.to_string(), "10.0.0.125:53/udp");
    let methods: Vec<_> = entry.destinations.values().map(|d| d.method).collect();
    assert_eq!(methods, [Method::DirectRouting, Method::Tunnel]);
    assert_eq!(weights(&table)[1].1, 0);
    assert!(!entry.settings.flags.has(Flags::PERSISTENT));
    assert_eq!(entry.settings.prefix_length, 32);
}
