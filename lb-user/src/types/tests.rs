use super::*;

#[test]
fn only_named_constants_make_priorities_0_and_255() {
    assert_eq!(Priority::new(0), None);
    assert_eq!(Priority::new(255), None);
    assert_eq!(Priority::new(254).map(Priority::get), Some(254));
    assert_eq!(Priority::OWNER.get(), 255);
    assert_eq!(Priority::RELEASE.get(), 0);
}

#[test]
fn router_id_0_is_none() {
    assert_eq!(RouterId::new(0), None);
    assert_eq!(RouterId::new(255).map(RouterId::get), Some(255));
}

#[test]
fn a_name_has_1_to_63_bytes_and_no_white_space() {
    assert!("web".parse::<ServiceName>().is_ok());
    assert!("fd00::1".parse::<BackendName>().is_ok());
    assert!("x".repeat(63).parse::<ServiceName>().is_ok());
    for bad in ["", "a b", "a\tb", "a\nb", "a\0b", &"x".repeat(64)] {
        assert_eq!(bad.parse::<ServiceName>(), Err(NameError), "{bad:?}");
    }
}

#[test]
fn every_address_is_a_backend_name() {
    for text in [
        "255.255.255.255",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::",
    ] {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(text.parse(), Ok(BackendName::from(address)));
    }
}

#[test]
fn a_vip_prefix_fits_its_family() {
    let v4: IpAddr = "10.0.0.1".parse().unwrap();
    let v6: IpAddr = "fd00::1".parse().unwrap();
    assert!(Vip::new(v4, 33).is_none());
    assert!(Vip::new(v6, 129).is_none());
    assert_eq!(Vip::host(v4).to_string(), "10.0.0.1/32");
    assert_eq!(Vip::new(v6, 64).unwrap().to_string(), "fd00::1/64");
}
