//! `virtual_routes`: a route in each line, as after `ip route add`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Cx, Statement};
use crate::import::{
    finding::{Place, quote},
    yaml::{Entry, Map},
};

/// A route of the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    at: Place,
    to: String,
    via: Option<IpAddr>,
    interface: Option<String>,
}

/// Reads a block of routes.
pub(super) fn read(list: &mut Vec<Route>, s: &Statement, cx: &mut Cx<'_>) {
    list.extend(s.body().iter().filter_map(|item| route(item, cx)));
}

fn route(s: &Statement, cx: &mut Cx<'_>) -> Option<Route> {
    let (mut to, mut via, mut interface) = (None, None, None);
    let mut words = s.words().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "via" | "gw" => {
                if word == "gw" {
                    cx.warn(&s.at, "`gw` is an old name of `via`: taken as that");
                }
                let mut text = words.next().unwrap_or_default();
                if matches!(text, "inet" | "inet6") {
                    text = words.next().unwrap_or_default();
                }
                via = Some(
                    text.parse::<IpAddr>()
                        .ok()
                        .or_else(|| left_out(s, text, "no IP address", cx))?,
                );
            }
            "dev" | "oif" => {
                interface = Some(cx.interface(words.next().unwrap_or_default(), &s.at)?);
            }
            "to" | "inet" | "inet6" => {}
            "src" | "scope" | "proto" | "protocol" | "metric" | "priority" | "preference"
            | "mtu" | "advmss" | "realms" | "initcwnd" | "initrwnd" | "track_group" => {
                let value = words.next().unwrap_or_default();
                cx.warn(
                    &s.at,
                    format!(
                        "{} has no equal: the route is added without it",
                        quote(&format!("{word} {value}"))
                    ),
                );
            }
            "no_track" => cx.warn(
                &s.at,
                "`no_track` has no equal: a route that is deleted comes back",
            ),
            "append" | "prepend" | "onlink" => {
                cx.warn(
                    &s.at,
                    format!(
                        "{} has no equal: the route is added without it",
                        quote(word)
                    ),
                );
            }
            other if to.is_none() => match target(other) {
                Some(found) => to = Some(found),
                None => {
                    return left_out(
                        s,
                        other,
                        "neither a network nor a word of routes that Ballast knows",
                        cx,
                    );
                }
            },
            other => return left_out(s, other, "a part of routes that has no equal", cx),
        }
    }
    let Some(to) = to else {
        return left_out(s, s.keyword(), "a route to nowhere", cx);
    };
    Some(Route {
        at: s.at.clone(),
        to,
        via,
        interface,
    })
}

fn left_out<T>(s: &Statement, word: &str, what: &str, cx: &mut Cx<'_>) -> Option<T> {
    cx.error(
        &s.at,
        format!(
            "{} is {what}: the route {} is left out",
            quote(word),
            s.quoted()
        ),
    );
    None
}

/// A network, without host bits, or `default`.
fn target(text: &str) -> Option<String> {
    if matches!(text, "default" | "default6") {
        return Some("default".to_owned());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let network: IpNet = text.parse().ok()?;
    if network.prefix_len() == 0 && network.addr().is_unspecified() {
        return Some("default".to_owned());
    }
    Some(network.trunc().to_string())
}

impl Route {
    pub(super) fn entry(&self) -> Entry {
        let mut map = Map::default();
        map.put("to", self.to.as_str());
        map.put_some("via", self.via.map(|a| a.to_string()));
        map.put_some("interface", self.interface.clone());
        Entry::item_at(map, &self.at)
    }
}
