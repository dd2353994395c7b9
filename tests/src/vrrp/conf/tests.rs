use std::time::Duration;

use super::super::{Version, VirtualRouter, keepalived_conf};

#[test]
fn a_virtual_router_reads_like_one_written_by_hand() {
    let routers = [
        VirtualRouter::new("A", 51, Version::V2)
            .password("1111")
            .address([10, 0, 0, 125]),
        VirtualRouter::new("B", 52, Version::V3)
            .interval(Duration::from_millis(10))
            .unicast([10, 0, 0, 2], [10, 0, 0, 3])
            .no_preempt()
            .address([10, 0, 0, 126]),
    ];
    let conf = keepalived_conf("lb1", &routers);
    let from = conf.find("vrrp_instance").unwrap();
    assert_eq!(
        &conf[from..],
        "vrrp_instance A {
    version 2
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        10.0.0.125/32
    }
}
vrrp_instance B {
    version 3
    state BACKUP
    interface eth0
    virtual_router_id 52
    priority 100
    advert_int 0.01
    nopreempt
    unicast_src_ip 10.0.0.2
    unicast_peer {
        10.0.0.3
    }
    virtual_ipaddress {
        10.0.0.126/32
    }
}
"
    );
}
