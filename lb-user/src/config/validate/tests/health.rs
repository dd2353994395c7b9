use super::{SERVICES, check, found};

/// A check in place of the service's `none`.
fn service_check(cases: &[(&str, &str)]) {
    let lines: Vec<(String, String)> = cases
        .iter()
        .map(|(check, want)| {
            let want = want.split_once(": ").map_or(String::new(), |(at, rest)| {
                format!("13:{at}: services[0].health_check{rest}")
            });
            (format!("health_check: {check}"), want)
        })
        .collect();
    let cases: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|(to, want)| ("health_check:", to.as_str(), want.as_str()))
        .collect();
    check(SERVICES, &cases);
}

#[test]
fn every_probe_is_read() {
    service_check(&[
        ("none", ""),
        ("{ tcp: {} }", ""),
        ("{ tcp: }", ""),
        ("{ tcp: { port: 8080 } }", ""),
        ("{ interval: 1s }", ""),
        ("{ http: {} }", ""),
        ("{ https: { tls_verify: false } }", ""),
        ("{ dns: { name: example.com, type: AAAA } }", ""),
        ("{ udp: { payload: 0xdeadbeef, reply: \"0x00\" } }", ""),
        ("{ ping: {} }", ""),
        ("{ ping: }", ""),
        ("{ script: { command: [/bin/true], user: nobody } }", ""),
    ]);
}

#[test]
fn a_check_has_one_probe() {
    service_check(&[
        (
            "{ tcp: {}, http: {} }",
            "36: .http: a check has one probe, this one has `tcp` already",
        ),
        ("{ tpc: {} }", "21: .tpc: unknown key, did you mean `tcp`?"),
        (
            "off",
            "19: : expected `none` or a mapping with one of tcp, http, https, dns, udp, ping or script",
        ),
        (
            "tcp",
            "19: : expected `none` or a mapping with one of tcp, http, https, dns, udp, ping or script",
        ),
        (
            "{ tcp: 8080 }",
            "26: .tcp: `8080` is not a mapping of keys to values",
        ),
        (
            "{ tcp: { port: 0 } }",
            "34: .tcp.port: `0` is not a whole number from 1 to 65535",
        ),
        (
            "{ ping: { count: 3 } }",
            "29: .ping.count: unknown key, there are none here",
        ),
    ]);
}

#[test]
fn udp_has_no_probe_of_its_own() {
    let udp = SERVICES.replace("protocol: tcp", "protocol: udp");
    check(
        &udp,
        &[(
            "health_check:",
            "health_check: { interval: 1s }",
            "13:19: services[0].health_check: nothing to try, expected one of tcp, http, https, dns, udp, ping or script",
        )],
    );
}

#[test]
fn timings_are_in_their_ranges() {
    service_check(&[
        (
            "{ interval: 0s }",
            "31: .interval: `0s` is not a duration from 50ms to 24h, like `500ms`, `6s` or `2m`",
        ),
        (
            "{ timeout: 0s }",
            "30: .timeout: `0s` is not a duration from 10ms to 10m, like `500ms`, `6s` or `2m`",
        ),
        (
            "{ retries: -1 }",
            "30: .retries: `-1` is not a whole number from 0 to 1000",
        ),
        ("{ retries: 0, retry_delay: 0s }", ""),
        (
            "{ rise: 0 }",
            "27: .rise: `0` is not a whole number from 1 to 1000",
        ),
    ]);
}

#[test]
fn http_expectations_make_sense() {
    service_check(&[
        (
            "{ http: { paths: [] } }",
            "36: .http.paths: empty, expected at least one path like `{ path: / }`",
        ),
        (
            "{ http: { paths: [{ path: health }] } }",
            "45: .http.paths[0].path: `health` is no path, expected one like `/health`",
        ),
        (
            "{ http: { paths: [{ status: [] }] } }",
            "47: .http.paths[0].status: empty, expected at least one status code like `[200]`",
        ),
        (
            "{ http: { paths: [{ status: [99] }] } }",
            "48: .http.paths[0].status[0]: `99` is not a whole number from 100 to 599",
        ),
        (
            "{ http: { paths: [{ status: 200 }] } }",
            "47: .http.paths[0].status: `200` is not a list of status codes like `[200, 204]`",
        ),
        (
            "{ http: { paths: [{ digest: abc }] } }",
            "47: .http.paths[0].digest: `abc` is no MD5 digest, expected 32 hexadecimal digits",
        ),
        (
            "{ http: { paths: [{ body_regex: \"a(\" }] } }",
            "51: .http.paths[0].body_regex: `a(` is no regular expression: unclosed group",
        ),
        (
            "{ http: { tls_verify: true } }",
            "29: .http.tls_verify: unknown key, allowed are port, host or paths",
        ),
    ]);
}

#[test]
fn other_probes_make_sense() {
    service_check(&[
        ("{ dns: {} }", "26: .dns.name: missing, must be given"),
        (
            "{ dns: { name: a..b } }",
            "34: .dns.name: `a..b` is no domain name",
        ),
        (
            "{ dns: { name: a, type: PTR } }",
            "43: .dns.type: `PTR` is not A, AAAA, CNAME, MX, NS, SOA or TXT",
        ),
        (
            "{ udp: { payload: \"0x0\" } }",
            "37: .udp.payload: `0x0` is not hexadecimal, expected pairs of digits after `0x`",
        ),
        (
            "{ udp: { payload: \"0xzz\" } }",
            "37: .udp.payload: `0xzz` is not hexadecimal, expected pairs of digits after `0x`",
        ),
        (
            "{ script: { user: nobody } }",
            "29: .script.command: missing, must be given",
        ),
    ]);
}

#[test]
fn a_script_as_root_is_warned_of() {
    let warning = "warning: the script runs as root, give a `user` with fewer rights";
    service_check(&[
        (
            "{ script: { command: [/bin/true] } }",
            &format!("29: .script.user: {warning}"),
        ),
        (
            "{ script: { command: [/bin/true], user: root } }",
            &format!("59: .script.user: {warning}"),
        ),
    ]);
}

#[test]
fn a_source_has_the_family_of_the_backend() {
    service_check(&[
        ("{ source: 10.0.0.2 }", ""),
        (
            "{ source: \"fd00::2\" }",
            "29: .source: the source fd00::2 is IPv6, no backend is",
        ),
        (
            "{ source: 0.0.0.0 }",
            "29: .source: 0.0.0.0 is the unspecified address, expected a host's address",
        ),
    ]);
    let backend = SERVICES.replace(
        "172.16.0.102 }",
        "172.16.0.102, health_check: { source: \"fd00::2\" } }",
    );
    assert_eq!(
        found(&backend).to_string(),
        "f.yaml:19:70: services[0].backends[1].health_check.source: the source fd00::2 is IPv6, the backend is IPv4"
    );
}
