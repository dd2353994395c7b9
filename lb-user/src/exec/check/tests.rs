use super::check_config;
use crate::{
    config::{Severity, validate_str},
    exec::tests::{guarded_dir, is_root, script_file},
};

/// What is found in a file, as `check` would print it. `GOOD` and `BAD` stand for scripts.
fn found(yaml: &str) -> Vec<String> {
    let (good, bad) = (guarded_dir(), tempfile::tempdir_in("/tmp").unwrap());
    let good = script_file(good.path(), "x.sh", "#!/bin/sh\n", 0o755);
    let bad = script_file(bad.path(), "x.sh", "#!/bin/sh\n", 0o755);
    let yaml = yaml
        .replace("GOOD", good.to_str().unwrap())
        .replace("BAD", bad.to_str().unwrap());
    let loaded = validate_str("b.yaml", &yaml).unwrap();
    let found = check_config(&loaded).into_iter();
    // Without columns, which depend on how long the names of the directories are, and without modes and remedies.
    let lines = found.map(|(place, unfit)| {
        let line = loaded.diagnostic(&place, Severity::Error, "").line;
        let unfit = unfit.to_string();
        let what = unfit.split(" (mode").next().unwrap_or_default();
        format!("b.yaml:{line}: {place}: {what}")
    });
    lines.collect()
}

#[test]
fn every_program_of_a_configuration_is_looked_at() {
    if !is_root() {
        return;
    }
    let yaml = r"
datapath: { interfaces: [eth0] }
vrrp_instances:
  - name: i
    interface: eth0
    virtual_router_id: 1
    virtual_addresses: [10.0.0.9/24]
    notify: { master: [GOOD], backup: [BAD], fault: [BAD], stop: [BAD], any: [BAD] }
vrrp_sync_groups:
  - { name: g, members: [i], notify: { any: [/bin/sh, BAD] } }
scripts:
  - { name: one, command: [GOOD], user: nobody }
  - { name: two, command: [BAD], user: nobody-at-all }
services:
  - name: web
    address: 10.0.0.9
    port: 80
    quorum: { up: 1, on_up: [BAD], on_down: [BAD] }
    health_check: { script: { command: [BAD], user: nobody } }
    backends:
      - { address: 10.0.0.11 }
      - { address: 10.0.0.12 }
      - { address: 10.0.0.13, health_check: { script: { command: [BAD], user: nobody } } }
      - { address: 10.0.0.14, health_check: { tcp: {} } }
alerts: { command: [BAD] }
";
    let bad = "refused: others than root can write to /tmp";
    let expected = [
        format!("b.yaml:8: vrrp_instances[0].notify.backup: {bad}"),
        format!("b.yaml:8: vrrp_instances[0].notify.fault: {bad}"),
        format!("b.yaml:8: vrrp_instances[0].notify.stop: {bad}"),
        format!("b.yaml:8: vrrp_instances[0].notify.any: {bad}"),
        format!("b.yaml:10: vrrp_sync_groups[0].notify.any: {bad}"),
        format!("b.yaml:13: scripts[1].command: {bad}"),
        "b.yaml:13: scripts[1].user: there is no user `nobody-at-all`, create it with `useradd --system nobody-at-all` or name another".to_owned(),
        format!("b.yaml:18: services[0].quorum.on_up: {bad}"),
        format!("b.yaml:18: services[0].quorum.on_down: {bad}"),
        format!("b.yaml:19: services[0].health_check.script.command: {bad}"),
        format!("b.yaml:23: services[0].backends[2].health_check.script.command: {bad}"),
        format!("b.yaml:25: alerts.command: {bad}"),
    ];
    assert_eq!(found(yaml), expected);
}

#[test]
fn a_configuration_of_good_programs_has_nothing() {
    if !is_root() {
        return;
    }
    let yaml = r"
vrrp_instances: [{ name: i, interface: eth0, virtual_router_id: 1, notify: { any: [GOOD] } }]
scripts: [{ name: one, command: [GOOD], user: root }]
";
    assert_eq!(found(yaml), [""; 0]);
}
