use super::*;
use crate::config;

#[test]
fn the_table_holds_one_rule_for_each_service_that_asks_for_it() {
    let text = "datapath: { interfaces: [eth0] }\nservices:\n  \
        - { name: a, address: 10.0.0.1, port: 80, forwarding: nat, nat: { masquerade: true }, backends: [{ address: 10.1.0.1 }] }\n  \
        - { name: b, address: 10.0.0.2, port: 80, forwarding: nat, backends: [{ address: 10.1.0.1 }] }\n  \
        - { name: c, address: '2001:db8::1', port: 53, protocol: udp, forwarding: nat, nat: { masquerade: true }, backends: [{ address: '2001:db8::2' }] }\n";
    let services = config::validate_str("t.yaml", text)
        .unwrap()
        .config
        .services;
    insta::assert_snapshot!(rules(&services).unwrap(), @r"
    table inet ballast
    delete table inet ballast
    table inet ballast {
      chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        meta l4proto tcp ct original ip daddr 10.0.0.1 ct original proto-dst 80 masquerade
        meta l4proto udp ct original ip6 daddr 2001:db8::1 ct original proto-dst 53 masquerade
      }
    }
    ");
    assert_eq!(rules(&services[1..2]), None);
}
