//! `virtual_server_group`, `virtual_server` and `real_server`.

mod grammar;

use std::{net::IpAddr, time::Duration};

use super::{
    Cx, Statement,
    check::{Check, Timing},
    command::Command,
    global::Timeouts,
};
use crate::import::finding::{Place, quote};

/// An address and port that clients ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Front {
    pub(in crate::import) at: Place,
    pub(in crate::import) address: IpAddr,
    pub(in crate::import) port: u16,
}

/// What stands behind `virtual_server`.
pub(in crate::import) enum Fronts {
    One(Front),
    Group(String),
}

impl Fronts {
    /// The group's name.
    pub(super) fn group(&self) -> Option<&str> {
        match self {
            Self::One(_) => None,
            Self::Group(name) => Some(name),
        }
    }
}

/// A group of addresses.
pub(super) struct VirtualGroup {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) fronts: Vec<Front>,
}

/// How real servers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Method {
    Nat,
    DirectRouting,
    Tunnel,
}

impl Method {
    pub(in crate::import) fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::DirectRouting => "direct_routing",
            Self::Tunnel => "tunnel",
        }
    }
}

/// The protocols that have an equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(in crate::import) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Our word for a scheduler.
pub(in crate::import) type Scheduler = &'static str;

/// A virtual server.
pub(in crate::import) struct Service {
    pub(in crate::import) at: Place,
    pub(in crate::import) fronts: Fronts,
    pub(in crate::import) name: Option<String>,
    pub(in crate::import) scheduler: Option<Scheduler>,
    pub(in crate::import) method: Option<Method>,
    /// What is told of `mh` and `sh`, with the flags that change them.
    mh: Option<Place>,
    mh_port: bool,
    sh: Option<Place>,
    sh_port: bool,
    pub(in crate::import) protocol: Option<Protocol>,
    /// The protocol is one that has no equal.
    pub(in crate::import) foreign_protocol: bool,
    pub(in crate::import) persistence: Option<Duration>,
    pub(in crate::import) prefix_length: Option<u8>,
    pub(super) timeouts: Timeouts,
    pub(in crate::import) quorum: Option<u32>,
    pub(in crate::import) hysteresis: Option<u32>,
    pub(super) on_up: Option<Command>,
    pub(super) on_down: Option<Command>,
    pub(in crate::import) fallback: Option<Fallback>,
    pub(super) host: Option<String>,
    pub(super) timing: Timing,
    pub(super) inhibit: bool,
    /// Of real servers that say nothing.
    pub(super) weight: u16,
    pub(in crate::import) backends: Vec<Backend>,
    /// There are no checks, and there could not be: this is not keepalived's file.
    pub(in crate::import) unchecked: bool,
    pub(in crate::import) broken: bool,
}

/// A sorry server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) struct Fallback {
    pub(in crate::import) at: Place,
    pub(in crate::import) address: IpAddr,
    pub(in crate::import) port: Option<u16>,
    pub(in crate::import) method: Option<Method>,
}

/// A real server.
pub(in crate::import) struct Backend {
    pub(in crate::import) at: Place,
    pub(in crate::import) name: Option<String>,
    pub(in crate::import) address: IpAddr,
    pub(in crate::import) port: Option<u16>,
    pub(in crate::import) weight: Option<u16>,
    /// Where the weight stands.
    pub(in crate::import) weight_at: Option<Place>,
    pub(in crate::import) method: Option<Method>,
    pub(super) host: Option<String>,
    pub(super) timing: Timing,
    pub(super) inhibit: Option<bool>,
    pub(super) checks: Vec<Check>,
    /// A checker was there and could not be taken.
    pub(super) lost_check: bool,
}

impl Service {
    pub(in crate::import) fn new(at: &Place, fronts: Fronts) -> Self {
        Self {
            at: at.clone(),
            fronts,
            name: None,
            scheduler: None,
            method: None,
            mh: None,
            mh_port: false,
            sh: None,
            sh_port: false,
            protocol: None,
            foreign_protocol: false,
            persistence: None,
            prefix_length: None,
            timeouts: Timeouts::default(),
            quorum: None,
            hysteresis: None,
            on_up: None,
            on_down: None,
            fallback: None,
            host: None,
            timing: Timing::default(),
            inhibit: false,
            weight: 1,
            backends: Vec::new(),
            unchecked: false,
            broken: false,
        }
    }
}

impl Backend {
    pub(in crate::import) fn new(at: &Place, address: IpAddr, port: Option<u16>) -> Self {
        Self {
            at: at.clone(),
            name: None,
            address,
            port,
            weight: None,
            weight_at: None,
            method: None,
            host: None,
            timing: Timing::default(),
            inhibit: None,
            checks: Vec::new(),
            lost_check: false,
        }
    }
}

