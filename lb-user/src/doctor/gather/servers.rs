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
        neighbour::NeighbourKey,
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
            let asked = backend.forwarding != Forwarding::Nat;
            let hop = asked.then(|| hop(tables, stations, backend)).flatten();
            pairs.extend(hop.map(|hop| pair(config, tables, service, backend, &hop)));
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

fn hop(tables: &Tables, stations: &Stations, backend: &Backend) -> Option<Hop> {
    let key = tables.neighbour_of(backend.address)?;
    let to = *stations.get(&key)?.as_ref().ok()?.first()?;
    let from = tables.links.get(&key.interface)?.mac?;
    let routed = key.address != backend.address;
    // What is wrong with that is another check's to say.
    let reachable = !(routed && backend.forwarding == Forwarding::DirectRouting);
    reachable.then_some(Hop {
        key,
        to,
        from,
        routed,
    })
}

fn pair(config: &Config, tables: &Tables, service: &Service, backend: &Backend, hop: &Hop) -> Pair {
    let vip = SocketAddr::new(service.address, service.port.get());
    let own = SocketAddr::new(backend.address, backend.port.get());
    let Hop { key, to, from, .. } = *hop;
    let outer = || source(config, tables, key, backend.address, true);
    let at_vip = || -> Seen<Knock> {
        let tunnel = match backend.forwarding {
            Forwarding::Tunnel => Some((outer()?, backend.address)),
            Forwarding::DirectRouting | Forwarding::Nat => None,
        };
        let source = source(config, tables, key, service.address, false)?;
        // 1: a server that does not have the address must not send it on to who does.
        let ttl = 1;
        Ok(Knock {
            to,
            from,
            source,
            destination: vip,
            tunnel,
            ttl,
        })
    };
    let at_own = || -> Seen<Knock> {
        let source = source(config, tables, key, backend.address, false)?;
        let ttl = if hop.routed { 64 } else { 1 };
        Ok(Knock {
            to,
            from,
            source,
            destination: own,
            tunnel: None,
            ttl,
        })
    };
    let (at_vip, at_own) = (at_vip(), at_own());
    let not_asked = |knock: &Seen<Knock>| {
        knock
            .as_ref()
            .map(|_| Answer::Silence)
            .map_err(Clone::clone)
    };
    Pair {
        server: Server {
            service: service.name.to_string(),
            vip,
            protocol: service.protocol,
            backend: backend.name.to_string(),
            address: backend.address,
            forwarding: backend.forwarding,
            at_vip: not_asked(&at_vip),
            at_own: not_asked(&at_own),
        },
        interface: key.interface,
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
