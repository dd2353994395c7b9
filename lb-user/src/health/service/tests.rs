use std::{num::NonZeroU16, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{config, config::model::OnFailure, types::Weight};

/// The first service of a file with these keys, and backends 10.0.0.1, .2, … of these weights.
fn service(keys: &str, weights: &[u16]) -> Service {
    let backends: Vec<String> = weights
        .iter()
        .zip(1..)
        .map(|(weight, number)| format!("{{ address: 10.0.0.{number}, weight: {weight} }}"))
        .collect();
    let text = format!(
        "datapath: {{ interfaces: [lo] }}\nservices:\n  - name: web\n    address: 192.0.2.1\n    port: 80\n    backends: [{}]\n    {keys}\n",
        backends.join(", ")
    );
    let loaded = config::validate_str("test.yaml", &text).unwrap_or_else(|e| panic!("{e}"));
    loaded.config.services[0].clone()
}

fn key(number: u8) -> BackendKey {
    BackendKey {
        address: [10, 0, 0, number].into(),
        port: NonZeroU16::new(80).unwrap(),
    }
}

/// A service under test, with its clock.
struct Run {
    now: Instant,
    health: ServiceHealth,
    config: Service,
}

impl Run {
    fn new(keys: &str, weights: &[u16]) -> Self {
        let now = Instant::now();
        let config = service(keys, weights);
        let health = ServiceHealth::new(now, &config, &BTreeMap::new());
        Self {
            now,
            health,
            config,
        }
    }

    fn tell(&mut self, number: u8, health: Health) -> Vec<Event> {
        self.now += Duration::from_secs(1);
        let verdict = Verdict {
            health,
            since: self.now,
            reason: Text::new("because"),
        };
        self.health
            .handle_verdicts(self.now, [(key(number), Some(verdict))]);
        self.events()
    }

    fn ask(&mut self, number: u8, mode: Mode, weight: Option<u16>) -> Vec<Event> {
        self.now += Duration::from_secs(1);
        let weight = weight.map(Weight::new);
        let asked = Override { mode, weight };
        assert!(self.health.set_override(self.now, key(number), asked));
        self.events()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.health.poll_event()).collect()
    }

    fn standing(&self, number: u8) -> Standing {
        let member = self.health.members().iter().find(|m| m.key == key(number));
        member.expect("it is configured").standing
    }

    fn standings(&self) -> Vec<Standing> {
        self.health.members().iter().map(|m| m.standing).collect()
    }
}

use Health::{Down, Held, Up};
use Standing::{Lingering, Out, Serving};

#[test]
fn everybody_serves_until_something_else_is_heard() {
    let mut run = Run::new("", &[1, 1]);
    assert_eq!(run.standings(), [Serving, Serving]);
    assert!(run.health.quorum().up);
    assert_eq!(
        run.events(),
        [Event::Quorum {
            up: true,
            weight: 2
        }]
    );
}

#[test]
fn a_failed_backend_is_out_and_returns() {
    let mut run = Run::new("", &[1, 1]);
    run.events();
    assert_eq!(
        run.tell(1, Down),
        [
            Event::Health {
                backend: key(1),
                from: Up,
                to: Down,
                reason: Text::new("because")
            },
            Event::Standing {
                backend: key(1),
                from: Serving,
                to: Out(Why::Down)
            }
        ]
    );
    assert_eq!(run.standings(), [Out(Why::Down), Serving]);
    run.tell(1, Up);
    assert_eq!(run.standings(), [Serving, Serving]);
}

#[test]
fn with_weight_zero_a_failed_backend_keeps_its_flows() {
    let mut run = Run::new("on_failure: weight_zero", &[1, 1]);
    run.tell(1, Down);
    assert_eq!(run.standing(1), Lingering(Why::Down));
    assert_eq!(run.health.quorum().weight, 1);
}

#[test]
fn the_strongest_reason_decides() {
    use OnFailure::{Remove, WeightZero};
    let all = |mode, health, weight, on_failure| {
        standing::of(&Input {
            health,
            kept: false,
            released: false,
            mode,
            weight: Weight::new(weight),
            on_failure,
        })
    };
    for on_failure in [Remove, WeightZero] {
        for health in [Up, Held, Down] {
            let out = all(Mode::Disabled, health, 1, on_failure);
            assert_eq!(out, Out(Why::Disabled), "whatever else is true");
        }
        assert_eq!(all(Mode::Drain, Up, 0, on_failure), Lingering(Why::Drained));
        assert_eq!(
            all(Mode::Enabled, Up, 0, on_failure),
            Lingering(Why::Weight)
        );
        assert_eq!(all(Mode::Enabled, Up, 1, on_failure), Serving);
    }
    assert_eq!(
        all(Mode::Drain, Down, 1, Remove),
        Out(Why::Down),
        "its flows are dead"
    );
    assert_eq!(
        all(Mode::Drain, Down, 1, WeightZero),
        Lingering(Why::Drained)
    );
    assert_eq!(all(Mode::Enabled, Held, 1, Remove), Out(Why::Held));
    assert_eq!(
        all(Mode::Enabled, Held, 1, WeightZero),
        Lingering(Why::Held)
    );
}

