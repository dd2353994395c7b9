use crate::config::validate_str;

const BALLAST: &str = include_str!("../../../../config/ballast.yaml");

#[test]
fn what_run_refuses_is_named_with_its_place() {
    let loaded = validate_str("ballast.yaml", BALLAST).unwrap();
    insta::assert_snapshot!(loaded.unsupported().to_string());
}

#[test]
fn what_works_is_not_refused() {
    for text in [
        include_str!("../../../../config/examples/direct-routing.yaml"),
        include_str!("../../../../config/examples/tunnel.yaml"),
    ] {
        let loaded = validate_str("t.yaml", text).unwrap();
        let unsupported = loaded.unsupported();
        assert!(unsupported.only_warnings(), "{unsupported}");
    }
}

#[test]
fn a_service_is_refused_for_what_it_asks_alone() {
    let text = "datapath: { interfaces: [eth0] }\nservices:\n  - name: web\n    address: 10.0.0.1\n    port: 80\n    forwarding: nat\n    backends: [{ address: 10.0.0.2 }]\n";
    let unsupported = validate_str("t.yaml", text).unwrap().unsupported();
    assert_eq!(
        unsupported.to_string(),
        "t.yaml:6:17: services[0].forwarding: nat does not work yet, use `direct_routing` or `tunnel`"
    );
    let fine = text.replace("    forwarding: nat\n", "");
    let unsupported = validate_str("t.yaml", &fine).unwrap().unsupported();
    assert!(unsupported.is_empty(), "{unsupported}");
}
