use std::collections::BTreeMap;

use super::*;
use crate::observe::snapshot::*;

fn backend(name: &str, state: BackendState, slots: u32, reason: Option<&str>) -> Backend {
    Backend {
        name: name.to_owned(),
        address: "10.0.0.11".parse().unwrap(),
        port: 80,
        weight: 1,
        forwarding: "direct_routing".to_owned(),
        state,
        reason: reason.map(str::to_owned),
        health: None,
        next_hop: None,
        slots,
        connections: None,
        traffic: Traffic {
            packets: 1200,
            bytes: 99_000,
            new_flows: 40,
            packets_per_second: 12.4,
        },
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        schema_version: SCHEMA_VERSION,
        version: "0.1.0".to_owned(),
        router_id: "lb01".to_owned(),
        pid: 42,
        uptime_seconds: 3700,
        config: ConfigState {
            file: "/etc/ballast/ballast.yaml".to_owned(),
            last_reload: Reload {
                ok: true,
                error: None,
                at_unix: 0,
            },
        },
        datapath: Some(Datapath {
            interfaces: vec![Interface {
                name: "eth0".to_owned(),
                ifindex: 2,
                mode: Some("generic".to_owned()),
                reason: Some("the driver has no native XDP".to_owned()),
            }],
            layout: 1,
            program_id: Some(7),
            trace: false,
            last_change: None,
            ring_memory: Memory {
                used: 300_000,
                total: 256 << 20,
            },
        }),
        ipvs: None,
        vrrp: vec![VirtualRouter {
            name: "FloatIP01".to_owned(),
            interface: "eth0".to_owned(),
            virtual_router_id: 1,
            state: "backup".to_owned(),
            reason: "10.9.0.2 has the higher priority 110".to_owned(),
            priority: 100,
            effective_priority: 80,
            reasons: vec!["script chk_haproxy failed: -20".to_owned()],
            source: Some("10.9.0.1".parse().unwrap()),
            master: Some("10.9.0.2".parse().unwrap()),
            master_priority: Some(110),
            last_advert_age_ms: Some(312),
            advertisement_interval_ms: 1000,
            virtual_addresses: vec!["172.16.0.125".parse().unwrap()],
            peer_virtual_addresses: Some(vec!["172.16.0.126".parse().unwrap()]),
            transitions: 2,
            last_transition: Some(RoleChange {
                from: "master".to_owned(),
                to: "backup".to_owned(),
                reason: "10.9.0.2 has the higher priority 110".to_owned(),
                at_unix_ms: 1_000,
            }),
            problem: None,
            counters: AdvertCounters {
                dropped: BTreeMap::from([("checksum".to_owned(), 3)]),
                ..AdvertCounters::default()
            },
        }],
        sync_groups: vec![SyncGroup {
            name: "VG1".to_owned(),
            state: "backup".to_owned(),
            members: vec!["FloatIP01".to_owned()],
        }],
        vrrp_unclaimed: BTreeMap::new(),
        vrrp_scheduling: None,
        trackers: Vec::new(),
        services: vec![Service {
            name: "web".to_owned(),
            address: "172.16.0.125".parse().unwrap(),
            port: 80,
            protocol: "tcp".to_owned(),
            forwarding: "direct_routing".to_owned(),
            scheduler: "maglev".to_owned(),
            engine: "xdp".to_owned(),
            engine_reason: None,
            ring_slots: 1009,
            traffic: Traffic {
                packets: 2400,
                bytes: 198_000,
                new_flows: 80,
                packets_per_second: 24.8,
            },
            backends: vec![
                backend("web1", BackendState::Up, 1009, None),
                backend(
                    "second",
                    BackendState::Unresolved,
                    0,
                    Some("no answer to ARP"),
                ),
            ],
        }],
        drops: [("fragment".to_owned(), 3), ("no_backend".to_owned(), 0)].into(),
        problem: None,
    }
}

#[test]
fn a_screen_shows_what_runs_where_and_why() {
    let expected = "\
ballast 0.1.0 on lb01, pid 42, up 1h 1m 40s
config      /etc/ballast/ballast.yaml
datapath    XDP generic on eth0 (the driver has no native XDP)
ring memory 292 KiB of 256 MiB

vrrp        FloatIP01  eth0  vrid 1    BACKUP  priority 80 (configured 100), master 10.9.0.2 (priority 110), advert 312 ms ago, 2 transitions, 10.9.0.2 has the higher priority 110
              script chk_haproxy failed: -20
              PROBLEM the peer has other virtual addresses: 172.16.0.126 there, 172.16.0.125 here
              adverts ignored: checksum 3
              master to backup at 1970-01-01T00:00:01Z: 10.9.0.2 has the higher priority 110
            group VG1: BACKUP (FloatIP01)

web  172.16.0.125:80/tcp  maglev  ring 1009  25 packets/s, 2400 packets, 193 KiB, 80 new flows
  BACKEND  ADDRESS       FORWARDING      WEIGHT          SLOTS  STATE       PACKETS/S  PACKETS  NEW FLOWS
  web1     10.0.0.11:80  direct_routing       1  1009 (100.0%)  up                 12     1200         40
  second   10.0.0.11:80  direct_routing       1              0  unresolved         12     1200         40  no answer to ARP

dropped     fragment 3
";
    assert_eq!(screen(&snapshot()), expected);
}

#[test]
fn trouble_stands_at_the_top() {
    let mut snapshot = snapshot();
    snapshot.config.last_reload = Reload {
        ok: false,
        error: Some("a.yaml:1:2: x: bad\na.yaml:3:4: y: bad".to_owned()),
        at_unix: 9,
    };
    snapshot.problem = Some("interface eth1 is missing".to_owned());
    snapshot.datapath = None;
    let expected = "\
ballast 0.1.0 on lb01, pid 42, up 1h 1m 40s
config      /etc/ballast/ballast.yaml: NOT taken over, the one before is in force:
            a.yaml:1:2: x: bad
            a.yaml:3:4: y: bad
datapath    none: there are no services
PROBLEM     interface eth1 is missing
";
    assert!(
        screen(&snapshot).starts_with(expected),
        "{}",
        screen(&snapshot)
    );
}

#[test]
fn the_document_keeps_its_fields() {
    let json = serde_json::to_value(snapshot()).unwrap();
    let back: Snapshot = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(back, snapshot());
    let backend = &json["services"][0]["backends"][1];
    assert_eq!(backend["state"], "unresolved");
    assert_eq!(backend["packets"], 1200);
    assert_eq!(json["datapath"]["interfaces"][0]["mode"], "generic");
}
