use std::time::Duration;

use super::*;
use crate::{
    config,
    health::{
        fsm::Health,
        pool::Verdict,
        service::{Mode, Standing, Why},
        text::Text,
    },
};

fn config(backends_of_b: &str) -> Config {
    let text = format!(
        "datapath: {{ interfaces: [lo] }}\nservices:
  - {{ name: a, address: 192.0.2.1, port: 80, backends: [{{ address: 10.0.0.1 }}] }}
  - {{ name: b, address: 192.0.2.2, port: 80, backends: [{backends_of_b}] }}\n"
    );
    let loaded = config::validate_str("test.yaml", &text).unwrap_or_else(|e| panic!("{e}"));
    loaded.config
}

const BOTH: &str = "{ address: 10.0.0.1 }, { address: 10.0.0.2 }";

fn subject(config: &Config, service: usize, backend: usize) -> Subject {
    Subject {
        service: config.services[service].key(),
        backend: config.services[service].backends[backend].key(),
    }
}

fn drain() -> Override {
    Override {
        mode: Mode::Drain,
        weight: None,
    }
}

fn standing(services: &Services, subject: Subject) -> Standing {
    let members = services.get(subject.service).unwrap().members();
    members
        .iter()
        .find(|m| m.key == subject.backend)
        .unwrap()
        .standing
}

#[test]
fn a_verdict_reaches_the_service_it_is_about() {
    let (now, config) = (Instant::now(), config(BOTH));
    let mut services = Services::default();
    services.reconfigure(now, &config);
    let down = Verdict {
        health: Health::Down,
        since: now,
        reason: Text::new("refused"),
    };
    let verdicts = Verdicts::from([(subject(&config, 1, 0), Some(down))]);
    services.handle_verdicts(now, verdicts);
    assert_eq!(
        standing(&services, subject(&config, 1, 0)),
        Standing::Out(Why::Down)
    );
    assert_eq!(
        standing(&services, subject(&config, 0, 0)),
        Standing::Serving
    );
}

#[test]
fn what_the_operator_said_outlives_the_backend_in_the_file() {
    let (now, both) = (Instant::now(), config(BOTH));
    let second = subject(&both, 1, 1);
    let mut services = Services::new(BTreeMap::from([(second, drain())]));
    services.reconfigure(now, &both);
    assert_eq!(
        standing(&services, second),
        Standing::Lingering(Why::Drained)
    );
    services.reconfigure(now, &config("{ address: 10.0.0.1 }"));
    services.reconfigure(now, &both);
    assert_eq!(
        standing(&services, second),
        Standing::Lingering(Why::Drained)
    );
    assert!(services.set_override(now, second, Override::default()));
    assert_eq!(standing(&services, second), Standing::Serving);
    assert!(services.overrides().is_empty());
}

#[test]
fn what_the_operator_said_is_forgotten_with_a_backend_that_is_gone() {
    let (now, both) = (Instant::now(), config(BOTH));
    let (first, second) = (subject(&both, 1, 0), subject(&both, 1, 1));
    let mut services = Services::new(BTreeMap::from([(first, drain()), (second, drain())]));
    services.reconfigure(now, &both);
    services.forget_gone();
    assert_eq!(services.overrides().len(), 2);
    services.reconfigure(now, &config("{ address: 10.0.0.1 }"));
    services.forget_gone();
    assert_eq!(services.overrides().keys().collect::<Vec<_>>(), [&first]);
}

#[test]
fn an_override_of_nobody_is_refused_and_forgotten() {
    let (now, config) = (Instant::now(), config(BOTH));
    let mut services = Services::default();
    services.reconfigure(now, &config);
    let mut nobody = subject(&config, 0, 0);
    nobody.backend.address = [10, 0, 0, 99].into();
    assert!(!services.set_override(now, nobody, drain()));
    assert!(services.overrides().is_empty());
}

#[test]
fn events_name_their_service_and_come_once() {
    let (now, config) = (Instant::now(), config(BOTH));
    let mut services = Services::default();
    services.reconfigure(now, &config);
    let named: Vec<ServiceKey> = std::iter::from_fn(|| services.poll_event())
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        named,
        config.services.iter().map(|s| s.key()).collect::<Vec<_>>()
    );
    services.reconfigure(now, &config);
    services.handle_timeout(now + Duration::from_secs(9));
    assert_eq!(services.poll_event(), None);
    assert_eq!(services.next_deadline(), None);
}
