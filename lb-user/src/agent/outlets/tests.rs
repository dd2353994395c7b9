use super::*;
use crate::{
    config::validate_str,
    health::{Health, Text, service::Standing},
};

const FILE: &str = "datapath: { interfaces: [eth0] }\nservices:\n  - { name: web, address: 10.0.0.1, port: 80, backends: [{ name: web1, address: 10.0.0.2 }] }\n";

fn config(text: &str) -> Config {
    validate_str("t.yaml", text).unwrap().config
}

fn known(config: &Config) -> (Known, ServiceKey) {
    let mut known = Known::default();
    known.learn(config);
    (known, config.services[0].key())
}

#[test]
fn a_backend_is_told_by_its_names() {
    let config = config(FILE);
    let (mut known, web) = known(&config);
    let event = |to| Event::Health {
        backend: config.services[0].backends[0].key(),
        from: Health::Up,
        to,
        reason: Text::new("connection refused"),
    };
    let expected = |health, service: &str, backend: &str| {
        Some(alert::What::Backend {
            service: service.to_owned(),
            backend: backend.to_owned(),
            address: "10.0.0.2:80".to_owned(),
            health,
            reason: "connection refused".to_owned(),
        })
    };
    let down = known.what(web, &event(Health::Down));
    assert_eq!(down, expected(alert::Health::Down, "web", "web1"));
    let held = known.what(web, &event(Health::Held));
    assert_eq!(held, expected(alert::Health::Held, "web", "web1"));
    // Whatever is not in the file any more has its address.
    known.services.clear();
    let up = known.what(web, &event(Health::Up));
    assert_eq!(
        up,
        expected(alert::Health::Up, "10.0.0.1:80/tcp", "10.0.0.2")
    );
}

#[test]
fn a_quorum_is_news_when_it_changes_or_is_missing_from_the_start() {
    let config = config(FILE);
    let (mut known, web) = known(&config);
    let mut news = |up| known.what(web, &Event::Quorum { up, weight: 1 }).is_some();
    assert!(!news(true), "it is there from the start");
    assert!(news(false));
    assert!(!news(false));
    assert!(news(true));
    let (mut known, web) = self::known(&config);
    let missing = Event::Quorum {
        up: false,
        weight: 0,
    };
    assert!(known.what(web, &missing).is_some());
}

#[test]
fn what_the_operator_does_is_no_news() {
    let config = config(FILE);
    let (mut known, web) = known(&config);
    let event = Event::Standing {
        backend: config.services[0].backends[0].key(),
        from: Standing::Serving,
        to: Standing::Out(crate::health::service::Why::Disabled),
    };
    assert_eq!(known.what(web, &event), None);
}

#[test]
fn a_service_that_is_gone_is_forgotten() {
    let config = config(FILE);
    let (mut known, web) = known(&config);
    let event = Event::Quorum {
        up: true,
        weight: 1,
    };
    known.what(web, &event);
    known.learn(&self::config(&FILE.replace("10.0.0.1,", "10.0.0.9,")));
    assert!(known.quorums.is_empty());
    known.learn(&config);
    assert_eq!(known.what(web, &event), None, "it is new again");
}
