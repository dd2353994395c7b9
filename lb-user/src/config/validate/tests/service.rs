use super::{SERVICES, check, found, said};

#[test]
fn what_a_service_must_have() {
    check(
        SERVICES,
        &[
            (
                "- name: web",
                "- colour: red",
                "7:5: services[0].name: missing, must be given\n7:5: services[0].colour: unknown key, allowed are name, address, port, protocol, forwarding, nat, scheduler, ring_size, grace, udp_grace, new_flow_budget, timeouts, persistence, fallback, health_check, on_failure, backends or quorum",
            ),
            (
                "address: 172.16.0.125",
                "",
                "7:5: services[0].address: missing, must be given",
            ),
            (
                "port: 80",
                "port:",
                "7:5: services[0].port: missing, must be given",
            ),
            (
                "port: 80",
                "port: 0",
                "9:11: services[0].port: `0` is not a whole number from 1 to 65535",
            ),
            (
                "port: 80",
                "port: 65536",
                "9:11: services[0].port: `65536` is not a whole number from 1 to 65535",
            ),
            (
                "port: 80",
                "port: [80]",
                "9:11: services[0].port: a list here, expected a whole number from 1 to 65535",
            ),
            (
                "protocol: tcp",
                "protocol: TCP",
                "10:15: services[0].protocol: `TCP` is not tcp or udp, did you mean `tcp`?",
            ),
            (
                "forwarding:",
                "forwarding: dr",
                "11:17: services[0].forwarding: `dr` is not direct_routing, tunnel or nat, did you mean `direct_routing`?",
            ),
            (
                "- name: web",
                "- name: my web",
                "7:11: services[0].name: `my web` is not a name (1 to 63 bytes, no white space or control characters)",
            ),
        ],
    );
}

#[test]
fn service_addresses_can_be_sent_to() {
    for (address, kind) in [
        ("0.0.0.0", "the unspecified address"),
        ("::", "the unspecified address"),
        ("224.0.0.18", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("255.255.255.255", "the broadcast address"),
        ("0.1.2.3", "a reserved address"),
        ("240.0.0.1", "a reserved address"),
        ("::ffff:10.0.0.1", "an IPv4 address in IPv6 clothes"),
    ] {
        let want = format!("{address} is {kind}, expected a host's address");
        let got = said(
            SERVICES,
            "address: 172.16.0.125",
            &format!("address: \"{address}\""),
        );
        assert!(got.ends_with(&want), "{got}");
        let got = said(
            SERVICES,
            "address: 172.16.0.101",
            &format!("address: \"{address}\""),
        );
        assert!(got.ends_with(&want), "{got}");
    }
}

#[test]
fn no_two_services_share_a_name_or_a_place() {
    check(
        SERVICES,
        &[
            (
                "- { name: dns,",
                "- { name: web, address: 172.16.0.125, port: 53, backends: [{ address: 172.16.0.111 }] }",
                "20:13: services[1].name: `web` is taken, by line 7: names must differ",
            ),
            (
                "- { name: dns,",
                "- { name: dns, address: 172.16.0.125, port: 80, backends: [{ address: 172.16.0.111 }] }",
                "20:27: services[1].address: 172.16.0.125:80/tcp is the service of line 8, each may be given once",
            ),
            (
                "- { name: dns,",
                "- { name: dns, address: 172.16.0.125, port: 80, protocol: udp, backends: [{ address: 172.16.0.111 }] }",
                "",
            ),
            (
                "- { name: dns,",
                "- { name: dns, address: 172.16.0.126, port: 80, backends: [{ address: 172.16.0.111 }] }",
                "",
            ),
        ],
    );
}

#[test]
fn only_nat_changes_ports() {
    let differs = |at, path, fwd| {
        format!(
            "{at}: services[0].{path}: 81 differs from the service's port 80: {fwd} cannot change it, only `forwarding: nat` can"
        )
    };
    check(
        SERVICES,
        &[
            ("weight: 1", "weight: 1", ""),
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.102, port: 81 }",
                &differs("19:52", "backends[1].port", "direct_routing"),
            ),
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.102, port: 81, forwarding: tunnel }",
                &differs("19:52", "backends[1].port", "tunnel"),
            ),
            (
                "grace:",
                "fallback: { address: 172.16.0.110, port: 81 }",
                &differs("12:46", "fallback.port", "direct_routing"),
            ),
            (
                "grace:",
                "fallback: { address: 172.16.0.110, port: 80 }",
                "",
            ),
        ],
    );
    let nat = SERVICES.replace("forwarding: direct_routing", "forwarding: nat");
    check(
        &nat,
        &[
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.102, port: 81 }",
                "",
            ),
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.101, port: 81 }",
                "",
            ),
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.102, forwarding: nat }",
                "",
            ),
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.102, forwarding: tunnel }",
                "19:58: services[0].backends[1].forwarding: tunnel in a service with nat: a service is either all nat or none",
            ),
            ("grace:", "nat: { masquerade: true }", ""),
            (
                "grace:",
                "fallback: { address: 172.16.0.110, port: 81 }",
                "",
            ),
        ],
    );
    check(
        SERVICES,
        &[
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.102, forwarding: nat }",
                "19:58: services[0].backends[1].forwarding: nat in a service with direct_routing: a service is either all nat or none",
            ),
            (
                "grace:",
                "nat: { masquerade: true }",
                "12:10: services[0].nat: warning: has no effect without `forwarding: nat`",
            ),
        ],
    );
}

