use serde_json::json;

use super::read;

#[test]
fn the_documented_form_is_read() {
    let status = json!({ "vrrp": [{
        "name": "VI_1", "interface": "eth0", "virtual_router_id": 51, "state": "master",
        "priority": 100, "effective_priority": 102,
        "reasons": [{ "tracker": "process haproxy", "weight": 2 }],
        "master": "10.0.0.2", "last_advert_age_ms": 12, "transitions": 3,
        "last_transition": { "from": "backup", "to": "master", "reason": "master down", "at": "2026-11-21T07:00:00Z" },
        "counters": { "sent": 5, "received": 7, "dropped": { "ttl": 1, "checksum": 2 } },
    }] });
    let [instance] = read(&status).unwrap().try_into().unwrap();
    assert_eq!(instance.state, "master");
    assert_eq!(instance.counters.dropped_in_all(), 3);
    assert_eq!(instance.last_transition.unwrap().reason, "master down");
}
