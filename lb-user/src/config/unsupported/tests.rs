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
fn a_default_check_is_a_warning_and_none_is_silent() {
    let text = "datapath: { interfaces: [eth0] }\nservices:\n  - name: web\n    address: 10.0.0.1\n    port: 80\n    backends: [{ address: 10.0.0.2 }]\n";
    let unsupported = validate_str("t.yaml", text).unwrap().unsupported();
    assert_eq!(
        unsupported.to_string(),
        "t.yaml:3:5: services[0].health_check: warning: health checks do not run yet, all backends count as up (`health_check: none` says so)"
    );
    let silent = validate_str("t.yaml", &format!("{text}    health_check: none\n"))
        .unwrap()
        .unsupported();
    assert!(silent.is_empty(), "{silent}");
}

#[test]
fn an_inherited_check_is_refused_once_where_it_stands() {
    let text = "datapath: { interfaces: [eth0] }\nservices:\n  - name: web\n    address: 10.0.0.1\n    port: 80\n    health_check: { tcp: {} }\n    backends: [{ address: 10.0.0.2 }, { address: 10.0.0.3 }]\n";
    let unsupported = validate_str("t.yaml", text).unwrap().unsupported();
    assert_eq!(
        unsupported.to_string(),
        "t.yaml:6:19: services[0].health_check: health checks do not run yet, use `health_check: none`"
    );
}
