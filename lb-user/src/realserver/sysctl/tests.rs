use std::collections::BTreeMap;

use super::*;

fn changes(settings: &[(&str, i64)]) -> BTreeMap<String, i64> {
    let settings: BTreeMap<_, _> = settings.iter().copied().collect();
    let read = |key: &str| {
        let short = key.strip_prefix("net/ipv4/conf/").unwrap();
        Some(settings.get(short).copied().unwrap_or(0))
    };
    wanted(&read, &["eth0".parse().unwrap(), "eth1".parse().unwrap()])
        .into_iter()
        .filter_map(|wanted| Some((wanted.key, wanted.becomes?)))
        .collect()
}

#[test]
fn a_fresh_host_gets_the_four_settings_of_the_instructions() {
    let expected = [
        ("net/ipv4/conf/all/arp_announce", 2),
        ("net/ipv4/conf/all/arp_ignore", 1),
        ("net/ipv4/conf/lo/arp_announce", 2),
        ("net/ipv4/conf/lo/arp_ignore", 1),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(changes(&[]), BTreeMap::from(expected));
}

#[test]
fn what_is_strict_enough_is_left_alone() {
    let settings = [
        ("all/arp_ignore", 2),
        ("lo/arp_ignore", 8),
        ("all/arp_announce", 2),
        ("lo/arp_announce", 2),
        ("eth0/rp_filter", 2),
    ];
    assert_eq!(changes(&settings), BTreeMap::new());
}

#[test]
fn strict_source_checks_become_loose_whoever_asks_for_them() {
    let rp_filter = |settings: &[(&str, i64)]| -> Vec<String> {
        let changed = changes(settings).into_iter();
        changed
            .filter(|(key, value)| key.ends_with("rp_filter") && *value == 2)
            .map(|(key, _)| key)
            .collect()
    };
    let (eth0, eth1) = (
        "net/ipv4/conf/eth0/rp_filter".to_owned(),
        "net/ipv4/conf/eth1/rp_filter".to_owned(),
    );
    assert_eq!(
        rp_filter(&[("eth0/rp_filter", 1)]),
        std::slice::from_ref(&eth0)
    );
    assert_eq!(rp_filter(&[("all/rp_filter", 1)]), [eth0, eth1.clone()]);
    // Loose beats strict.
    assert_eq!(
        rp_filter(&[("all/rp_filter", 1), ("eth0/rp_filter", 2)]),
        [eth1]
    );
    assert_eq!(
        rp_filter(&[("all/rp_filter", 2), ("eth0/rp_filter", 1)]),
        [""; 0]
    );
}

#[test]
fn names_are_shown_as_sysctl_takes_them() {
    assert_eq!(
        shown("net/ipv4/conf/eth0/rp_filter"),
        "net.ipv4.conf.eth0.rp_filter"
    );
    assert_eq!(
        shown("net/ipv4/conf/eth0.5/rp_filter"),
        "net/ipv4/conf/eth0.5/rp_filter"
    );
}
