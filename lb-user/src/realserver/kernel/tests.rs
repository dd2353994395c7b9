use super::*;

fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

fn names(vips: &[&str], sources: &[&str]) -> Vec<String> {
    let sources: Vec<IpNet> = sources
        .iter()
        .map(|text| IpNet::from(text.parse::<IpAddr>().unwrap()))
        .collect();
    devices(&set(vips), &sources)
        .into_iter()
        .map(|(name, _, remote)| format!("{name} {remote}"))
        .collect()
}

#[test]
fn there_is_a_device_for_each_balancer_and_kind_of_packet() {
    assert_eq!(
        names(&["10.0.0.125"], &["10.0.0.2", "10.0.0.3"]),
        ["ballast-ipip0 10.0.0.2", "ballast-ipip1 10.0.0.3"]
    );
    assert_eq!(
        names(&["10.0.0.125", "fd00::125"], &["10.0.0.2", "fd00::2"]),
        [
            "ballast-ipip0 10.0.0.2",
            "ballast-sit0 10.0.0.2",
            "ballast-ip61 fd00::2"
        ]
    );
    assert_eq!(
        names(&["10.0.0.125"], &["fd00::2"]),
        ["ballast-ip60 fd00::2"]
    );
}

#[test]
fn a_prefix_is_no_peer() {
    let nets = |text: &str| vec![text.parse::<IpNet>().unwrap()];
    assert!(can_name(&nets("10.0.0.2/32")));
    assert!(!can_name(&nets("10.0.0.0/30")));
    assert!(can_name(&nets("fd00::2/128")));
}
