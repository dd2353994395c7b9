//! Whole files: what comes out of them, and what no file may do.

mod bad;
mod properties;

use super::*;
use crate::config;

/// The published setups and two files that use all there is.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "s0-lb1.conf",
        include_str!("../../../tests/fixtures/keepalived/s0-lb1.conf"),
    ),
    (
        "s0-lb2.conf",
        include_str!("../../../tests/fixtures/keepalived/s0-lb2.conf"),
    ),
    (
        "s1-vm1.conf",
        include_str!("../../../tests/fixtures/keepalived/s1-vm1.conf"),
    ),
    (
        "s2-ka1.conf",
        include_str!("../../../tests/fixtures/keepalived/s2-ka1.conf"),
    ),
    (
        "s3-primary.conf",
        include_str!("../../../tests/fixtures/keepalived/s3-primary.conf"),
    ),
    (
        "s4-lb02.conf",
        include_str!("../../../tests/fixtures/keepalived/s4-lb02.conf"),
    ),
    (
        "vocabulary.conf",
        include_str!("../../../tests/fixtures/keepalived/vocabulary.conf"),
    ),
];
const ONE_LINE: &[(&str, &str)] = &[
    (
        "s0-oneline.conf",
        include_str!("../../../tests/fixtures/keepalived/s0-oneline.conf"),
    ),
    (
        "s2-oneline.conf",
        include_str!("../../../tests/fixtures/keepalived/s2-oneline.conf"),
    ),
];
const IPVSADM: &str = include_str!("../../../tests/fixtures/keepalived/ipvsadm.save");

/// What becomes of a text for a host called `main`.
pub(super) fn run(name: &str, text: &str) -> Imported {
    let options = Options {
        config_id: "main".to_owned(),
        interfaces: Vec::new(),
    };
    keepalived(Source::text(name, text), &options)
}

/// What was found, a line each.
pub(super) fn told(imported: &Imported) -> Vec<String> {
    imported.findings.iter().map(ToString::to_string).collect()
}

/// Findings and document, for a snapshot.
fn shown(imported: &Imported) -> String {
    let findings = told(imported).join("\n");
    let yaml = imported
        .yaml
        .as_deref()
        .unwrap_or("nothing usable came out\n");
    format!("{findings}\n\n{yaml}")
}

/// The configuration that a document is.
pub(super) fn accepted(imported: &Imported) -> config::Config {
    let yaml = imported.yaml.as_ref().expect("something usable");
    match config::validate_str("imported.yaml", yaml) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n{yaml}"),
    }
}

#[test]
fn the_published_setups_and_the_whole_vocabulary_are_imported_as_shown() {
    for (name, text) in FILES {
        let imported = run(name, text);
        accepted(&imported);
        insta::assert_snapshot!(*name, shown(&imported));
    }
}

#[test]
fn files_that_lost_their_line_breaks_are_refused_with_the_line() {
    for (name, text) in ONE_LINE {
        let imported = run(name, text);
        assert_eq!(imported.yaml, None);
        insta::assert_snapshot!(*name, shown(&imported));
    }
}

#[test]
fn what_ipvsadm_saved_is_imported_as_shown() {
    let imported = ipvsadm(Source::text("ipvsadm.save", IPVSADM), &Options::default());
    accepted(&imported);
    insta::assert_snapshot!("ipvsadm.save", shown(&imported));
}

#[test]
fn the_interfaces_of_traffic_can_be_given() {
    let options = Options {
        interfaces: vec!["bond0".to_owned()],
        ..Options::default()
    };
    let imported = keepalived(Source::text("s0", FILES[0].1), &options);
    assert_eq!(accepted(&imported).datapath.interfaces[0].as_str(), "bond0");
}

#[test]
fn a_check_that_all_real_servers_have_is_the_service_s() {
    let imported = run("s4", FILES[5].1);
    assert_eq!(imported.yaml.unwrap().matches("health_check").count(), 1);
}

#[test]
fn what_keepalived_assumes_is_written() {
    let text = "\
vrrp_instance A {
  interface eth0
  state MASTER
  virtual_router_id 7
  unicast_peer {
    10.9.0.2
  }
  virtual_ipaddress {
    10.0.0.1
  }
}
virtual_server 10.0.0.1 53 {
  real_server 10.0.0.2 53 {
    DNS_CHECK {
    }
  }
}
";
    let imported = run("x.conf", text);
    let config = accepted(&imported);
    assert_eq!(config.vrrp_instances[0].priority.get(), 255);
    assert!(!config.vrrp_instances[0].unicast.as_ref().unwrap().ttl_check);
    let service = &config.services[0];
    assert_eq!(service.protocol.to_string(), "udp");
    assert_eq!(service.forwarding.to_string(), "nat");
    assert_eq!(service.scheduler.to_string(), "wlc");
    let check = service.backends[0].health_check.check().unwrap();
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs()), (60, 5));
    assert_eq!((check.retries, check.retry_delay.as_secs()), (3, 60));
}

#[test]
fn the_words_of_newer_versions_are_known() {
    let text = "\
global_defs {
  notification_email {
    \"The admins <ops@example.com>\"
    noc@example.com
  }
  notification_email_from lb@example.com
}
vrrp_instance A {
  interface eth0
  virtual_router_id 7
  version 3
  v3_checksum_as_v2
  no_virtual_ipaddress
  notify_master /etc/master.sh root :root
}
virtual_server 10.0.0.1 80 {
  protocol TCP
  weight 5
  real_server 10.0.0.2 80 {
  }
  real_server 10.0.0.3 80 {
    weight 2
  }
}
";
    let imported = run("x.conf", text);
    let config = accepted(&imported);
    assert_eq!(config.vrrp_instances[0].checksum.to_string(), "rfc9568");
    let smtp = config.alerts.smtp.unwrap();
    assert_eq!(smtp.to, ["ops@example.com", "noc@example.com"]);
    let weights: Vec<u16> = config.services[0]
        .backends
        .iter()
        .map(|b| b.weight.get())
        .collect();
    assert_eq!(weights, [5, 2]);
    assert!(
        told(&imported)
            .iter()
            .all(|t| !t.contains("unknown") && !t.contains("no virtual address"))
    );
}

#[test]
fn ranges_of_addresses_are_services() {
    let text = "\
virtual_server_group G {
  10.0.0.254-10.0.1.1 80
  fd00::8-a 80
  192.0.2.0/30 443
  10.0.0.0/8 1
  10.0.0.9-1 80
}
virtual_server group G {
  protocol TCP
  lb_kind TUN
  real_server 172.16.0.1 80 {
  }
}
";
    let imported = run("x.conf", text);
    let services = accepted(&imported).services;
    let addresses: Vec<String> = services.iter().map(|s| s.address.to_string()).collect();
    assert_eq!(
        addresses,
        [
            "10.0.0.254",
            "10.0.0.255",
            "10.0.1.0",
            "10.0.1.1",
            "fd00::8",
            "fd00::9",
            "fd00::a",
            "192.0.2.0",
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.3"
        ]
    );
    let told = told(&imported);
    assert!(
        told.iter()
            .any(|t| t.contains("x.conf:5: error: `10.0.0.0/8` is more than")),
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|t| t.contains("x.conf:6: error: `10.0.0.9-1` is no address")),
        "{told:?}"
    );
}
