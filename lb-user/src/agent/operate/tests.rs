use super::*;
use crate::config::validate_str;

fn config() -> Config {
    let text = "datapath: { interfaces: [lo] }\nservices:
  - { name: web, address: 192.0.2.1, port: 80, backends: [{ name: web1, address: 10.0.0.1, weight: 5 }, { address: 10.0.0.2 }] }\n";
    validate_str("test.yaml", text).unwrap().config
}

#[test]
fn a_backend_is_found_by_its_name_or_by_the_address_that_is_its_name() {
    let config = config();
    let (service, backend) = find(&config, "web", "web1").unwrap();
    assert_eq!((service.name.as_str(), backend.weight.get()), ("web", 5));
    assert!(find(&config, "web", "10.0.0.2").is_ok());
}

#[test]
fn a_name_that_nobody_has_is_named_with_the_one_that_was_meant() {
    let config = config();
    let text = |service, backend| find(&config, service, backend).unwrap_err().to_string();
    assert_eq!(
        text("wbe", "web1"),
        "no service is called `wbe`, did you mean `web`?"
    );
    assert_eq!(
        text("web", "wbe1"),
        "service `web` has no backend `wbe1`, did you mean `web1`?"
    );
    assert_eq!(text("mail", "web1"), "no service is called `mail`");
}

#[test]
fn mode_and_weight_are_said_apart_and_enable_takes_back_both() {
    let mut said = Override::default();
    for (change, mode, weight) in [
        (BackendChange::Weight(7), Mode::Enabled, Some(7)),
        (BackendChange::Drain, Mode::Drain, Some(7)),
        (BackendChange::Disable, Mode::Disabled, Some(7)),
        (BackendChange::Weight(0), Mode::Disabled, Some(0)),
        (BackendChange::Enable, Mode::Enabled, None),
        (BackendChange::Drain, Mode::Drain, None),
    ] {
        said = after(said, change);
        let weight = weight.map(Weight::new);
        assert_eq!(said, Override { mode, weight }, "{change:?}");
    }
}
