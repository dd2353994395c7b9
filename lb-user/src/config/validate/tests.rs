//! Every refusal and every warning: a valid file with one thing changed, and the one line that comes of it.

use crate::config::{Diagnostics, validate_str};

/// A file with a pair of services and everything they need. Cases change single lines of it.
const SERVICES: &str = "\
runtime_dir: /run/ballast
bpffs_dir: /sys/fs/bpf/ballast
datapath:
  interfaces: [eth0]
  engine: auto
services:
  - name: web
    address: 172.16.0.125
    port: 80
    protocol: tcp
    forwarding: direct_routing
    grace: 15m
    health_check: none
    backends:
      - name: web1
        address: 172.16.0.101
        port: 80
        weight: 1
      - { name: web2, address: 172.16.0.102 }
  - { name: dns, address: 172.16.0.125, port: 53, protocol: udp, backends: [{ address: 172.16.0.111 }] }
";

/// The same for VRRP.
const VRRP: &str = "\
vrrp_instances:
  - name: A
    interface: eth0
    virtual_router_id: 1
    version: 3
    priority: 100
    advertisement_interval: 1s
    preempt: true
    virtual_addresses: [172.16.0.125/25]
  - { name: B, interface: eth0, virtual_router_id: 2, virtual_addresses: [172.16.0.126/25] }
vrrp_sync_groups:
  - { name: G, members: [A, B] }
scripts:
  - { name: chk, command: [/bin/true], user: nobody }
";

/// What is said about `base` with the line that begins with `from` (and its indentation) replaced by `to`; errors and warnings.
fn said(base: &str, from: &str, to: &str) -> String {
    let lines: Vec<&str> = base.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.trim_start().starts_with(from))
        .expect("the line is there");
    let indent = &lines[at][..lines[at].len() - lines[at].trim_start().len()];
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        if n == at {
            to.lines()
                .for_each(|new| text += &format!("{indent}{new}\n"));
        } else {
            text += &format!("{line}\n");
        }
    }
    found(&text).to_string().replace("f.yaml:", "")
}

fn found(text: &str) -> Diagnostics {
    match validate_str("f.yaml", text) {
        Ok(loaded) => loaded.warnings,
        Err(error) => error.diagnostics().expect("text can be read").clone(),
    }
}

/// Runs a table of (line to replace, its replacement, all that must be said).
fn check(base: &str, cases: &[(&str, &str, &str)]) {
    assert_eq!(found(base).to_string(), "", "the base is valid");
    let failed: Vec<String> = cases
        .iter()
        .map(|(from, to, want)| (to, want, said(base, from, to)))
        .filter(|(_, want, got)| got != *want)
        .map(|(to, want, got)| format!("{to}\n  want {want}\n  got  {got}\n"))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

mod datapath;
mod health;
mod rest;
mod service;
mod virtual_router;