/// Reads a virtual server.
pub(super) fn read(services: &mut Vec<Service>, s: &Statement, cx: &mut Cx<'_>) {
    let left_out =
        |cx: &mut Cx<'_>, why: &str| cx.error(&s.at, format!("{why}: {} is left out", s.quoted()));
    let fronts = match (s.arg(0), s.arg(1)) {
        ("fwmark", _) => return left_out(cx, "firewall marks have no equal"),
        ("group", name) => Fronts::Group(name.to_owned()),
        (address, port) => match front(address, port, &s.at) {
            Ok(front) => Fronts::One(front),
            Err(why) => return left_out(cx, &why),
        },
    };
    let mut service = Service::new(&s.at, fronts);
    service.broken = grammar::SERVICE.walk(s.body(), &mut service, cx).broken;
    grammar::tell_hashes(&service, cx);
    services.push(service);
}

fn front(address: &str, port: &str, at: &Place) -> Result<Front, String> {
    let address = address
        .parse()
        .map_err(|_| format!("{} is no IP address", quote(address)))?;
    if matches!(port, "" | "0") {
        return Err("a service for all ports has no equal, give one for each port".to_owned());
    }
    let port = port
        .parse()
        .map_err(|_| format!("{} is no port from 1 to 65535", quote(port)))?;
    let at = at.clone();
    Ok(Front { at, address, port })
}

/// Reads a group of addresses.
pub(super) fn group(groups: &mut Vec<VirtualGroup>, s: &Statement, cx: &mut Cx<'_>) {
    if groups.iter().any(|g| g.name == s.arg(0)) {
        return cx.error(
            &s.at,
            format!(
                "{} is there already: the second one is left out",
                s.quoted()
            ),
        );
    }
    let mut fronts = Vec::new();
    for item in s.body() {
        if fronts.len() > crate::config::limits::SERVICES {
            cx.error(
                &item.at,
                "more addresses than there can be services: the rest is left out",
            );
            break;
        }
        if item.keyword() == "fwmark" {
            cx.error(
                &item.at,
                format!(
                    "firewall marks have no equal: {} is left out",
                    item.quoted()
                ),
            );
            continue;
        }
        match range(item.keyword()) {
            Err(why) => cx.error(&item.at, format!("{why}: {} is left out", item.quoted())),
            Ok(addresses) => {
                for address in addresses {
                    match front(&address.to_string(), item.arg(0), &item.at) {
                        Ok(front) => fronts.push(front),
                        Err(why) => {
                            cx.error(&item.at, format!("{why}: {} is left out", item.quoted()));
                            break;
                        }
                    }
                }
            }
        }
    }
    groups.push(VirtualGroup {
        at: s.at.clone(),
        name: s.arg(0).to_owned(),
        fronts,
    });
}

/// `10.0.0.1`, `10.0.0.1-5` (hexadecimal in IPv6), `10.0.0.1-10.0.1.2` or `10.0.0.0/29`: all of its addresses.
fn range(text: &str) -> Result<Vec<IpAddr>, String> {
    let wrong = || format!("{} is no address and no range of addresses", quote(text));
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let (first, last) = if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = first.parse().map_err(|_| wrong())?;
        (first, end_of(first, last).ok_or_else(wrong)?)
    } else {
        let network: ipnet::IpNet = text.parse().map_err(|_| wrong())?;
        (network.network(), network.broadcast())
    };
    let (low, high) = (number(first), number(last));
    if first.is_ipv4() != last.is_ipv4() || low > high {
        return Err(wrong());
    }
    if high - low >= MOST {
        return Err(format!("{} is more than {MOST} addresses", quote(text)));
    }
    Ok((low..=high).map(|n| address(n, first.is_ipv4())).collect())
}

/// The last address of a range: a whole one, or the last part of one.
fn end_of(first: IpAddr, last: &str) -> Option<IpAddr> {
    if let Ok(address) = last.parse() {
        return Some(address);
    }
    match first {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Some(IpAddr::from([a, b, c, last.parse().ok()?]))
        }
        IpAddr::V6(v6) => {
            let mut parts = v6.segments();
            parts[7] = u16::from_str_radix(last, 16).ok()?;
            Some(IpAddr::from(parts))
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn address(number: u128, v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if v4 => IpAddr::V4(number.into()),
        _ => IpAddr::V6(number.into()),
    }
}

/// Addresses of one range: as many as there may be services.
const MOST: u128 = crate::config::limits::SERVICES as u128;

/// Our scheduler for one of IPVS; `Err`: the nearest to one that has no equal.
pub(in crate::import) fn scheduler(name: &str) -> Option<Result<Scheduler, Scheduler>> {
    Some(match name {
        "rr" => Ok("rr"),
        "wrr" => Ok("wrr"),
        "lc" => Ok("lc"),
        "wlc" => Ok("wlc"),
        "sed" => Ok("sed"),
        "nq" => Ok("nq"),
        "sh" => Ok("sh"),
        "dh" => Ok("dh"),
        "mh" => Ok("maglev"),
        "lblc" | "lblcr" => Err("dh"),
        "fo" | "ovf" | "twos" => Err("wlc"),
        _ => return None,
    })
}