#[test]
fn only_a_tunnel_crosses_families() {
    let crosses = |at, path, fwd| {
        format!(
            "{at}: services[0].{path}: fd00::1 is IPv6, the service is IPv4: {fwd} cannot change that, only `forwarding: tunnel` can"
        )
    };
    check(
        SERVICES,
        &[
            (
                "address: 172.16.0.101",
                "address: fd00::1",
                &crosses("16:18", "backends[0].address", "direct_routing"),
            ),
            (
                "address: 172.16.0.101",
                "address: fd00::1\nforwarding: tunnel",
                "",
            ),
            (
                "grace:",
                "fallback: { address: \"fd00::1\" }",
                &crosses("12:26", "fallback.address", "direct_routing"),
            ),
            (
                "address: 172.16.0.101",
                "address: fe80::1\nforwarding: tunnel",
                "16:18: services[0].backends[0].address: fe80::1 is link-local, expected an address that routes know",
            ),
        ],
    );
    let nat = SERVICES.replace("forwarding: direct_routing", "forwarding: nat");
    check(
        &nat,
        &[(
            "address: 172.16.0.101",
            "address: fd00::1",
            &crosses("16:18", "backends[0].address", "nat"),
        )],
    );
    let tunnel = SERVICES.replace("forwarding: direct_routing", "forwarding: tunnel");
    check(
        &tunnel,
        &[
            ("address: 172.16.0.101", "address: fd00::1", ""),
            ("grace:", "fallback: { address: \"fd00::1\" }", ""),
        ],
    );
}

#[test]
fn backends_of_a_service_differ() {
    check(
        SERVICES,
        &[
            (
                "- { name: web2",
                "- { name: web1, address: 172.16.0.102 }",
                "19:17: services[0].backends[1].name: `web1` is taken, by the backend of line 15: give this one a `name`",
            ),
            (
                "- { name: web2",
                "- { name: web2, address: 172.16.0.101 }",
                "19:32: services[0].backends[1].address: 172.16.0.101:80 is the backend of line 15, each may be given once",
            ),
            (
                "- { name: web2",
                "- { name: web1, address: 172.16.0.101 }",
                "19:32: services[0].backends[1].address: 172.16.0.101:80 is the backend of line 15, each may be given once",
            ),
            (
                "address: 172.16.0.101",
                "address: 172.16.0.125",
                "16:18: services[0].backends[0].address: 172.16.0.125 is the service's own address, expected the backend's",
            ),
            (
                "- { name: web2",
                "- 172.16.0.102",
                "19:9: services[0].backends[1]: `172.16.0.102` is not a mapping of keys to values",
            ),
        ],
    );
    // The second backend of that name has none of its own: the item is pointed at.
    let unnamed = SERVICES
        .replace("- name: web1", "- name: 172.16.0.102")
        .replace("{ name: web2, ", "{ ");
    let message = "f.yaml:19:9: services[0].backends[1]: `172.16.0.102` is taken, by the backend of line 15: give this one a `name`";
    assert_eq!(found(&unnamed).to_string(), message);
}

