//! `services`.

use std::collections::{HashMap, HashSet};

use super::{Users, checks};
use crate::config::limits::BACKENDS;
use crate::import::{
    convert::{
        Backend, Cx, Everything, Front, Fronts, Method, Place, Protocol, Service, command::Command,
        global::Timeouts, name, quote, service::Fallback, value::show,
    },
    yaml::{Entry, Map, Node},
};

/// What no two services may have, and what is said once.
#[derive(Default)]
struct Taken {
    fronts: HashMap<(std::net::IpAddr, u16, &'static str), u32>,
    names: HashSet<String>,
    /// Addresses whose real servers' needs were told, for tunnels or not.
    told: HashSet<(std::net::IpAddr, bool)>,
}

pub(super) fn write(all: &Everything, users: &mut Users, cx: &mut Cx<'_>) -> Vec<Entry> {
    let mut taken = Taken::default();
    let mut services = Vec::new();
    let mut backends = 0;
    for service in &all.services {
        let left_out = |cx: &mut Cx<'_>, why: &str| {
            cx.error(&service.at, format!("{}{why} left out", said(service)));
        };
        if service.broken || service.foreign_protocol {
            left_out(cx, " is");
            continue;
        }
        let Some(fronts) = all.fronts(&service.fronts) else {
            left_out(cx, ": there is no such group:");
            continue;
        };
        if fronts.is_empty() {
            left_out(cx, " has no usable address:");
            continue;
        }
        if service.backends.is_empty() {
            let lonely = if service.fallback.is_some() {
                "only a sorry server"
            } else {
                "no usable real server"
            };
            cx.warn(&service.at, format!("{} has {lonely}", said(service)));
        }
        backends += fronts.len() * service.backends.len();
        if backends > BACKENDS {
            let why = format!(": more than {BACKENDS} real servers of all addresses together:");
            left_out(cx, &why);
            break;
        }
        let protocol = protocol(service, cx);
        for front in fronts {
            services.extend(one(service, front, protocol, all, users, &mut taken, cx));
        }
    }
    services
}

/// The virtual server as it was written.
fn said(service: &Service) -> String {
    match &service.fronts {
        Fronts::One(front) => quote(&format!("virtual_server {} {}", front.address, front.port)),
        Fronts::Group(name) => quote(&format!("virtual_server group {name}")),
    }
}

fn protocol(service: &Service, cx: &mut Cx<'_>) -> Protocol {
    service.protocol.unwrap_or_else(|| {
        cx.warn(
            &service.at,
            "no `protocol`: `udp` is written, which is what keepalived takes",
        );
        Protocol::Udp
    })
}

fn one(
    service: &Service,
    front: &Front,
    protocol: Protocol,
    all: &Everything,
    users: &mut Users,
    taken: &mut Taken,
    cx: &mut Cx<'_>,
) -> Option<Entry> {
    let key = (front.address, front.port, protocol.word());
    if let Some(line) = taken.fronts.get(&key) {
        let shown = quote(&format!("{} {}", front.address, front.port));
        cx.error(
            &front.at,
            format!(
                "{shown} over {} is a service already, in line {line}: the second one is left out",
                key.2
            ),
        );
        return None;
    }
    taken.fronts.insert(key, front.at.line);

    let mut map = Map::default();
    map.tall = true;
    map.put("name", service_name(service, front, protocol, taken, cx));
    map.put("address", front.address.to_string()).at(&front.at);
    map.put("port", front.port);
    if protocol == Protocol::Udp {
        let entry = map.put("protocol", "udp");
        if service.protocol.is_none() {
            entry.note("keepalived's default");
        }
    }
    let method = method(service);
    if method != Method::DirectRouting {
        let entry = map.put("forwarding", method.word());
        let said = service
            .method
            .or(service.backends.first().and_then(|b| b.method));
        if said.is_none() {
            entry.note("keepalived's default");
        }
    }
    let scheduler = map.put("scheduler", service.scheduler.unwrap_or("wlc"));
    if service.scheduler.is_none() {
        scheduler.note("keepalived's default");
    }
    map.put_filled("timeouts", timeouts(service, &all.global.timeouts));
    map.put_filled("persistence", persistence(service, front, cx));
    map.put_filled("quorum", quorum(service, cx));
    if let Some(fallback) = &service.fallback {
        map.put("fallback", sorry(fallback, front, method, cx))
            .at(&fallback.at);
    }
    backends(service, front, method, users, &mut map, cx);
    weights(service, cx);
    needs(front, method, service, taken, cx);
    Some(Entry::item_at(map, &service.at))
}

