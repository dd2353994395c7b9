//! What rtnetlink says, once.

use super::unseen;
use crate::{
    config::Config,
    doctor::{
        facts::{Seen, Unseen},
        judge::backends,
    },
    net::{Net, nexthop::Tables},
};

/// The kernel's tables, with the routes to everybody that packets go to.
pub(super) async fn tables(config: &Config) -> Seen<Tables> {
    let (net, connection) = Net::open().map_err(|error| unseen(&error))?;
    tokio::select! {
        tables = read(config, &net) => tables,
        () = connection => Err(Unseen("the kernel closed the netlink socket".to_owned())),
    }
}

async fn read(config: &Config, net: &Net) -> Seen<Tables> {
    let mut tables = Tables::default();
    let links = net.links().await.map_err(|error| unseen(&error))?;
    tables.links = links.into_iter().map(|link| (link.index, link)).collect();
    let addresses = net.addresses().await.map_err(|error| unseen(&error))?;
    tables.addresses = addresses
        .into_iter()
        .map(|own| ((own.address, own.interface, own.prefix), own))
        .collect();
    let neighbours = net.neighbours().await.map_err(|error| unseen(&error))?;
    tables.neighbours = neighbours.into_iter().map(|n| (n.key, n)).collect();
    for (address, _) in backends::targets(config) {
        let answer = net.route_to(address).await;
        let answer = answer.map_err(|error| unseen(&error))?;
        tables.routes.insert(address, answer);
    }
    Ok(tables)
}
