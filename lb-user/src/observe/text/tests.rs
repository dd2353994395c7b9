use std::collections::BTreeMap;

use super::*;
use crate::observe::snapshot::*;

fn backend(name: &str, state: BackendState, slots: u32, reason: Option<&str>) -> Backend {
    Backend {
        name: name.to_owned(),
        address: "10.0.0.11".parse().unwrap(),
        port: 80,
        weight: 1,
        said: None,
        forwarding: "direct_routing".to_owned(),
        state,
        reason: reason.map(str::to_owned),
        health: None,
        next_hop: None,
        path_mtu: 1500,
        slots,
        connections: None,
        flows: BackendFlows {
            active: slots / 4,
            new: 2,
            ..BackendFlows::default()
        },
        traffic: Traffic {
            packets: 1200,
            bytes: 99_000,
            new_flows: 40,
            packets_per_second: 12.4,
        },
    }
}

pub(in crate::observe) fn snapshot() -> Snapshot {
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
            reloads: Reloads::default(),
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
            connection_table: ConnectionTable {
                flows: 300,
                clients: 20,
                places: 4 << 20,
                bytes: 64 << 20,
                age_seconds: Some(2),
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
            moved_slots: 12,
            flows: ServiceFlows {
                remembered: 254,
                clients: 20,
                with_removed: 1,
                hits: 10_000,
                misses: 400,
                inserts: 300,
                to_previous: 17,
                ..ServiceFlows::default()
            },
            traffic: Traffic {
                packets: 2400,
                bytes: 198_000,
                new_flows: 80,
                packets_per_second: 24.8,
            },
            quorum: None,
            fallback: None,
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
        checks: CheckLoad::default(),
        listener: None,
        alerts: Vec::new(),
    }
}

#[test]
fn a_listener_that_does_not_listen_and_alerts_that_do_not_arrive_are_problems() {
    let mut document = snapshot();
    document.listener = Some(Listener {
        listen: "127.0.0.1:9191".parse().unwrap(),
        problem: None,
    });
    document.alerts = vec![AlertWay {
        by: "smtp".to_owned(),
        sent: 1,
        failed: 2,
        left_out: 0,
        waiting: 3,
        problem: None,
    }];
    let fine = screen(&document);
    assert!(fine.contains("\nmetrics     127.0.0.1:9191\n"), "{fine}");
    assert!(!fine.contains("alerts"), "{fine}");
    document.listener.as_mut().unwrap().problem = Some("address already in use".to_owned());
    document.alerts[0].problem = Some("192.168.200.1 port 25: timed out".to_owned());
    let bad = screen(&document);
    for problem in [
        "\nPROBLEM     no metrics on 127.0.0.1:9191: address already in use\n",
        "\nPROBLEM     alerts by smtp do not arrive, 3 changes wait: 192.168.200.1 port 25: timed out\n",
    ] {
        assert!(bad.contains(problem), "{bad}");
    }
}

#[test]
fn a_screen_shows_what_runs_where_and_why() {
    let expected = "\
ballast 0.1.0 on lb01, pid 42, up 1h 1m 40s
config      /etc/ballast/ballast.yaml
datapath    XDP generic on eth0 (the driver has no native XDP)
ring memory 292 KiB of 256 MiB
connections 300 flows and 20 clients in 4194304 places

vrrp        FloatIP01  eth0  vrid 1    BACKUP  priority 80 (configured 100), master 10.9.0.2 (priority 110), advert 312 ms ago, 2 transitions, 10.9.0.2 has the higher priority 110
              script chk_haproxy failed: -20
              PROBLEM the peer has other virtual addresses: 172.16.0.126 there, 172.16.0.125 here
              adverts ignored: checksum 3
              master to backup at 1970-01-01T00:00:01Z: 10.9.0.2 has the higher priority 110
            group VG1: BACKUP (FloatIP01)

web  172.16.0.125:80/tcp  maglev  ring 1009  25 packets/s, 2400 packets, 193 KiB, 80 new flows
  254 flows remembered, 1 of them with removed backends, 20 clients, 12 slots moved; 10000 hits, 400 misses, 300 remembered, 17 to a previous owner
  BACKEND  ADDRESS       FORWARDING      WEIGHT          SLOTS  STATE       FLOWS  PACKETS/S  PACKETS  NEW FLOWS
  web1     10.0.0.11:80  direct_routing       1  1009 (100.0%)  up            254         12     1200         40
  second   10.0.0.11:80  direct_routing       1              0  unresolved      2         12     1200         40  no answer to ARP

dropped     fragment 3
";
    assert_eq!(screen(&snapshot()), expected);
}

#[test]
fn what_the_operator_said_and_a_lost_quorum_are_on_the_screen() {
    let mut snapshot = snapshot();
    let service = &mut snapshot.services[0];
    service.quorum = Some(Quorum {
        up: false,
        for_seconds: 75,
        weight: 1,
        needed: 2,
        hysteresis: 0,
    });
    service.fallback = Some(Fallback {
        address: "10.0.0.9".parse().unwrap(),
        port: 80,
        serves: true,
        next_hop: None,
        traffic: Traffic::default(),
    });
    let said = |mode: &str, weight| {
        Some(Override {
            mode: mode.to_owned(),
            weight,
            since_unix: 0,
            for_seconds: 5,
        })
    };
    let down = Some("down: connection refused");
    service.backends = vec![
        backend(
            "one",
            BackendState::NoNewFlows,
            0,
            Some("drained by the operator"),
        ),
        backend("two", BackendState::Down, 0, down),
        backend("three", BackendState::Up, 0, None),
    ];
    service.backends[0].said = said("drained", None);
    service.backends[1].said = said("drained", Some(9));
    service.backends[2].said = said("enabled", Some(3));
    let screen = screen(&snapshot);
    for expected in [
        "\n  BELOW QUORUM for 1m 15s: weight 1 of 2 serves\n",
        "\n  the fallback 10.0.0.9:80 serves: 0 packets/s, 0 packets; the way to it is not known\n",
        "  operator: drained for 5s\n",
        "  down: connection refused; operator: drained, weight 9 instead of 1 for 5s\n",
        "  operator: weight 3 instead of 1 for 5s\n",
    ] {
        assert!(
            screen.contains(expected),
            "{expected:?} is not in:\n{screen}"
        );
    }
    assert!(!screen.contains("by the operator"), "{screen}");
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