#[test]
fn quorum_is_lost_below_and_gained_above_its_hysteresis() {
    // As keepalived: gained at 5 (3 + 2), lost below 1 (3 - 2) or with nobody.
    let mut run = Run::new("quorum: { up: 3, hysteresis: 2 }", &[1, 1, 1, 1, 1]);
    assert!(run.health.quorum().up);
    for number in 1..=4 {
        run.tell(number, Down);
        assert!(run.health.quorum().up, "{number} down");
    }
    let events = run.tell(5, Down);
    assert!(events.contains(&Event::Quorum {
        up: false,
        weight: 0
    }));
    for number in 1..=4 {
        run.tell(number, Up);
        assert!(!run.health.quorum().up, "{number} up");
    }
    let events = run.tell(5, Up);
    assert!(events.contains(&Event::Quorum {
        up: true,
        weight: 5
    }));
    assert_eq!(run.health.quorum().since, run.now);
}

#[test]
fn at_the_start_quorum_has_to_be_gained() {
    let mut run = Run::new("quorum: { up: 3, hysteresis: 2 }", &[1, 1, 1, 1]);
    assert!(!run.health.quorum().up);
    assert_eq!(
        run.events(),
        [Event::Quorum {
            up: false,
            weight: 4
        }]
    );
}

#[test]
fn quorum_counts_weights() {
    let mut run = Run::new("quorum: { up: 10 }", &[10, 9]);
    run.tell(1, Down);
    assert!(!run.health.quorum().up);
    run.ask(2, Mode::Enabled, Some(10));
    assert!(run.health.quorum().up);
}

#[test]
fn below_quorum_the_fallback_serves_alone_and_the_others_keep_their_flows() {
    let keys = "quorum: { up: 2 }\n    fallback: { address: 10.0.0.9, port: 80 }";
    let mut run = Run::new(keys, &[1, 1, 1]);
    run.events();
    run.tell(1, Down);
    assert!(!run.health.fallback_serves());
    let events = run.tell(2, Down);
    assert!(run.health.fallback_serves());
    assert!(events.contains(&Event::Fallback { serves: true }));
    assert_eq!(
        run.standings(),
        [Out(Why::Down), Out(Why::Down), Lingering(Why::Standby)]
    );
    assert_eq!(run.health.quorum().weight, 1, "what could serve counts");
    let events = run.tell(1, Up);
    assert!(events.contains(&Event::Fallback { serves: false }));
    assert_eq!(run.standings(), [Serving, Out(Why::Down), Serving]);
}

#[test]
fn below_quorum_without_a_fallback_the_rest_serves_on() {
    let mut run = Run::new("quorum: { up: 2 }", &[1, 1]);
    run.tell(1, Down);
    assert!(!run.health.quorum().up);
    assert_eq!(run.standing(2), Serving);
}

#[test]
fn drain_disable_and_enable_act_at_once() {
    let mut run = Run::new("", &[1, 1]);
    run.ask(1, Mode::Drain, None);
    assert_eq!(run.standing(1), Lingering(Why::Drained));
    run.ask(1, Mode::Disabled, None);
    assert_eq!(run.standing(1), Out(Why::Disabled));
    run.ask(1, Mode::Enabled, None);
    assert_eq!(run.standing(1), Serving);
    let nobody = run
        .health
        .set_override(run.now, key(99), Override::default());
    assert!(!nobody);
}

#[test]
fn a_weight_of_the_operator_replaces_the_configured_one() {
    let mut run = Run::new("", &[4, 4]);
    run.ask(1, Mode::Enabled, Some(0));
    assert_eq!(run.standing(1), Lingering(Why::Weight));
    assert_eq!(run.health.members()[0].weight, Weight::ZERO);
    run.ask(1, Mode::Enabled, None);
    assert_eq!(run.health.members()[0].weight, Weight::new(4));
}

#[test]
fn a_held_backend_waits_unless_it_is_needed_and_then_stays() {
    let mut run = Run::new("", &[1, 1]);
    run.tell(1, Down);
    run.tell(1, Held);
    assert_eq!(run.standing(1), Out(Why::Held));
    run.tell(2, Down);
    assert_eq!(run.standing(1), Serving, "better than nobody");
    run.tell(2, Up);
    assert_eq!(run.standing(1), Serving, "its flows are not moved again");
    run.tell(1, Down);
    run.tell(1, Held);
    assert_eq!(run.standing(1), Out(Why::Held), "a failure is a failure");
}

