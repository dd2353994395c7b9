//! Who has which address on the links.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use futures_util::future;

use super::{WINDOW, group};
use crate::{
    config::Config,
    doctor::{
        facts::{Claim, Seen, Unseen},
        judge::{backends, datapath::link},
    },
    net::{Question, ask as ask_link, neighbour::NeighbourKey, nexthop::Tables},
    types::{IfIndex, IfName, Mac},
};

type Stations = BTreeMap<NeighbourKey, Seen<BTreeSet<Mac>>>;

/// Asks for the next hops to everybody that packets go to, and for the virtual addresses.
pub(super) async fn ask(config: &Config, tables: &Tables) -> (Stations, Vec<Claim>) {
    let hops = next_hops(config, tables);
    let claimed = virtuals(config, tables);
    let of_hops = hops.iter().map(|key| {
        let source = tables.asking_source(*key);
        (key.interface, question(key.address, source))
    });
    let of_claims = claimed.keys().map(|key| {
        // As a host that thinks of taking it: whoever has it answers, us excepted.
        let source = tables.asking_source(*key).filter(|_| key.address.is_ipv6());
        let source = source.filter(|source| *source != key.address);
        (key.interface, question(key.address, source))
    });
    let questions = group(of_hops.chain(of_claims));
    let asked = questions.iter().map(|(interface, questions)| async move {
        (*interface, ask_on(tables, *interface, questions).await)
    });
    let answers: BTreeMap<_, _> = future::join_all(asked).await.into_iter().collect();
    let answer = |key: NeighbourKey| match &answers[&key.interface] {
        Ok(answers) => answers.get(&key.address).cloned().ok_or_else(|| {
            let address = key.address;
            Unseen(format!(
                "this host has no address to ask for {address} from"
            ))
        }),
        Err(why) => Err(why.clone()),
    };
    let own: BTreeSet<Mac> = tables.links.values().filter_map(|link| link.mac).collect();
    let claims = claimed.into_iter().map(|(key, interface)| Claim {
        address: key.address,
        interface,
        ours: tables.is_own(key.address),
        holders: answer(key).map(|macs| macs.difference(&own).copied().collect()),
    });
    let claims = claims.collect();
    let stations = hops.into_iter().map(|key| (key, answer(key))).collect();
    (stations, claims)
}

fn question(address: IpAddr, source: Option<IpAddr>) -> Question {
    Question { address, source }
}

async fn ask_on(
    tables: &Tables,
    interface: IfIndex,
    questions: &[Question],
) -> Seen<BTreeMap<IpAddr, BTreeSet<Mac>>> {
    let link = &tables.links[&interface];
    let name = &link.name;
    let Some(mac) = link.mac.filter(|_| link.up) else {
        return Err(Unseen(format!(
            "nobody can be asked on `{name}`, which is down or no Ethernet"
        )));
    };
    let answers = ask_link(interface, mac, questions, WINDOW).await;
    answers.map_err(|error| Unseen(format!("nobody can be asked on `{name}`: {error}")))
}

/// The neighbours that can be asked.
fn next_hops(config: &Config, tables: &Tables) -> BTreeSet<NeighbourKey> {
    let targets = backends::targets(config).into_iter();
    let keys = targets.filter_map(|(address, _)| tables.neighbour_of(address));
    keys.filter(|key| tables.askable(*key).is_some()).collect()
}

/// Every virtual and every service's address, and the interfaces where it may be.
fn virtuals(config: &Config, tables: &Tables) -> BTreeMap<NeighbourKey, IfName> {
    let mut wanted = BTreeSet::new();
    for instance in &config.vrrp_instances {
        for address in &instance.virtual_addresses {
            let interface = address.interface.as_ref().unwrap_or(&instance.interface);
            wanted.insert((address.vip.addr(), interface));
        }
    }
    let virtuals: BTreeSet<IpAddr> = wanted.iter().map(|(address, _)| *address).collect();
    for service in &config.services {
        if !virtuals.contains(&service.address) {
            let interfaces = config.datapath.interfaces.iter();
            wanted.extend(interfaces.map(|interface| (service.address, interface)));
        }
    }
    let keyed = wanted.into_iter().filter_map(|(address, name)| {
        let interface = link(tables, name).filter(|link| link.mac.is_some())?.index;
        Some((NeighbourKey { interface, address }, name.clone()))
    });
    keyed.collect()
}
