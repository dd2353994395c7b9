//! Pure: what a message of the kernel changes in the tables.

use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::net::{
    address::Address,
    fold,
    link::Link,
    neighbour::{Neighbour, NeighbourKey, NeighbourState},
    nexthop::Tables,
};

#[cfg(test)]
mod tests;

/// What has to be worked out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing we look at.
    Nothing,
    /// What goes by this neighbour.
    Neighbour(NeighbourKey),
    /// Every route: the kernel does not say which addresses one decides over.
    Routes,
}

/// Enters one message into the tables. Routes are not kept, only asked for.
pub(super) fn apply(tables: &mut Tables, message: &RouteNetlinkMessage) -> Change {
    match message {
        RouteNetlinkMessage::NewLink(_) | RouteNetlinkMessage::DelLink(_) => {
            changed(fold::link(&mut tables.links, message).is_change())
        }
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => {
            changed(fold::address(&mut tables.addresses, message).is_change())
        }
        RouteNetlinkMessage::NewNeighbour(message) => match Neighbour::from_message(message) {
            Some(neighbour) => set_neighbour(tables, neighbour),
            None => Change::Nothing,
        },
        RouteNetlinkMessage::DelNeighbour(message) => {
            match Neighbour::from_message(message)
                .and_then(|gone| tables.neighbours.remove(&gone.key))
            {
                Some(gone) => Change::Neighbour(gone.key),
                None => Change::Nothing,
            }
        }
        RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => {
            changed(matches!(
                message.header.address_family,
                AddressFamily::Inet | AddressFamily::Inet6
            ))
        }
        RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => Change::Routes,
        _ => Change::Nothing,
    }
}

/// Replaces the tables by whole ones, routes apart.
pub(super) fn replace(
    tables: &mut Tables,
    links: Vec<Link>,
    addresses: Vec<Address>,
    neighbours: Vec<Neighbour>,
) {
    tables.links = fold::links(links);
    tables.addresses = fold::addresses(addresses);
    let old = std::mem::take(&mut tables.neighbours);
    tables.neighbours = neighbours
        .into_iter()
        .map(|neighbour| (neighbour.key, settled(old.get(&neighbour.key), neighbour)))
        .collect();
}

fn set_neighbour(tables: &mut Tables, neighbour: Neighbour) -> Change {
    let neighbour = settled(tables.neighbours.get(&neighbour.key), neighbour);
    let old = tables.neighbours.insert(neighbour.key, neighbour);
    if old == Some(neighbour) {
        Change::Nothing
    } else {
        Change::Neighbour(neighbour.key)
    }
}

/// A managed neighbour that is away goes from failed to incomplete and back every few seconds: to
/// us it stays failed until it answers.
fn settled(old: Option<&Neighbour>, mut new: Neighbour) -> Neighbour {
    let failed = old.is_some_and(|old| old.state == NeighbourState::Failed);
    if failed && new.state == NeighbourState::Incomplete {
        new.state = NeighbourState::Failed;
    }
    new
}

fn changed(yes: bool) -> Change {
    if yes { Change::Routes } else { Change::Nothing }
}