#[test]
fn a_reload_keeps_what_is_known() {
    let mut run = Run::new("quorum: { up: 1 }", &[1, 1]);
    run.tell(1, Down);
    run.ask(2, Mode::Drain, None);
    run.events();
    let overrides = BTreeMap::from([(
        key(2),
        Override {
            mode: Mode::Drain,
            weight: None,
        },
    )]);
    let since = run.health.quorum().since;
    run.health.reconfigure(
        run.now,
        &service("quorum: { up: 1 }", &[1, 1, 7]),
        &overrides,
    );
    assert_eq!(
        run.standings(),
        [Out(Why::Down), Lingering(Why::Drained), Serving]
    );
    assert!(run.health.quorum().up && run.health.quorum().since >= since);
    // The same file again: nothing happens.
    run.events();
    let same = service("quorum: { up: 1 }", &[1, 1, 7]);
    run.health.reconfigure(run.now, &same, &overrides);
    assert_eq!(run.events(), []);
    assert_eq!(run.config.name, same.name);
}

#[test]
fn when_our_own_link_changed_a_mass_death_is_not_believed_for_a_while() {
    let mut run = Run::new("", &[1, 1, 1]);
    run.now += Duration::from_secs(60);
    let link = Link {
        up: true,
        changed: Some(run.now),
    };
    run.health.handle_link(run.now, link);
    run.events();
    run.tell(1, Down);
    assert_eq!(run.standing(1), Out(Why::Down), "one is one");
    let events = run.tell(2, Down);
    assert!(events.contains(&Event::Kept { backends: 2 }), "{events:?}");
    assert_eq!(run.standings(), [Serving; 3], "the last good set is back");
    run.tell(3, Down);
    assert_eq!(run.standings(), [Serving; 3]);

    let end = run.health.next_deadline().expect("it does not last");
    run.health.handle_timeout(end);
    assert!(run.events().contains(&Event::Kept { backends: 0 }));
    assert_eq!(run.standings(), [Out(Why::Down); 3]);
    assert!(!run.health.quorum().up);
}

proptest! {
    /// Whatever is said in whatever order.
    #[test]
    fn what_stands_follows_from_what_was_said(
        up in 1u32..6,
        hysteresis in 0u32..3,
        fallback: bool,
        zero: bool,
        steps in prop::collection::vec((1u8..=4, 0u8..3, 0u8..3, prop::option::of(0u16..4)), 1..60),
    ) {
        let hysteresis = hysteresis.min(up - 1);
        let on_failure = if zero { "weight_zero" } else { "remove" };
        let other = if fallback { "\n    fallback: { address: 10.0.0.9, port: 80 }" } else { "" };
        let keys = format!("quorum: {{ up: {up}, hysteresis: {hysteresis} }}\n    on_failure: {on_failure}{other}");
        let mut run = Run::new(&keys, &[1, 2, 1, 3]);
        let mut was_up = run.health.quorum().up;
        for (number, health, mode, weight) in steps {
            let mode = [Mode::Enabled, Mode::Drain, Mode::Disabled][usize::from(mode)];
            run.tell(number, [Up, Held, Down][usize::from(health)]);
            check(&run, was_up, fallback);
            was_up = run.health.quorum().up;
            run.ask(number, mode, weight);
            check(&run, was_up, fallback);
            was_up = run.health.quorum().up;
        }
    }
}

/// What holds after every step.
fn check(run: &Run, was_up: bool, has_fallback: bool) {
    let (quorum, up, hysteresis) = (
        run.health.quorum(),
        u64::from(run.config.quorum.up),
        u64::from(run.config.quorum.hysteresis),
    );
    let enough = if was_up {
        up - hysteresis
    } else {
        up + hysteresis
    };
    assert_eq!(quorum.up, quorum.weight >= enough.max(1));
    assert_eq!(run.health.fallback_serves(), has_fallback && !quorum.up);
    let able = |standing: Standing| matches!(standing, Serving | Lingering(Why::Standby));
    let members = run.health.members();
    let weight: u64 = members
        .iter()
        .filter(|m| able(m.standing))
        .map(|m| u64::from(m.weight.get()))
        .sum();
    assert_eq!(quorum.weight, weight);
    for member in members {
        let health = member.verdict.as_ref().map_or(Up, |v| v.health);
        if run.health.fallback_serves() {
            assert_ne!(member.standing, Serving, "the fallback serves alone");
        }
        if member.asked.mode != Mode::Enabled || health == Down {
            assert!(!able(member.standing), "{member:?}");
        } else if health == Up && member.weight != Weight::ZERO {
            assert!(able(member.standing), "{member:?}");
        }
        if member.standing.why() == Some(Why::Held) {
            assert!(quorum.weight >= up, "nobody is held back who is needed");
        }
    }
}
