use std::time::Duration;

use super::super::{Version, VirtualRouter, vrrp_yaml};

#[test]
fn a_virtual_router_reads_like_one_written_by_hand() {
    let router = VirtualRouter::new("VI_1", 51, Version::V3)
        .priority(101)
        .interval(Duration::from_millis(100))
        .address([10, 0, 0, 125])
        .unicast([10, 0, 0, 2], [10, 0, 0, 3])
        .no_preempt()
        .track(0);
    assert_eq!(
        vrrp_yaml(&[router]),
        r#"vrrp_instances:
  - name: VI_1
    interface: eth0
    virtual_router_id: 51
    version: 3
    priority: 101
    advertisement_interval: 100ms
    preempt: false
    unicast_source: "10.0.0.2"
    unicast_peers: ["10.0.0.3"]
    virtual_addresses: ["10.0.0.125/32"]
    track: { processes: [{ name: lab_tracked, weight: 0 }] }
"#
    );
}

#[test]
fn what_is_written_is_a_configuration_that_ballast_takes() {
    let routers = [
        VirtualRouter::new("A", 1, Version::V2)
            .password("1111")
            .address([10, 0, 0, 125]),
        VirtualRouter::new("B", 2, Version::V3)
            .priority(255)
            .address([10, 0, 0, 126])
            .yaml("garp: { refresh: 1s }"),
    ];
    let yaml = vrrp_yaml(&routers) + &super::sync_group("G", &["A", "B"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    let loaded = lb_user::config::load_and_validate(file.path());
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}
