//! `virtual_ipaddress`: an address in each line, with options of `ip address add`.

use std::net::IpAddr;

use super::{Cx, Statement};
use crate::{
    import::{
        finding::{Place, quote},
        yaml::{Entry, Map},
    },
    types::Vip,
};

/// A virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) at: Place,
    pub(super) address: IpAddr,
    /// `None`: not given, so all of it.
    pub(super) prefix: Option<u8>,
    pub(super) interface: Option<String>,
    pub(super) label: Option<String>,
}

/// Reads a block of addresses; one that is there already only gets the options that it lacks.
pub(super) fn read(list: &mut Vec<Address>, s: &Statement, cx: &mut Cx<'_>) {
    for item in s.body() {
        if list.len() >= super::MANY {
            return super::too_many(item, "addresses", cx);
        }
        let Some(new) = address(item, cx) else {
            continue;
        };
        match list.iter_mut().find(|old| old.address == new.address) {
            None => list.push(new),
            Some(old) => {
                cx.warn(
                    &item.at,
                    format!(
                        "{} is in line {} already: taken once",
                        new.address, old.at.line
                    ),
                );
                old.interface = old.interface.take().or(new.interface);
                old.label = old.label.take().or(new.label);
                old.prefix = old.prefix.or(new.prefix);
            }
        }
    }
}

fn address(s: &Statement, cx: &mut Cx<'_>) -> Option<Address> {
    let (text, prefix) = s
        .keyword()
        .split_once('/')
        .map_or((s.keyword(), None), |(a, p)| (a, Some(p)));
    let Ok(address) = text.parse::<IpAddr>() else {
        cx.error(
            &s.at,
            format!("{} is no IP address: left out", quote(s.keyword())),
        );
        return None;
    };
    let prefix = prefix.and_then(|text| {
        let prefix = text
            .parse()
            .ok()
            .filter(|p| *p > 0 && Vip::new(address, *p).is_some());
        if prefix.is_none() {
            let full = Vip::host(address).prefix();
            cx.warn(
                &s.at,
                format!(
                    "{} is no prefix length: /{full} is taken, as in keepalived",
                    quote(text)
                ),
            );
        }
        prefix
    });
    let mut found = Address {
        at: s.at.clone(),
        address,
        prefix,
        interface: None,
        label: None,
    };
    options(&mut found, s, cx);
    Some(found)
}

fn options(address: &mut Address, s: &Statement, cx: &mut Cx<'_>) {
    let mut words = s.args().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "dev" => address.interface = words.next().and_then(|name| cx.interface(name, &s.at)),
            "label" => address.label = words.next().and_then(|text| label(text, s, cx)),
            "scope" => {
                let scope = words.next().unwrap_or_default();
                if !matches!(scope, "global" | "0") {
                    cx.warn(
                        &s.at,
                        format!("`scope {scope}` has no equal: the scope is global"),
                    );
                }
            }
            "brd" | "broadcast" => {
                let given = words.next().unwrap_or_default();
                cx.warn(&s.at, format!("`brd {given}` has no equal: no broadcast address is set, and none is needed"));
            }
            "peer" => {
                let given = words.next().unwrap_or_default();
                cx.warn(
                    &s.at,
                    format!("`peer {given}` has no equal: the address is added without a peer"),
                );
            }
            "preferred_lft" => {
                let given = words.next().unwrap_or_default();
                cx.warn(
                    &s.at,
                    format!(
                        "`preferred_lft {given}` has no equal: the address is preferred for ever"
                    ),
                );
            }
            "track_group" => {
                words.next();
                cx.warn(&s.at, "`track_group` has no equal: left out");
            }
            other
                if other
                    .split('/')
                    .next()
                    .is_some_and(|a| a.parse::<IpAddr>().is_ok()) =>
            {
                let message = format!(
                    "{} is behind another address, give it a line of its own: left out",
                    quote(other)
                );
                cx.error(&s.at, message);
            }
            other => {
                cx.warn(
                    &s.at,
                    format!(
                        "{} has no equal: the address is added without it",
                        quote(other)
                    ),
                );
            }
        }
    }
}

/// The kernel's limit is 15 bytes (`IFNAMSIZ`), and only IPv4 has labels.
fn label(text: &str, s: &Statement, cx: &mut Cx<'_>) -> Option<String> {
    if text.len() > 15 || s.keyword().contains(':') {
        let why = if text.len() > 15 {
            "is longer than 15 characters"
        } else {
            "is a label, and only IPv4 has those"
        };
        cx.warn(
            &s.at,
            format!("{} {why}: the address is added without it", quote(text)),
        );
        return None;
    }
    Some(text.to_owned())
}

impl Address {
    /// As a word, or as a mapping where there is more to say than the address.
    pub(super) fn entry(&self, own: &str) -> Entry {
        let text = match self.prefix {
            None => self.address.to_string(),
            Some(prefix) => format!("{}/{prefix}", self.address),
        };
        let interface = self.interface.as_deref().filter(|name| *name != own);
        if interface.is_none() && self.label.is_none() {
            return Entry::item_at(text, &self.at);
        }
        let mut map = Map::default();
        map.put("address", text);
        map.put_some("interface", interface);
        map.put_some("label", self.label.clone());
        Entry::item_at(map, &self.at)
    }
}
