use lb_common::addr::Addr;

use super::*;

fn key(port: u16) -> ServiceKey {
    ServiceKey::new(Addr::UNSPECIFIED, port, 6)
}

fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

#[test]
fn an_index_stays_with_its_backend() {
    let mut ids = Ids::of(&Image::default(), 4, 8);
    let first = ids
        .backends(key(80), [(address(1), 80), (address(2), 80)])
        .unwrap();
    let again = ids
        .backends(
            key(80),
            [(address(3), 80), (address(2), 80), (address(1), 80)],
        )
        .unwrap();
    assert_eq!(again[1..], [first[1], first[0]]);
    assert_ne!(again[0].0, first[0].0);
    assert_eq!(ids.service(key(80)).unwrap(), ids.service(key(80)).unwrap());
    assert_ne!(ids.service(key(80)).unwrap(), ids.service(key(81)).unwrap());
}

#[test]
fn an_index_comes_back_only_after_it_was_erased_and_with_a_new_generation() {
    let mut ids = Ids::of(&Image::default(), 4, 2);
    let old = ids
        .backends(key(80), [(address(1), 80), (address(2), 80)])
        .unwrap();
    let error = ids.backends(key(80), [(address(3), 80)]).unwrap_err();
    assert!(error.to_string().contains("room for 2 backends"), "{error}");
    ids.retain(&Image::default());
    let new = ids.backends(key(80), [(address(3), 80)]).unwrap();
    assert_eq!(new, [(old[0].0, 2)]);
}
