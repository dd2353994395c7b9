use serde_json::json;

use super::*;

fn workspace() -> Value {
    let target = |kind: &str, name: &str| json!({ "kind": [kind], "name": name });
    json!({ "packages": [
        { "name": "lb-tests", "targets": [
            target("lib", "lb_tests"), target("bin", "lab"),
            target("test", "sim"), target("test", "harness"), target("test", "model"),
            target("test", "scenarios"), target("test", "soak"), target("test", "vm"), target("test", "dataplane"),
        ] },
        { "name": "lb-user", "targets": [target("lib", "lb_user"), target("test", "cli")] },
    ] })
}

#[test]
fn all_runs_the_cheapest_first_and_the_unknown_last() {
    let tiers = select("all", &["6.1"], &workspace()).unwrap();
    let names: Vec<_> = tiers.iter().map(|tier| tier.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "unit",
            "model",
            "dataplane",
            "scenarios",
            "harness",
            "sim",
            "soak",
            "vm-6.1"
        ]
    );
    let one_by_one: Vec<_> = tiers.iter().map(|tier| tier.one_by_one).collect();
    assert_eq!(
        one_by_one,
        [false, false, false, true, true, false, true, false]
    );
}

#[test]
fn only_tests_that_wait_for_real_programs_are_run_again() {
    let tiers = select("all", &["6.1"], &workspace()).unwrap();
    let again = tiers
        .iter()
        .flat_map(|tier| &tier.selections)
        .filter(|selection| selection.on_the_clock);
    let names: Vec<_> = again.map(|selection| selection.args[1].as_str()).collect();
    assert_eq!(names, ["scenarios", "harness", "soak", "vm"]);
}

#[test]
fn integration_tests_of_other_packages_are_unit_tests() {
    let tiers = select("unit", &[], &workspace()).unwrap();
    assert_eq!(
        tiers[0].selections[0].args,
        ["--lib", "--bins", "--test", "cli"]
    );
    assert_eq!(tiers[0].selections[1].args, ["--doc"]);
    assert!(!tiers[0].needs_root);
}

#[test]
fn a_tier_that_does_not_exist_is_answered_with_those_that_do() {
    let error = select("scenario", &["6.1"], &workspace())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no tests `scenario`; there are: all, vm, unit, model, dataplane, scenarios, harness, sim, soak, vm-6.1"
    );
}

#[test]
fn each_kernel_that_is_emulated_has_its_tier() {
    let tiers = select("vm", &["6.1", "7.2"], &workspace()).unwrap();
    let kernels: Vec<_> = tiers.iter().map(|tier| tier.kernel).collect();
    assert_eq!(kernels, [Some("6.1"), Some("7.2")]);
    assert!(tiers[0].selections[0].args.contains(&"vm".to_owned()));
    let one = select("vm-7.2", &["6.1", "7.2"], &workspace()).unwrap();
    assert_eq!(one.len(), 1);
}
