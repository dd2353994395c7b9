use super::*;
use crate::config;

#[test]
fn each_service_adds_what_it_wants_once() {
    let text = "datapath: { interfaces: [eth0] }\nservices:\n  \
        - { name: a, address: 10.0.0.1, port: 80, forwarding: nat, nat: { masquerade: true }, backends: [{ address: 10.1.0.1 }] }\n  \
        - { name: b, address: 10.0.0.2, port: 80, forwarding: nat, backends: [{ address: 10.1.0.1 }] }\n  \
        - { name: c, address: '2001:db8::1', port: 80, persistence: { timeout: 50s }, backends: [{ address: '2001:db8::2' }] }\n";
    let services = config::validate_str("t.yaml", text)
        .unwrap()
        .config
        .services;
    let names = |services: &[Service]| -> Vec<String> {
        wanted(services).iter().map(Wanted::name).collect()
    };
    assert_eq!(
        names(&services),
        [
            "net.ipv4.vs.expire_nodest_conn",
            "net.ipv4.ip_forward",
            "net.ipv4.vs.conntrack",
            "net.ipv4.vs.expire_quiescent_template",
        ]
    );
    assert!(names(&[]).is_empty());
}

#[test]
fn a_setting_that_is_not_there_is_missing_only_if_it_is_needed() {
    let one = Wanted {
        path: "net/ipv4/no_such_setting",
        value: "1",
        why: "",
        needed: true,
    };
    assert_eq!(missing(&[one]).len(), 1);
    assert!(
        missing(&[Wanted {
            needed: false,
            ..one
        }])
        .is_empty()
    );
}