fn service_name(
    s: &Service,
    front: &Front,
    protocol: Protocol,
    taken: &mut Taken,
    cx: &mut Cx<'_>,
) -> String {
    let plain = format!("{}-{}-{}", protocol.word(), front.address, front.port);
    let given = s
        .name
        .as_ref()
        .map(|given| name(given, "service", &s.at, cx));
    let mut name = match (given, &s.fronts) {
        (Some(given), Fronts::One(_)) if !taken.names.contains(&given) => given,
        _ => plain.clone(),
    };
    while !taken.names.insert(name.clone()) {
        name.push('+');
    }
    name
}

/// How most real servers of a service are reached: as it says, or as they agree, or keepalived's default.
fn method(s: &Service) -> Method {
    let first = s.backends.first().and_then(|b| b.method);
    let agreed = first.filter(|first| s.backends.iter().all(|b| b.method == Some(*first)));
    s.method.or(agreed).unwrap_or(Method::Nat)
}

fn timeouts(s: &Service, global: &Timeouts) -> Map {
    let mut map = Map::default();
    map.put_some("established", s.timeouts.tcp.or(global.tcp).map(show));
    map.put_some("closing", s.timeouts.tcpfin.or(global.tcpfin).map(show));
    map.put_some("udp", s.timeouts.udp.or(global.udp).map(show));
    map
}

fn persistence(s: &Service, front: &Front, cx: &mut Cx<'_>) -> Map {
    let mut map = Map::default();
    let Some(timeout) = s.persistence else {
        return map;
    };
    map.put("timeout", show(timeout));
    let full = if front.address.is_ipv4() { 32 } else { 128 };
    let length = s.prefix_length.filter(|length| *length <= full);
    if length != s.prefix_length {
        cx.warn(
            &s.at,
            "`persistence_granularity` is longer than an address: each client is one",
        );
    }
    map.put_some("prefix_length", length.filter(|length| *length != full));
    map
}

fn quorum(s: &Service, cx: &mut Cx<'_>) -> Map {
    let mut map = Map::default();
    let up = s.quorum.unwrap_or(1);
    let mut hysteresis = s.hysteresis.unwrap_or(0);
    if hysteresis >= up {
        hysteresis = up - 1;
        cx.warn(&s.at, format!("`hysteresis` must be less than `quorum`, which is {up}: {hysteresis} is written, as in keepalived"));
    }
    map.put_some("up", (up != 1).then_some(up));
    map.put_some("hysteresis", (hysteresis != 0).then_some(hysteresis));
    let mut program = |key, command: &Option<Command>| {
        if let Some(command) = command {
            let entry = map.put(key, command.node()).at(&command.at);
            if let Some(note) = &command.note {
                entry.note(note.as_str());
            }
        }
    };
    program("on_up", &s.on_up);
    program("on_down", &s.on_down);
    map
}

fn sorry(f: &Fallback, front: &Front, service: Method, cx: &mut Cx<'_>) -> Map {
    let mut map = Map::default();
    map.put("address", f.address.to_string());
    if let Some(other) = f.method.filter(|m| *m != service) {
        cx.warn(
            &f.at,
            format!(
                "the sorry server is reached like the real servers, by {}, not by {}",
                service.word(),
                other.word()
            ),
        );
    }
    if let Some(port) = f.port.filter(|p| *p != front.port) {
        if service == Method::Nat {
            map.put("port", port);
        } else {
            cx.warn(
                &f.at,
                format!(
                    "only nat can change the port: {} is asked at {}, not {port}",
                    f.address, front.port
                ),
            );
        }
    }
    map
}

/// Writes `health_check`, `on_failure` and `backends`; a check that all have is the service's.
fn backends(
    s: &Service,
    front: &Front,
    service: Method,
    users: &mut Users,
    map: &mut Map,
    cx: &mut Cx<'_>,
) {
    let mut addresses: HashMap<std::net::IpAddr, usize> = HashMap::new();
    for backend in &s.backends {
        *addresses.entry(backend.address).or_default() += 1;
    }
    let mut listed: Vec<(Map, Node, &Backend)> = Vec::new();
    let mut seen: HashMap<(std::net::IpAddr, u16), u32> = HashMap::new();
    for backend in &s.backends {
        let Some((method, port)) = reach(backend, front, service, cx) else {
            continue;
        };
        if let Some(line) = seen.get(&(backend.address, port)) {
            cx.error(
                &backend.at,
                format!("{} port {port} is the real server of line {line} already: left out, as in keepalived", backend.address),
            );
            continue;
        }
        let same_address = addresses.get(&backend.address).is_some_and(|n| *n > 1);
        seen.insert((backend.address, port), backend.at.line);
        let mut entry = Map::default();
        let given = backend
            .name
            .as_ref()
            .map(|given| name(given, "backend", &backend.at, cx));
        let numbered = same_address.then(|| format!("{}-{port}", backend.address));
        entry.put_some("name", given.or(numbered));
        entry
            .put("address", backend.address.to_string())
            .at(&backend.at);
        entry.put_some("port", (port != front.port).then_some(port));
        let weight = backend.weight.unwrap_or(s.weight);
        entry.put_some("weight", (weight != 1).then_some(weight));
        entry.put_some("forwarding", (method != service).then(|| method.word()));
        let check = checks::node(backend, s, port, users, cx);
        listed.push((entry, check, backend));
    }
    let common = listed.first().map(|(_, check, _)| check.clone());
    let common = common.filter(|first| listed.iter().all(|(_, check, _)| check == first));
    if let Some(check) = &common {
        let entry = map.put("health_check", check.clone());
        if s.unchecked {
            entry.note("ipvsadm knows no checks; remove this line, and real servers are asked for a TCP connection");
        }
    }
    let kept: Vec<&Backend> = listed.iter().map(|(_, _, b)| *b).collect();
    if inhibited(s, &kept, cx) {
        map.put("on_failure", "weight_zero");
    }
    let entries: Vec<Entry> = listed
        .into_iter()
        .map(|(mut entry, check, backend)| {
            if common.is_none() {
                entry.put("health_check", check);
            }
            Entry::item_at(entry, &backend.at)
        })
        .collect();
    map.put("backends", entries);
}

