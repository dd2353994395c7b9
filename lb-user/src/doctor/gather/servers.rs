//! What the real servers say through the data path.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use futures_util::future;

use super::{WINDOW, group};
use crate::{
    config::{
        Config,
        model::{Backend, Forwarding, Service},
    },
    doctor::facts::{Answer, Seen, Server, Unseen},
    net::{
        knock::{self, Knock},
        neighbour::{Neighbour, NeighbourKey},
        nexthop::Tables,
        route::RouteAnswer,
    },
    types::{IfIndex, Mac},
};

type Stations = BTreeMap<NeighbourKey, Seen<BTreeSet<Mac>>>;

/// One backend's two questions.
struct Pair {
    server: Server,
    interface: IfIndex,
    at_vip: Seen<Knock>,
    at_own: Seen<Knock>,
}

/// Knocks at each backend that answered for its next hop, for each service.
pub(super) async fn knock(config: &Config, tables: &Tables, stations: &Stations) -> Vec<Server> {
    let mut pairs = pairs(config, tables, stations);
    let numbered = |pick: fn(&Pair) -> &Seen<Knock>| {
        let all = pairs.iter().enumerate();
        all.filter_map(move |(n, pair)| Some((pair.interface, (n, pick(pair).clone().ok()?))))
            .collect::<Vec<_>>()
    };
    let vips = numbered(|pair| &pair.at_vip).into_iter();
    let owns = numbered(|pair| &pair.at_own).into_iter();
    let vips = vips.map(|(interface, (n, knock))| (interface, (n, true, knock)));
    let owns = owns.map(|(interface, (n, knock))| (interface, (n, false, knock)));
    let groups = group(vips.chain(owns));
    let asked = groups.iter().map(|(interface, group)| async move {
        let knocks: Vec<_> = group.iter().map(|(_, _, knock)| *knock).collect();
        let answers = knock::knock(*interface, &knocks, WINDOW).await;
        (group, answers)
    });
    for (group, answers) in future::join_all(asked).await {
        for (place, (n, is_vip, _)) in group.iter().enumerate() {
            let answer = match &answers {
                Ok(answers) => answers.get(place).copied().ok_or_else(too_many),
                Err(error) => Err(Unseen(format!("no real server can be asked: {error}"))),
            };
            let server = &mut pairs[*n].server;
            if *is_vip {
                server.at_vip = answer;
            } else {
                server.at_own = answer;
            }
        }
    }
    pairs.into_iter().map(|pair| pair.server).collect()
}

fn too_many() -> Unseen {
    Unseen(format!(
        "more than {} questions to real servers on one interface",
        knock::MAX
    ))
}

fn pairs(config: &Config, tables: &Tables, stations: &Stations) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for service in &config.services {
        for backend in &service.backends {
            let Some(key) = tables.neighbour_of(backend.address) else {
                continue; // Ours, or nobody's, which is another check's to say.
            };
            if backend.forwarding == Forwarding::Nat {
                continue;
            }
            let hop = hop(tables, stations, key, backend);
            let (at_vip, at_own) = match hop {
                Ok(Some(hop)) => knocks(config, tables, service, backend, &hop),
                Ok(None) => continue,
                Err(why) => (Err(why.clone()), Err(why)),
            };
            let interface = key.interface;
            pairs.push(pair(service, backend, interface, at_vip, at_own));
        }
    }
    pairs
}

/// The way to a backend whose next hop answered.
struct Hop {
    key: NeighbourKey,
    to: Mac,
    from: Mac,
    routed: bool,
}

/// `None`: there is no way, or none that a packet could take, which is another check's to say.
fn hop(
    tables: &Tables,
    stations: &Stations,
    key: NeighbourKey,
    backend: &Backend,
) -> Seen<Option<Hop>> {
    let to = match stations.get(&key) {
        Some(answered) => answered.clone()?.first().copied(),
        // Not to be asked: fixed by the administrator.
        None => tables.neighbours.get(&key).and_then(Neighbour::usable_mac),
    };
    let from = tables.links.get(&key.interface).and_then(|link| link.mac);
    let routed = key.address != backend.address;
    let usable = !(routed && backend.forwarding == Forwarding::DirectRouting);
    let hop = |(to, from)| Hop {
        key,
        to,
        from,
        routed,
    };
    Ok(to.zip(from).filter(|_| usable).map(hop))
}

/// The question for the service's address, and that for the backend's own.
fn knocks(
    config: &Config,
    tables: &Tables,
    service: &Service,
    backend: &Backend,
    hop: &Hop,
) -> (Seen<Knock>, Seen<Knock>) {
    let Hop { key, to, from, .. } = *hop;
    let from_family_of = |address| source(config, tables, key, address, false);
    let knock = |source, address, port, tunnel, ttl| Knock {
        to,
        from,
        source,
        destination: SocketAddr::new(address, port),
        tunnel,
        ttl,
    };
    let tunnel = match backend.forwarding {
        Forwarding::Tunnel => source(config, tables, key, backend.address, true)
            .map(|outer| Some((outer, backend.address))),
        Forwarding::DirectRouting | Forwarding::Nat => Ok(None),
    };
    // 1: a server that does not have the address must not send it on to who does.
    let at_vip = tunnel.and_then(|tunnel| {
        let source = from_family_of(service.address)?;
        let port = service.port.get();
        Ok(knock(source, service.address, port, tunnel, 1))
    });
    let ttl = if hop.routed { 64 } else { 1 };
    let at_own = from_family_of(backend.address)
        .map(|source| knock(source, backend.address, backend.port.get(), None, ttl));
    (at_vip, at_own)
}

fn pair(
    service: &Service,
    backend: &Backend,
    interface: IfIndex,
    at_vip: Seen<Knock>,
    at_own: Seen<Knock>,
) -> Pair {
    let not_yet = |knock: &Seen<Knock>| match knock {
        Ok(_) => Ok(Answer::Silence),
        Err(why) => Err(why.clone()),
    };
    Pair {
        server: Server {
            service: service.name.to_string(),
            vip: SocketAddr::new(service.address, service.port.get()),
            protocol: service.protocol,
            backend: backend.name.to_string(),
            address: backend.address,
            forwarding: backend.forwarding,
            at_vip: not_yet(&at_vip),
            at_own: not_yet(&at_own),
        },
        interface,
        at_vip,
        at_own,
    }
}

/// An address of ours to ask from, of the family of `to`: as outer source of a tunnel what is
/// configured, else what the route to the backend says, else one of the interface's.
fn source(
    config: &Config,
    tables: &Tables,
    key: NeighbourKey,
    to: IpAddr,
    outer: bool,
) -> Seen<IpAddr> {
    let configured = config.datapath.tunnel_source.filter(|_| outer);
    let configured = configured.map(|source| source.network().addr());
    let routed = match tables.routes.get(&to) {
        Some(RouteAnswer::Unicast { source, .. }) => *source,
        _ => None,
    };
    let key = NeighbourKey { address: to, ..key };
    let choices = [configured, routed, tables.asking_source(key)];
    let fits = |address: &IpAddr| {
        let virtual_address = config.services.iter().any(|s| s.address == *address);
        address.is_ipv4() == to.is_ipv4() && !virtual_address && !link_local(*address)
    };
    choices
        .into_iter()
        .flatten()
        .find(fits)
        .ok_or_else(|| Unseen(format!("this host has no address to ask {to} from")))
}

fn link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
