//! `vrrp_instances` and `vrrp_sync_groups`.

mod addresses;
mod groups;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use self::{
    addresses::addresses,
    groups::{notify, sync_group},
};
use crate::import::{
    convert::{
        Cx, Everything, Place,
        group::Group,
        instance::Instance,
        quote,
        track::{self, InGroup},
        value::{ms, secs, show},
    },
    yaml::{Entry, Map},
};

/// Both sections.
pub(super) struct Routers {
    pub(super) instances: Vec<Entry>,
    pub(super) groups: Vec<Entry>,
}

/// What no two instances may have.
#[derive(Default)]
struct Taken {
    routers: HashMap<(String, bool, u8), u32>,
    addresses: HashMap<IpAddr, u32>,
}

pub(super) fn write(all: &Everything, cx: &mut Cx<'_>) -> Routers {
    let mut group_of: HashMap<&str, &Group> = HashMap::new();
    for group in &all.groups {
        for (member, _) in &group.members {
            group_of.entry(member).or_insert(group);
        }
    }
    let mut taken = Taken::default();
    let mut instances = Vec::new();
    let mut written: HashMap<&str, &str> = HashMap::new();
    for instance in &all.instances {
        let group = group_of.get(instance.known_as.as_str()).map(|g| InGroup {
            track: &g.track,
            weights_count: g.weights_count || g.members.len() < 2,
        });
        match one(instance, group.as_ref(), all, &mut taken, cx) {
            Some(entry) => {
                instances.push(entry);
                written.insert(&instance.known_as, &instance.name);
            }
            None => cx.error(
                &instance.at,
                format!("the instance {} is left out", quote(&instance.known_as)),
            ),
        }
    }
    let mut grouped: HashSet<&str> = HashSet::new();
    let groups = all
        .groups
        .iter()
        .filter_map(|g| sync_group(g, &written, &mut grouped, cx))
        .collect();
    Routers { instances, groups }
}

fn one(
    i: &Instance,
    group: Option<&InGroup<'_>>,
    all: &Everything,
    taken: &mut Taken,
    cx: &mut Cx<'_>,
) -> Option<Entry> {
    if i.broken {
        return None;
    }
    let interface = i
        .interface
        .clone()
        .or_else(|| all.global.default_interface.clone());
    let Some(interface) = interface else {
        cx.error(
            &i.at,
            "no `interface`, which an instance needs, with unicast, too",
        );
        return None;
    };
    let Some((id, id_at)) = &i.id else {
        cx.error(&i.at, "no `virtual_router_id`");
        return None;
    };
    let v6 = is_v6(i);
    if let Some(line) = taken.routers.get(&(interface.clone(), v6, *id)) {
        cx.error(
            id_at,
            format!("{id} is the identifier of the instance in line {line}, on the same interface"),
        );
        return None;
    }
    taken
        .routers
        .insert((interface.clone(), v6, *id), i.at.line);

    let mut map = Map::default();
    map.tall = true;
    map.put("name", i.name.as_str());
    let entry = map.put("interface", interface.as_str());
    if i.interface.is_none() {
        entry.note("keepalived's default_interface");
    }
    map.put("virtual_router_id", *id).at(id_at);
    let v3 = version(i, all, v6, cx);
    if v3 {
        map.put("version", 3u8);
    }
    if i.bare_checksum && v3 && !v6 {
        map.put("checksum", "rfc9568");
    }
    if i.master {
        map.put("initial_state", "master");
    }
    let priority = priority(i, &mut map, cx);
    interval(i, v3, &mut map, cx);
    preemption(i, priority, &mut map, cx);
    unicast(i, v6, &mut map, cx);
    authentication(i, v3, &mut map, cx);
    addresses(i, v6, &interface, all, taken, &mut map, cx);
    map.put_filled(
        "virtual_routes",
        i.routes.iter().map(|r| r.entry()).collect::<Vec<_>>(),
    );
    map.put_filled("garp", i.garp.node(all.global.garp));
    map.put_filled("track", track::node(&i.track, &interface, group, all, cx));
    map.put_filled("notify", notify(&i.notify));
    Some(Entry::item_at(map, &i.at))
}

fn is_v6(i: &Instance) -> bool {
    let first = i
        .addresses
        .first()
        .or(i.excluded.first())
        .map(|a| a.address);
    let other = || {
        i.source
            .as_ref()
            .or(i.peers.first())
            .map(|(address, _)| *address)
    };
    first.or_else(other).map_or(i.native_ipv6, |a| a.is_ipv6())
}

/// Whether it is version 3, which IPv6 always has.
fn version(i: &Instance, all: &Everything, v6: bool, cx: &mut Cx<'_>) -> bool {
    if v6 && i.version == Some(2) {
        cx.warn(&i.at, "version 2 has no IPv6: `version: 3` is written");
    }
    if let Some(at) = &i.old_checksum {
        cx.warn(at, "`old_unicast_checksum` has no equal: peers older than keepalived 1.3.7 will not understand the adverts");
    }
    v6 || i.version.or(all.global.version) == Some(3)
}

