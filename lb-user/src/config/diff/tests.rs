use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::config::validate_str;

/// A service: last octet, backends as (last octet, weight), whether it is round robin.
type Written = (u8, Vec<(u8, u16)>, bool);

/// A configuration of services.
fn config(services: &[Written], tail: &str) -> Config {
    let mut text = "datapath: { interfaces: [eth0] }\nservices:\n".to_owned();
    for (n, backends, rr) in services {
        let scheduler = if *rr { "rr" } else { "maglev" };
        text += &format!(
            "- {{ name: s{n}, address: 10.0.0.{n}, port: 80, scheduler: {scheduler}, backends: ["
        );
        for (b, weight) in backends {
            text += &format!("{{ address: 10.0.1.{b}, weight: {weight} }}, ");
        }
        text += "] }\n";
    }
    text += tail;
    validate_str("t.yaml", &text).unwrap().config
}

/// Up to four services in any order: the order is part of the file, not of the meaning.
fn arbitrary() -> impl Strategy<Value = Config> {
    let backends = prop::collection::btree_map(1u8..6, 0u16..3, 0..5);
    prop::collection::btree_map(1u8..6, (backends, any::<bool>()), 1..5)
        .prop_map(|services| {
            let flat = |(n, (backends, rr)): (u8, (BTreeMap<u8, u16>, bool))| {
                (n, backends.into_iter().collect(), rr)
            };
            services.into_iter().map(flat).collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|services| config(&services, ""))
}

/// What a reload does with a change: it takes from the new configuration only what the change names.
fn apply(change: &ConfigChange, old: &Config, new: &Config) -> HashSet<String> {
    let show = |s: &Service| format!("{s:?}");
    let find =
        |c: &Config, key: &ServiceKey| show(c.services.iter().find(|s| s.key() == *key).unwrap());
    let mut services: HashSet<String> = old.services.iter().map(show).collect();
    for key in change
        .services
        .removed
        .iter()
        .chain(&change.services.changed)
    {
        assert!(services.remove(&find(old, key)));
    }
    for key in change.services.added.iter().chain(&change.services.changed) {
        assert!(services.insert(find(new, key)));
    }
    services
}

proptest! {
    #[test]
    fn nothing_changes_between_equals(a in arbitrary()) {
        let change = diff(&a, &a);
        prop_assert!(change.is_empty());
        prop_assert_eq!(change.services.unchanged.len(), a.services.len());
    }

    #[test]
    fn what_is_named_is_all_that_changes(a in arbitrary(), b in arbitrary()) {
        let change = diff(&a, &b);
        let wanted: HashSet<String> = b.services.iter().map(|s| format!("{s:?}")).collect();
        prop_assert_eq!(apply(&change, &a, &b), wanted);
    }

    #[test]
    fn every_service_is_in_one_list(a in arbitrary(), b in arbitrary()) {
        let Changes { added, removed, changed, unchanged } = diff(&a, &b).services;
        let all: Vec<ServiceKey> = [added, removed, changed, unchanged].concat();
        let once: HashSet<ServiceKey> = all.iter().copied().collect();
        let wanted: HashSet<ServiceKey> = a.services.iter().chain(&b.services).map(Service::key).collect();
        prop_assert_eq!(all.len(), once.len());
        prop_assert_eq!(once, wanted);
    }

    #[test]
    fn the_way_back_adds_what_the_way_there_removes(a in arbitrary(), b in arbitrary()) {
        let there = diff(&a, &b).services;
        let back = diff(&b, &a).services;
        prop_assert_eq!(there.added, back.removed);
        prop_assert_eq!(there.removed, back.added);
        prop_assert_eq!(there.changed.len(), back.changed.len());
    }

    #[test]
    fn a_changed_service_says_what_changed(a in arbitrary(), b in arbitrary()) {
        let change = diff(&a, &b);
        let keys: Vec<ServiceKey> = change.service_changes.iter().map(|c| c.key).collect();
        prop_assert_eq!(keys, change.services.changed);
        for c in change.service_changes {
            let old = a.services.iter().find(|s| s.key() == c.key).unwrap();
            let new = b.services.iter().find(|s| s.key() == c.key).unwrap();
            prop_assert_eq!(c.settings, old.scheduler != new.scheduler);
            prop_assert!(c.settings || !c.backends.is_empty());
        }
    }
}

#[test]
fn a_new_weight_changes_one_backend() {
    let a = config(&[(1, vec![(1, 1), (2, 1)], false)], "");
    let b = config(&[(1, vec![(2, 5), (1, 1), (3, 1)], false)], "");
    let change = diff(&a, &b);
    let [service] = change.service_changes.as_slice() else {
        panic!("{change:?}")
    };
    let key = |n: usize| b.services[0].backends[n].key();
    assert!(!service.settings);
    assert_eq!(service.backends.changed, [key(0)]);
    assert_eq!(service.backends.unchanged, [key(1)]);
    assert_eq!(service.backends.added, [key(2)]);
}

#[test]
fn settings_that_are_fixed_while_loaded_need_a_restart() {
    let services = [(1, vec![(1, 1)], false)];
    let a = config(&services, "");
    let b = config(
        &services,
        "runtime_dir: /run/x\nbpffs_dir: /sys/fs/bpf/x\nrouter_id: lb2\n",
    );
    let change = diff(&a, &b);
    assert_eq!(change.needs_restart, ["runtime_dir", "bpffs_dir"]);
    assert_eq!(change.settings, ["router_id"]);
    assert!(change.services.is_empty());

    let mut b = a.clone();
    b.datapath.engine = crate::config::model::Engine::Xdp;
    b.datapath.xdp_mode = crate::config::model::XdpMode::Native;
    b.datapath.connection_table_size += 1;
    b.datapath.ring_memory += 1;
    b.datapath.hash_key = Some("k".to_owned());
    b.datapath.interfaces = vec!["eth1".parse().unwrap()];
    let change = diff(&a, &b);
    let restart = [
        "datapath.engine",
        "datapath.xdp_mode",
        "datapath.connection_table_size",
        "datapath.ring_memory",
    ];
    assert_eq!(change.needs_restart, restart);
    assert_eq!(change.settings, ["datapath.hash_key"]);
    assert_eq!(change.interfaces.added, b.datapath.interfaces);
    assert_eq!(change.interfaces.removed, a.datapath.interfaces);
}

#[test]
fn writing_out_a_default_changes_nothing() {
    let services = [(1, vec![(1, 1)], false)];
    let change = diff(
        &config(&services, ""),
        &config(&services, "runtime_dir: /run/ballast\n"),
    );
    assert!(change.is_empty());
}