#[test]
fn weights_are_16_bits() {
    check(
        SERVICES,
        &[
            ("weight: 1", "weight: 65535", ""),
            (
                "weight: 1",
                "weight: 65536",
                "18:17: services[0].backends[0].weight: `65536` is not a whole number from 0 to 65535",
            ),
            (
                "weight: 1",
                "weight: -1",
                "18:17: services[0].backends[0].weight: `-1` is not a whole number from 0 to 65535",
            ),
            (
                "weight: 1",
                "weight: 1.5",
                "18:17: services[0].backends[0].weight: `1.5` is not a whole number from 0 to 65535",
            ),
            (
                "weight: 1",
                "wieght: 1",
                "18:9: services[0].backends[0].wieght: unknown key, did you mean `weight`?",
            ),
        ],
    );
}

#[test]
fn a_service_that_nobody_answers_for_is_warned_of() {
    let weightless = SERVICES
        .replace("weight: 1", "weight: 0")
        .replace("172.16.0.102 }", "172.16.0.102, weight: 0 }");
    assert_eq!(
        found(&weightless).to_string(),
        "f.yaml:15:7: services[0].backends: warning: all weights are 0: nobody takes new connections"
    );
    check(
        SERVICES,
        &[
            (
                "- { name: dns,",
                "- { name: dns, address: 172.16.0.125, port: 53 }",
                "20:5: services[1].backends: warning: no backends: nobody answers for this service",
            ),
            (
                "- { name: dns,",
                "- { name: dns, address: 172.16.0.125, port: 53, backends: [] }",
                "20:61: services[1].backends: warning: no backends: nobody answers for this service",
            ),
            (
                "- { name: dns,",
                "- { name: dns, address: 172.16.0.125, port: 53, fallback: { address: 172.16.0.111 } }",
                "",
            ),
        ],
    );
}

#[test]
fn durations_have_units_and_limits() {
    let range = "a duration from 0s to 168h, like `500ms`, `6s` or `2m`";
    check(
        SERVICES,
        &[
            (
                "grace:",
                "grace: 15",
                &format!("12:12: services[0].grace: `15` is not {range}"),
            ),
            (
                "grace:",
                "grace: -1s",
                &format!("12:12: services[0].grace: `-1s` is not {range}"),
            ),
            (
                "grace:",
                "grace: 169h",
                &format!("12:12: services[0].grace: `169h` is not {range}"),
            ),
            (
                "grace:",
                "grace: {}",
                &format!("12:12: services[0].grace: a mapping here, expected {range}"),
            ),
            ("grace:", "grace: 0s", ""),
            ("grace:", "udp_grace: 0", ""),
            (
                "grace:",
                "udp_grace: soon",
                &format!("12:16: services[0].udp_grace: `soon` is not {range}"),
            ),
            (
                "grace:",
                "timeouts: { syn: 0s }",
                "12:22: services[0].timeouts.syn: `0s` is not a duration from 1s to 168h, like `500ms`, `6s` or `2m`",
            ),
            (
                "grace:",
                "timeouts: { fin: 1s }",
                "12:17: services[0].timeouts.fin: unknown key, allowed are syn, established, closing or udp",
            ),
            (
                "grace:",
                "timeouts: { syn: 5s, established: 1h, closing: 1s, udp: 10s }",
                "",
            ),
            (
                "grace:",
                "new_flow_budget: 4294967296",
                "12:22: services[0].new_flow_budget: `4294967296` is not a whole number from 0 to 4294967295",
            ),
            ("grace:", "new_flow_budget: 0", ""),
        ],
    );
}

#[test]
fn a_ring_holds_all_backends() {
    check(
        SERVICES,
        &[
            ("grace:", "ring_size: 65537", ""),
            ("grace:", "ring_size: 1000", ""),
            ("grace:", "ring_size: 0", ""),
            ("grace:", "ring_size: 1048573", ""),
            (
                "grace:",
                "ring_size: 1048574",
                "12:16: services[0].ring_size: `1048574` is not a whole number from 0 to 1048573",
            ),
            (
                "grace:",
                "ring_size: 1",
                "12:16: services[0].ring_size: 1 slots for 2 backends, each needs at least one",
            ),
        ],
    );
}

