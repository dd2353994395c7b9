//! What a master holds: addresses and routes.

use std::{collections::HashMap, net::IpAddr};

use super::{
    address::{check_unicast, family as family_word, network, unicast},
    at_most,
};
use crate::{
    config::{
        limits,
        model::{Family, RouteTarget, VirtualAddress, VirtualRoute},
        tree::Value,
        walk::{Cx, Fields, Item, quote},
    },
    types::Vip,
};

/// Reads `virtual_addresses`, none of which may be `taken` (address to line).
pub(super) fn addresses(
    cx: &mut Cx,
    instance: &mut Fields<'_>,
    family: Family,
    taken: &mut HashMap<IpAddr, u32>,
) -> Vec<VirtualAddress> {
    at_most(cx, instance, "virtual_addresses", limits::VIRTUAL_ADDRESSES);
    instance.each(
        cx,
        "virtual_addresses",
        "addresses like `172.16.0.125/25`",
        |item, cx| {
            if !item.is_map() {
                let vip = vip(item, cx, family, taken)?;
                return Some(VirtualAddress {
                    vip,
                    interface: None,
                    label: None,
                });
            }
            let mut fields = item.fields(cx)?;
            let vip = fields
                .need(cx, "address")
                .and_then(|item| vip(&item, cx, family, taken));
            let interface = fields.maybe(cx, "interface", |item, cx| item.parsed(cx));
            let label = fields.maybe(cx, "label", |item, cx| label(item, cx, family));
            fields.close(cx);
            Some(VirtualAddress {
                vip: vip?,
                interface,
                label,
            })
        },
    )
}

fn vip(
    item: &Item<'_>,
    cx: &mut Cx,
    family: Family,
    taken: &mut HashMap<IpAddr, u32>,
) -> Option<Vip> {
    let text = item.some_text(cx)?;
    let Some(vip) = parse(text) else {
        let message = format!(
            "{} is no address, expected one like `172.16.0.125/25` or `fd00::1/64`",
            quote(text)
        );
        item.error(cx, message);
        return None;
    };
    if !check_unicast(item, cx, vip.addr()) {
        return None;
    }
    if Family::of(vip.addr()) != family {
        let message = format!(
            "{} is {}, the instance is {family}: give it to an instance of its family",
            vip.addr(),
            family_word(vip.addr())
        );
        item.error(cx, message);
    }
    match taken.get(&vip.addr()) {
        Some(line) => item.error(
            cx,
            format!(
                "{} is a virtual address already, in line {line}",
                vip.addr()
            ),
        ),
        None => {
            taken.insert(vip.addr(), item.node.at.line);
        }
    }
    Some(vip)
}

/// `address` or `address/prefix`; the prefix may not be 0.
fn parse(text: &str) -> Option<Vip> {
    match text.split_once('/') {
        None => text.parse().ok().map(Vip::host),
        Some((address, prefix)) => Vip::new(
            address.parse().ok()?,
            prefix.parse().ok().filter(|p| *p > 0)?,
        ),
    }
}

/// `IFA_LABEL` is 15 characters (kernel `net/ipv4/devinet.c`), and only IPv4 has it.
fn label(item: &Item<'_>, cx: &mut Cx, family: Family) -> Option<String> {
    let label = item.some_text(cx)?;
    if family == Family::V6 {
        item.error(cx, "only IPv4 addresses have labels");
    } else if label.len() > 15 || label.contains(char::is_whitespace) {
        item.error(
            cx,
            format!(
                "{} is no label, expected at most 15 characters like `eth1:1`",
                quote(label)
            ),
        );
    }
    Some(label.to_owned())
}

/// Reads `virtual_routes`.
pub(super) fn routes(cx: &mut Cx, instance: &mut Fields<'_>) -> Vec<VirtualRoute> {
    instance.each(
        cx,
        "virtual_routes",
        "routes like `{ to: 10.0.0.0/8, via: 10.1.1.1 }`",
        |item, cx| {
            let mut fields = item.fields(cx)?;
            let to = fields.need(cx, "to").and_then(|item| target(&item, cx));
            let via = fields.maybe(cx, "via", unicast);
            let interface = fields.maybe(cx, "interface", |item, cx| item.parsed(cx));
            if fields.get("via").is_none() && fields.get("interface").is_none() {
                fields.error(cx, "leads nowhere, expected `via`, `interface` or both");
            }
            if let (Some(RouteTarget::Network(to)), Some(via)) = (to, via)
                && to.addr().is_ipv4() != via.is_ipv4()
                && let Some(item) = fields.get("via")
            {
                item.error(
                    cx,
                    format!(
                        "{via} is {}, the target is {}",
                        family_word(via),
                        family_word(to.addr())
                    ),
                );
            }
            fields.close(cx);
            Some(VirtualRoute {
                to: to?,
                via,
                interface,
            })
        },
    )
}

fn target(item: &Item<'_>, cx: &mut Cx) -> Option<RouteTarget> {
    let text = item.some_text(cx)?;
    let target = if text == "default" {
        RouteTarget::Default
    } else if let Ok(address) = text.parse::<IpAddr>() {
        RouteTarget::Network(address.into())
    } else {
        RouteTarget::Network(network(item, cx)?)
    };
    let default = match target {
        RouteTarget::Default => true,
        RouteTarget::Network(net) => net.prefix_len() == 0,
    };
    if default {
        item.warn(
            cx,
            "a default route that only the master has: a backup can reach nobody outside",
        );
    }
    Some(target)
}

/// The first virtual address that can be read, without a word about the others.
pub(super) fn first_address(instance: &mut Fields<'_>) -> Option<IpAddr> {
    let Value::List(nodes) = &instance.get("virtual_addresses")?.node.value else {
        return None;
    };
    nodes.iter().find_map(|node| {
        let text = match &node.value {
            Value::Map(entries) => match &entries.iter().find(|e| e.key == "address")?.node.value {
                Value::Scalar { text, .. } => text,
                _ => return None,
            },
            Value::Scalar { text, .. } => text,
            _ => return None,
        };
        parse(text).map(Vip::addr)
    })
}

/// The text of a list's first item.
pub(super) fn first_of<'a>(list: &Item<'a>) -> Option<&'a str> {
    match &list.node.value {
        Value::List(nodes) => nodes.first().and_then(|node| match &node.value {
            Value::Scalar { text, .. } => Some(text.as_str()),
            _ => None,
        }),
        _ => None,
    }
}
