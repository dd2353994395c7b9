use super::*;

const CONFIG: &str = "\
datapath:
  interfaces: [eth0]
services:
  - name: web
    address: 172.16.0.125
    port: 80
    backends:
      - { name: web1, address: 10.1.0.7, forwarding: tunnel }
      - { name: web2, address: 10.1.0.8, forwarding: tunnel }
      - { name: web3, address: 10.1.0.9 }
";

fn said(destination: [u8; 4], mtu: u32) -> TooBig {
    TooBig {
        source: [10, 0, 0, 2].into(),
        destination: destination.into(),
        mtu,
        length: 1500,
    }
}

fn learn(paths: &mut Paths, said: &TooBig, now: Instant) -> bool {
    let config = crate::config::validate_str("t.yaml", CONFIG)
        .unwrap()
        .config;
    let own = BTreeSet::from([[10, 0, 0, 2].into()]);
    paths.learn(said, &config, &own, now)
}

#[test]
fn a_path_is_narrowed_at_once_and_widened_after_a_while() {
    let (mut paths, now) = (Paths::default(), Instant::now());
    let to = IpAddr::from([10, 1, 0, 7]);
    assert!(learn(&mut paths, &said([10, 1, 0, 7], 1400), now));
    assert_eq!(paths.mtus()[&to], 1400);
    assert!(!learn(&mut paths, &said([10, 1, 0, 7], 1450), now), "wider");
    assert!(!learn(&mut paths, &said([10, 1, 0, 7], 1400), now), "again");
    assert!(learn(
        &mut paths,
        &said([10, 1, 0, 7], 1300),
        now + KEPT / 2
    ));
    assert!(!paths.expire(now + KEPT));
    assert_eq!(paths.mtus()[&to], 1300);
    assert!(paths.expire(now + KEPT + KEPT / 2));
    assert!(paths.mtus().is_empty());
}

#[test]
fn what_cannot_be_true_is_not_believed() {
    let (mut paths, now) = (Paths::default(), Instant::now());
    assert!(
        !learn(&mut paths, &said([10, 1, 0, 9], 1400), now),
        "no tunnel"
    );
    assert!(
        !learn(&mut paths, &said([10, 9, 9, 9], 1400), now),
        "nobody"
    );
    let foreign = TooBig {
        source: [10, 0, 0, 3].into(),
        ..said([10, 1, 0, 7], 1400)
    };
    assert!(!learn(&mut paths, &foreign, now), "not ours");
    assert!(learn(&mut paths, &said([10, 1, 0, 7], 68), now));
    assert_eq!(paths.mtus().values().copied().max(), Some(LEAST_V4));
}

#[test]
fn a_router_of_old_means_the_next_plateau() {
    assert_eq!(fitting(&said([10, 1, 0, 7], 0)), 1492);
}
