use proptest::prelude::*;

use super::*;
use crate::config::model::{
    TrackedFile, TrackedInterface, TrackedProcess, TrackedScript, TrackedService,
};

fn priority(n: u8) -> Priority {
    Priority::new(n).unwrap()
}

fn interface(name: &str) -> Input {
    Input::Interface(name.parse().unwrap())
}

fn script(name: &str) -> Input {
    Input::Script(name.parse().unwrap())
}

fn file(path: &str) -> Input {
    Input::File(path.into())
}

fn weighing(weight: i16) -> TrackWeight {
    TrackWeight::new(weight).unwrap()
}

/// One input of `weight` in `state`, at priority 100.
fn one(input: Input, weight: i16, state: State) -> Effective {
    of(priority(100), &[(input, weight, state)])
}

fn of(base: Priority, inputs: &[(Input, i16, State)]) -> Effective {
    let mut observed = Observed::default();
    let mut list = Vec::new();
    for (input, weight, state) in inputs {
        observed.set(input.clone(), *state);
        list.push(Tracked {
            input: input.clone(),
            weight: weighing(*weight),
        });
    }
    effective(base, &list, &observed)
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(T::to_string).collect()
}

#[test]
fn weight_0_is_fault_while_it_fails_and_nothing_while_it_works() {
    let bad = one(script("chk"), 0, State::Bad);
    assert_eq!(texts(&bad.fault), ["script chk failed"]);
    assert_eq!(bad.priority, priority(100));
    assert!(!bad.may_start());
    let good = one(script("chk"), 0, State::Good);
    assert_eq!(
        (good.fault, good.waiting, good.contributions),
        (vec![], vec![], vec![])
    );
}

#[test]
fn a_positive_weight_counts_while_good_a_negative_one_while_bad() {
    for (weight, state, expected, why) in [
        (20, State::Good, 120, "script chk good: +20"),
        (20, State::Bad, 100, "script chk failed: 0"),
        (-20, State::Good, 100, "script chk good: 0"),
        (-20, State::Bad, 80, "script chk failed: -20"),
        (20, State::Unknown, 100, "script chk has not run yet: 0"),
        (-20, State::Unknown, 100, "script chk has not run yet: 0"),
    ] {
        let effective = one(script("chk"), weight, state);
        assert_eq!(effective.priority, priority(expected));
        assert_eq!(texts(&effective.contributions), [why]);
        assert!(effective.may_start());
    }
}

#[test]
fn an_unknown_input_of_weight_0_keeps_from_starting_but_is_no_fault() {
    let effective = one(script("chk"), 0, State::Unknown);
    assert!(effective.fault.is_empty());
    assert!(!effective.may_start());
    assert_eq!(texts(&effective.waiting), ["script chk has not run yet"]);
}

#[test]
fn a_file_adds_its_number_times_the_weight() {
    for (weight, state, expected) in [
        (1, State::Number(20), 120),
        (-50, State::Number(1), 50),
        (-50, State::Number(-2), 200),
        (-50, State::Number(0), 100),
        (-50, State::Missing, 100),
        (-50, State::Unknown, 100),
        (2, State::Number(i64::MAX), 254),
        (-1, State::Number(253), 1),
    ] {
        let effective = one(file("/run/f"), weight, state);
        assert_eq!(effective.priority, priority(expected), "{weight} {state:?}");
        assert!(effective.may_start());
    }
}

#[test]
fn a_file_that_takes_away_more_than_any_priority_is_fault() {
    for (weight, number) in [
        (-1, 254),
        (1, -254),
        (-50, 6),
        (2, i64::MIN),
        (-253, i64::MAX),
    ] {
        let effective = one(file("/run/f"), weight, State::Number(number));
        assert_eq!(
            texts(&effective.fault),
            [format!("file /run/f is {number}")]
        );
        assert!(effective.contributions.is_empty());
    }
}

#[test]
fn a_file_of_weight_0_is_fault_at_any_number_but_0() {
    for state in [State::Number(0), State::Missing, State::Unknown] {
        let effective = one(file("/run/f"), 0, state);
        assert!(effective.may_start(), "{state:?}");
    }
    for number in [1, -1, i64::MIN] {
        assert_eq!(one(file("/run/f"), 0, State::Number(number)).fault.len(), 1);
    }
}

#[test]
fn the_owner_is_changed_by_no_weight_but_goes_to_fault() {
    let effective = of(
        Priority::OWNER,
        &[
            (script("chk"), -20, State::Bad),
            (file("/run/f"), -1, State::Number(10)),
            (interface("eth1"), 0, State::Bad),
        ],
    );
    assert_eq!(effective.priority, Priority::OWNER);
    assert!(effective.contributions.is_empty());
    assert_eq!(texts(&effective.fault), ["interface eth1 down"]);
}

#[test]
fn the_sum_is_held_within_1_and_254_only_at_the_end() {
    let low = [
        (script("a"), -200, State::Bad),
        (script("b"), 150, State::Good),
    ];
    assert_eq!(of(priority(100), &low).priority, priority(50));
    assert_eq!(of(priority(20), &low).priority, priority(1));
    let high = [(script("a"), 253, State::Good)];
    assert_eq!(of(priority(254), &high).priority, priority(254));
}

