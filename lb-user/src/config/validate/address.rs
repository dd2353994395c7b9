//! Addresses with a use: which ones cannot have it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::walk::{Cx, Item, quote};

/// An address that packets can be sent to.
pub(super) fn unicast(item: &Item<'_>, cx: &mut Cx) -> Option<IpAddr> {
    let address = item.address(cx)?;
    check_unicast(item, cx, address).then_some(address)
}

/// Reports an address that packets cannot be sent to.
pub(super) fn check_unicast(item: &Item<'_>, cx: &mut Cx, address: IpAddr) -> bool {
    let kind = match address {
        a if a.is_unspecified() => "the unspecified address",
        a if a.is_multicast() => "a multicast address",
        a if a.is_loopback() => "a loopback address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => "a reserved address",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address in IPv6 clothes",
        _ => return true,
    };
    item.error(
        cx,
        format!("{address} is {kind}, expected a host's address"),
    );
    false
}

/// A network without host bits, written `address/length`.
pub(super) fn network(item: &Item<'_>, cx: &mut Cx) -> Option<IpNet> {
    let text = item.some_text(cx)?;
    let Ok(net) = text.parse::<IpNet>() else {
        item.error(
            cx,
            format!(
                "{} is not a network like `10.0.0.0/24` or `fd00::/64`",
                quote(text)
            ),
        );
        return None;
    };
    if net != net.trunc() {
        item.error(
            cx,
            format!(
                "{net} is a host in its network, expected the network `{}`",
                net.trunc()
            ),
        );
        return None;
    }
    Some(net)
}

/// `IPv4` or `IPv6`.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
