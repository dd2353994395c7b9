use super::*;

#[test]
fn the_first_of_a_network_endangers_those_behind_it_that_stay() {
    let all = [
        own(2, "10.0.0.100", 24, false),
        own(2, "10.0.0.101", 24, true),
        own(2, "10.0.0.1", 24, true),
    ];
    let vips = [spec(2, "10.0.0.100", 24), spec(2, "10.0.0.101", 24)];
    assert_eq!(endangered(&all, &vips), [index(2)].into());
    assert_eq!(endangered(&all, &vips[1..]), [].into());
    assert_eq!(endangered(&all[..2], &vips), [].into());
}

#[test]
fn another_network_interface_or_family_is_in_no_danger() {
    let all = [
        own(2, "10.0.0.100", 24, false),
        own(3, "10.0.0.1", 24, true),
        own(2, "10.0.1.1", 24, true),
        own(2, "10.0.0.1", 25, true),
        own(2, "fd00::100", 64, false),
        own(2, "fd00::1", 64, false),
    ];
    let vips = [spec(2, "10.0.0.100", 24), spec(2, "fd00::100", 64)];
    assert_eq!(endangered(&all, &vips), [].into());
}

fn own(interface: u32, address: &str, prefix: u8, secondary: bool) -> Address {
    Address {
        interface: index(interface),
        address: address.parse().unwrap(),
        prefix,
        secondary,
        unchecked: false,
        tentative: false,
        ours: false,
    }
}

fn spec(interface: u32, address: &str, prefix: u8) -> AddressSpec {
    AddressSpec {
        interface: index(interface),
        address: address.parse().unwrap(),
        prefix,
        label: None,
    }
}

fn index(index: u32) -> IfIndex {
    IfIndex::new(index).unwrap()
}