#[test]
fn every_kind_of_cause_reads_as_a_sentence() {
    let service = || Input::Service("web".parse().unwrap());
    let process = || Input::Process("haproxy".to_owned());
    for (input, state, text) in [
        (interface("eth1"), State::Bad, "interface eth1 down"),
        (interface("eth1"), State::Good, "interface eth1 up"),
        (process(), State::Bad, "process haproxy not running"),
        (process(), State::Good, "process haproxy running"),
        (process(), State::Unknown, "process haproxy not known yet"),
        (service(), State::Bad, "service web below quorum"),
        (service(), State::Good, "service web has its quorum"),
        (file("/run/f"), State::Missing, "file /run/f missing"),
        (file("/run/f"), State::Number(-3), "file /run/f is -3"),
    ] {
        assert_eq!(Cause { input, state }.to_string(), text);
    }
}

#[test]
fn the_own_interface_comes_first_always_with_weight_0_and_nothing_counts_twice() {
    let track = Track {
        interfaces: ["eth0", "eth1"]
            .map(|name| TrackedInterface {
                name: name.parse().unwrap(),
                weight: weighing(-5),
            })
            .to_vec(),
        scripts: vec![
            TrackedScript {
                name: "chk".parse().unwrap(),
                weight: weighing(2),
            };
            2
        ],
        processes: vec![TrackedProcess {
            name: "haproxy".to_owned(),
            weight: weighing(3),
        }],
        files: vec![TrackedFile {
            path: "/run/f".into(),
            weight: weighing(1),
        }],
        services: vec![TrackedService {
            name: "web".parse().unwrap(),
            weight: weighing(-20),
        }],
    };
    let list = tracked(&"eth0".parse().unwrap(), &track);
    let list: Vec<_> = list
        .iter()
        .map(|t| format!("{} {}", t.input, t.weight.get()))
        .collect();
    assert_eq!(
        list,
        [
            "interface eth0 0",
            "interface eth1 -5",
            "script chk 2",
            "process haproxy 3",
            "file /run/f 1",
            "service web -20"
        ]
    );
}

#[test]
fn only_a_change_is_news() {
    let mut observed = Observed::default();
    assert!(!observed.set(script("chk"), State::Unknown));
    assert!(observed.set(script("chk"), State::Good));
    assert!(!observed.set(script("chk"), State::Good));
    observed.retain(|input| *input != script("chk"));
    assert_eq!(observed.get(&script("chk")), State::Unknown);
}

#[test]
fn a_file_s_number_is_what_stands_at_its_beginning() {
    for (text, number) in [
        ("", 0),
        ("\n", 0),
        ("7", 7),
        (" \t\n-12\n34", -12),
        ("+3x", 3),
        ("010", 10),
        ("0x10", 0),
        ("one", 0),
        ("--1", 0),
        ("- 1", 0),
        ("99999999999999999999", i64::MAX),
        ("-99999999999999999999", i64::MIN),
        ("-9223372036854775808", i64::MIN),
        ("\u{664}", 0),
    ] {
        assert_eq!(file_number(text.as_bytes()), number, "{text:?}");
    }
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Unknown),
        Just(State::Good),
        Just(State::Bad),
        Just(State::Missing),
        any::<i64>().prop_map(State::Number),
        (-300i64..300).prop_map(State::Number),
    ]
}

fn any_inputs() -> impl Strategy<Value = Vec<(Input, i16, State)>> {
    let input = (any::<bool>(), 0usize..1000).prop_map(|(is_file, n)| match is_file {
        true => file(&format!("/run/{n}")),
        false => script(&format!("s{n}")),
    });
    let weight = -TrackWeight::MAX..=TrackWeight::MAX;
    let entries = proptest::collection::btree_map(input, (weight, any_state()), 0..12);
    entries.prop_map(|map| map.into_iter().map(|(i, (w, s))| (i, w, s)).collect())
}

proptest! {
    #[test]
    fn the_contributions_explain_the_priority(base in 1u8..255, inputs in any_inputs()) {
        let effective = of(priority(base), &inputs);
        let changes: i64 = effective.contributions.iter().map(|c| i64::from(c.change)).sum();
        let expected = (i64::from(base) + changes).clamp(1, 254);
        prop_assert_eq!(i64::from(effective.priority.get()), expected);
    }

    #[test]
    fn every_input_has_at_most_one_effect_and_an_order_of_no_importance(base in 1u8..255, inputs in any_inputs()) {
        let effective = of(priority(base), &inputs);
        let effects = effective.fault.len() + effective.waiting.len() + effective.contributions.len();
        prop_assert!(effects <= inputs.len());
        let reversed: Vec<_> = inputs.iter().rev().cloned().collect();
        let other = of(priority(base), &reversed);
        prop_assert_eq!(other.priority, effective.priority);
        prop_assert_eq!(other.may_start(), effective.may_start());
        prop_assert_eq!(other.fault.len(), effective.fault.len());
    }

    #[test]
    fn what_goes_from_bad_to_good_never_lowers_the_priority(base in 1u8..255, inputs in any_inputs()) {
        let with = |state: State| {
            let inputs: Vec<_> = inputs.iter().map(|(input, weight, _)| match input {
                Input::File(_) => (input.clone(), *weight, State::Missing),
                _ => (input.clone(), *weight, state),
            }).collect();
            of(priority(base), &inputs)
        };
        prop_assert!(with(State::Bad).priority <= with(State::Good).priority);
        prop_assert!(with(State::Good).may_start());
    }

    #[test]
    fn a_written_number_is_read_back(number: i64, tail in "[^0-9].{0,8}|") {
        prop_assert_eq!(file_number(format!("{number}{tail}").as_bytes()), number);
    }

    #[test]
    fn only_a_minus_makes_the_number_of_any_bytes_negative(contents: Vec<u8>) {
        prop_assert!(file_number(&contents) >= 0 || contents.contains(&b'-'));
    }
}