#[test]
fn persistence_has_a_timeout_and_a_prefix_of_the_family() {
    check(
        SERVICES,
        &[
            (
                "grace:",
                "persistence: { timeout: 50s, prefix_length: 32 }",
                "",
            ),
            (
                "grace:",
                "persistence: { timeout: 50s, prefix_length: 33 }",
                "12:49: services[0].persistence.prefix_length: `33` is not a whole number from 1 to 32",
            ),
            (
                "grace:",
                "persistence: { timeout: 50s, prefix_length: 0 }",
                "12:49: services[0].persistence.prefix_length: `0` is not a whole number from 1 to 32",
            ),
            (
                "grace:",
                "persistence: {}",
                "12:18: services[0].persistence.timeout: missing, must be given",
            ),
            (
                "grace:",
                "persistence: 50s",
                "12:18: services[0].persistence: `50s` is not a mapping of keys to values",
            ),
        ],
    );
    let v6 = "datapath: { interfaces: [eth0] }\nservices:\n  - name: web\n    address: fd00::80\n    port: 80\n    grace: 1m\n    backends: [{ address: \"fd00::1\" }]\n";
    check(
        v6,
        &[
            (
                "grace:",
                "persistence: { timeout: 50s, prefix_length: 64 }",
                "",
            ),
            (
                "grace:",
                "persistence: { timeout: 50s, prefix_length: 129 }",
                "6:49: services[0].persistence.prefix_length: `129` is not a whole number from 1 to 128",
            ),
        ],
    );
    let default = found(&v6.replace("grace: 1m", "persistence: { timeout: 1m }"));
    assert!(default.is_empty(), "{default}");
}

#[test]
fn a_quorum_can_be_reached() {
    check(
        SERVICES,
        &[
            ("grace:", "quorum: { up: 2, hysteresis: 0 }", ""),
            (
                "grace:",
                "quorum: { up: 0 }",
                "12:19: services[0].quorum.up: `0` is not a whole number from 1 to 4294967295",
            ),
            (
                "grace:",
                "quorum: { up: 2, hysteresis: 2 }",
                "12:34: services[0].quorum.hysteresis: 2 must be less than `up`, which is 2",
            ),
            (
                "grace:",
                "quorum: { up: 3 }",
                "12:13: services[0].quorum: warning: can never be reached: all weights together are 2",
            ),
            (
                "grace:",
                "quorum: { up: 2, hysteresis: 1 }",
                "12:13: services[0].quorum: warning: can never be reached: all weights together are 2",
            ),
            (
                "grace:",
                "quorum: { on_up: /bin/true }",
                "12:22: services[0].quorum.on_up: `/bin/true` is not a list of a program and its arguments, like `[/usr/bin/pidof, haproxy]`",
            ),
            (
                "grace:",
                "quorum: { on_up: [true] }",
                "12:23: services[0].quorum.on_up[0]: `true` is not an absolute path",
            ),
            (
                "grace:",
                "quorum: { on_up: [] }",
                "12:22: services[0].quorum.on_up: empty, expected a program and its arguments",
            ),
        ],
    );
}

#[test]
fn limits_hold() {
    let mut text = "datapath: { interfaces: [eth0] }\nservices:\n".to_owned();
    for n in 0..4097 {
        text += &format!(
            "  - {{ name: s{n}, address: 10.0.0.1, port: {}, backends: [{{ address: 10.0.0.2 }}] }}\n",
            n + 1
        );
    }
    assert_eq!(
        found(&text).to_string(),
        "f.yaml:3:3: services: 4097 items, at most 4096 are allowed"
    );

    let mut text = "datapath: { interfaces: [eth0] }\nservices:\n  - name: s\n    address: 9.0.0.1\n    port: 80\n    backends:\n".to_owned();
    for n in 0..65_536 {
        text += &format!("      - {{ address: 10.0.{}.{} }}\n", n / 256, n % 256);
    }
    let got = found(&text).to_string();
    assert_eq!(
        got,
        "f.yaml:3:5: services[0].backends: more than 65535 backends in all services together"
    );
    let (fits, _) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(found(fits).to_string(), "");
}
