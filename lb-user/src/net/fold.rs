//! Pure: what a message of the kernel changes in a table of links or addresses.

use std::{collections::BTreeMap, net::IpAddr};

use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{address::Address, link::Link};
use crate::types::IfIndex;

/// Every interface.
pub type Links = BTreeMap<IfIndex, Link>;
/// Every address of ours; the same one may be on several interfaces or with several prefixes.
pub type Addresses = BTreeMap<(IpAddr, IfIndex, u8), Address>;

/// What a message did to one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fold<T> {
    /// The message is not about such a thing, or says nothing new.
    Nothing,
    /// The entry is another now, or gone.
    Changed {
        /// As it was; `None`: it is new.
        old: Option<T>,
        /// As it is; `None`: it is gone.
        new: Option<T>,
    },
}

impl<T> Fold<T> {
    pub(super) fn is_change(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }
}

/// Enters a message about a link.
pub(super) fn link(links: &mut Links, message: &RouteNetlinkMessage) -> Fold<Link> {
    match message {
        RouteNetlinkMessage::NewLink(message) => match Link::from_message(message) {
            Some(link) => insert(links, link.index, link),
            None => Fold::Nothing,
        },
        // A port that leaves its bridge is a "deleted link" of another family.
        RouteNetlinkMessage::DelLink(message)
            if message.header.interface_family == AddressFamily::Unspec =>
        {
            match IfIndex::new(message.header.index) {
                Some(index) => remove(links, &index),
                None => Fold::Nothing,
            }
        }
        _ => Fold::Nothing,
    }
}

/// Enters a message about an address.
pub(super) fn address(addresses: &mut Addresses, message: &RouteNetlinkMessage) -> Fold<Address> {
    match message {
        RouteNetlinkMessage::NewAddress(message) => match Address::from_message(message) {
            Some(address) => insert(addresses, address.key(), address),
            None => Fold::Nothing,
        },
        RouteNetlinkMessage::DelAddress(message) => match Address::from_message(message) {
            Some(address) => remove(addresses, &address.key()),
            None => Fold::Nothing,
        },
        _ => Fold::Nothing,
    }
}

/// A whole table of links.
pub(super) fn links(links: Vec<Link>) -> Links {
    links.into_iter().map(|link| (link.index, link)).collect()
}

/// A whole table of addresses.
pub(super) fn addresses(addresses: Vec<Address>) -> Addresses {
    let keyed = addresses
        .into_iter()
        .map(|address| (address.key(), address));
    keyed.collect()
}

fn insert<K: Ord, T: Clone + PartialEq>(table: &mut BTreeMap<K, T>, key: K, new: T) -> Fold<T> {
    let old = table.insert(key, new.clone());
    if old.as_ref() == Some(&new) {
        return Fold::Nothing;
    }
    let new = Some(new);
    Fold::Changed { old, new }
}

fn remove<K: Ord, T>(table: &mut BTreeMap<K, T>, key: &K) -> Fold<T> {
    match table.remove(key) {
        Some(old) => Fold::Changed {
            old: Some(old),
            new: None,
        },
        None => Fold::Nothing,
    }
}