/// How a real server is reached, and at which port; `None`: it cannot be.
fn reach(b: &Backend, front: &Front, service: Method, cx: &mut Cx<'_>) -> Option<(Method, u16)> {
    let method = b.method.unwrap_or(service);
    if (method == Method::Nat) != (service == Method::Nat) {
        cx.error(
            &b.at,
            format!("{} is reached by {} in a service with {}, which is all nat or none: the real server is left out", b.address, method.word(), service.word()),
        );
        return None;
    }
    if b.address.is_ipv4() != front.address.is_ipv4() && method != Method::Tunnel {
        cx.error(
            &b.at,
            format!(
                "{} is of another family than {}: the real server is left out",
                b.address, front.address
            ),
        );
        return None;
    }
    let port = b.port.unwrap_or(front.port);
    if method != Method::Nat && port != front.port {
        cx.warn(
            &b.at,
            format!("port {port} differs from the service's, which only nat can change: {} is asked at {}, as in keepalived, and checked at {port}", b.address, front.port),
        );
        return Some((method, front.port));
    }
    Some((method, port))
}

/// Whether a failed real server keeps its connections, which is the same for all of a service.
fn inhibited(s: &Service, kept: &[&Backend], cx: &mut Cx<'_>) -> bool {
    let inhibits = |b: &Backend| b.inhibit.unwrap_or(s.inhibit);
    let (some, all) = (
        kept.iter().any(|b| inhibits(b)),
        kept.iter().all(|b| inhibits(b)),
    );
    if some && !all {
        for b in kept.iter().filter(|b| inhibits(b)) {
            cx.warn(
                &b.at,
                format!("`inhibit_on_failure` is for all real servers of a service or for none: {} is removed when its check fails", b.address),
            );
        }
    }
    all && some
}

fn weights(s: &Service, cx: &mut Cx<'_>) {
    let scheduler = s.scheduler.unwrap_or("wlc");
    let weighted: Option<&Place> = s
        .backends
        .iter()
        .filter(|b| b.weight.is_some_and(|w| w > 1))
        .find_map(|b| b.weight_at.as_ref());
    if let Some(at) = weighted.filter(|_| matches!(scheduler, "rr" | "lc")) {
        cx.warn(at, format!("`weight` has no effect on shares under `{scheduler}`, only `quorum` counts it: `w{scheduler}` would share by it"));
    }
}

/// What must be done on the real servers themselves.
fn needs(front: &Front, method: Method, s: &Service, taken: &mut Taken, cx: &mut Cx<'_>) {
    if s.backends.is_empty()
        || method == Method::Nat
        || !taken.told.insert((front.address, method == Method::Tunnel))
    {
        return;
    }
    let vip = front.address;
    let message = match method {
        Method::Tunnel => format!(
            "each real server needs {vip} on lo and a device that unpacks the tunnel: `ballast realserver up --tunnel --vip {vip}` does that"
        ),
        _ => format!(
            "each real server needs {vip} on lo, and arp_ignore=1 and arp_announce=2: `ballast realserver up --vip {vip}` does that"
        ),
    };
    cx.warn(&s.at, message);
}

impl Everything {
    /// The addresses that clients ask, of all services.
    fn fronts<'a>(&'a self, fronts: &'a Fronts) -> Option<&'a [Front]> {
        match fronts {
            Fronts::One(front) => Some(std::slice::from_ref(front)),
            Fronts::Group(name) => self
                .virtual_groups
                .iter()
                .find(|g| g.name == *name)
                .map(|g| g.fronts.as_slice()),
        }
    }
}