fn priority(i: &Instance, map: &mut Map, cx: &mut Cx<'_>) -> u8 {
    match &i.priority {
        Some((priority, at)) => {
            map.put("priority", *priority).at(at);
            if *priority == 255 {
                cx.warn(
                    at,
                    "255 is for the router that owns the addresses as its own: it is master at once, always takes over, and no weight changes that; 254 is the highest for others",
                );
            }
            *priority
        }
        None if i.master => {
            cx.warn(&i.at, "`state MASTER` without a `priority`: 255 is written, which is what keepalived takes");
            map.put("priority", 255u8)
                .note("keepalived's default with `state MASTER`");
            255
        }
        None => 100,
    }
}

fn interval(i: &Instance, v3: bool, map: &mut Map, cx: &mut Cx<'_>) {
    let Some((given, at)) = &i.interval else {
        return;
    };
    let step = if v3 { ms(10) } else { secs(1) };
    let most = if v3 { ms(40_950) } else { secs(255) };
    let steps = (given.as_micros() + step.as_micros() / 2) / step.as_micros();
    let nearest = u32::try_from(steps)
        .map_or(most, |n| step * n)
        .clamp(step, most);
    if nearest != *given {
        let why = if v3 {
            "version 3 has steps of 10ms up to 40.95s"
        } else {
            "version 2 has whole seconds only"
        };
        cx.warn(
            at,
            format!("`advert_int`: {why}: {} is written", show(nearest)),
        );
    }
    if nearest != secs(1) {
        map.put("advertisement_interval", show(nearest)).at(at);
    }
}

fn preemption(i: &Instance, priority: u8, map: &mut Map, cx: &mut Cx<'_>) {
    let mut preempt = true;
    if let Some(at) = &i.nopreempt {
        let why = match priority {
            255 => Some("priority 255"),
            _ => i.master.then_some("`state MASTER`"),
        };
        match why {
            Some(why) => cx.warn(
                at,
                format!("`nopreempt` does nothing with {why}: left out, as in keepalived"),
            ),
            None => {
                map.put("preempt", false).at(at);
                preempt = false;
            }
        }
    }
    if let Some((delay, at)) = i
        .preempt_delay
        .as_ref()
        .filter(|(delay, _)| *delay > Duration::ZERO)
    {
        if i.master {
            cx.warn(
                at,
                "`preempt_delay` does nothing with `state MASTER`: left out, as in keepalived",
            );
        } else if !preempt {
            cx.warn(
                at,
                "`preempt_delay` does nothing with `nopreempt`: left out",
            );
        } else {
            map.put("preempt_delay", show(*delay)).at(at);
        }
    }
}

fn unicast(i: &Instance, v6: bool, map: &mut Map, cx: &mut Cx<'_>) {
    let family = |address: &IpAddr, at: &Place, cx: &mut Cx<'_>| {
        let fits = address.is_ipv6() == v6;
        if !fits {
            cx.error(
                at,
                format!("{address} is of another family than the instance: left out"),
            );
        }
        fits
    };
    let source = i
        .source
        .as_ref()
        .filter(|(address, at)| family(address, at, cx));
    if let Some((address, at)) = source {
        map.put("unicast_source", address.to_string()).at(at);
    }
    let mut peers = Vec::new();
    for (address, at) in &i.peers {
        if source.is_some_and(|(own, _)| own == address) {
            cx.warn(
                at,
                format!("the peer {address} is this node itself: left out"),
            );
        } else if family(address, at, cx) {
            peers.push(Entry::item_at(address.to_string(), at));
        }
    }
    match &i.unicast {
        Some(at) if peers.is_empty() => {
            cx.warn(
                at,
                "`unicast_peer` without a peer: adverts go by multicast, as in keepalived",
            );
        }
        Some(_) => {
            map.put("unicast_peers", peers);
            if i.min_ttl < 255 {
                map.put("unicast_ttl_check", false)
                    .note("keepalived's default");
            }
        }
        None => {}
    }
}

fn authentication(i: &Instance, v3: bool, map: &mut Map, cx: &mut Cx<'_>) {
    let Some(given) = &i.authentication else {
        return;
    };
    if let Some(at) = &given.ah {
        cx.warn(
            at,
            "`auth_type AH` has no equal: adverts are neither signed nor checked, and a keepalived with AH does not hear them; remove it on all routers",
        );
    } else if let Some((pass, at)) = &given.pass {
        if v3 {
            cx.warn(
                at,
                "version 3 has no authentication: left out, as in keepalived",
            );
        } else {
            let mut inner = Map::default();
            inner.put("pass", pass.as_str()).at(at);
            map.put("authentication", inner).at(at);
        }
    }
}
