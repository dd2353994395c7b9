//! What the kernel says about this host, read once for a command.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    net::{
        Link, Net,
        address::{Address, AddressError},
        link::LinkError,
        loopback::{LoopbackAddress, loopback},
    },
    types::{IfIndex, IfName},
};

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Interfaces.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// Addresses.
    #[error(transparent)]
    Addresses(#[from] AddressError),
    /// An interface that was named.
    #[error("no interface named `{0}`; `ip link` lists those there are")]
    NoInterface(IfName),
    /// None was named, and none was found.
    #[error(
        "no interface has an address that a balancer could send to; name one with `--interface`"
    )]
    NoneFound,
}

/// Interfaces and addresses.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) links: Vec<Link>,
    /// Of all interfaces.
    pub(super) addresses: Vec<Address>,
    /// Of `lo`, with what matters there.
    pub(super) loopback: Vec<LoopbackAddress>,
}

impl Facts {
    pub(super) async fn read(net: &Net) -> Result<Self, FactsError> {
        Ok(Self {
            links: net.links().await?,
            addresses: net.addresses().await?,
            loopback: net.loopback_addresses().await?,
        })
    }

    pub(super) fn link(&self, index: IfIndex) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The interfaces that balancers' packets arrive by: those that were named, else all Ethernet
    /// interfaces that have an address of their own.
    pub(super) fn arrivals(&self, named: &[IfName]) -> Result<Vec<(IfIndex, IfName)>, FactsError> {
        if !named.is_empty() {
            return named
                .iter()
                .map(|name| {
                    let mut links = self.links.iter();
                    let link = links.find(|link| link.name == *name);
                    let link = link.ok_or_else(|| FactsError::NoInterface(name.clone()))?;
                    Ok((link.index, link.name.clone()))
                })
                .collect();
        }
        let links = self.links.iter().filter(|link| {
            let mut addresses = self.addresses.iter();
            link.mac.is_some()
                && addresses.any(|a| a.interface == link.index && is_reachable(a.address))
        });
        let found: Vec<_> = links.map(|link| (link.index, link.name.clone())).collect();
        if found.is_empty() {
            return Err(FactsError::NoneFound);
        }
        Ok(found)
    }

    /// The addresses that a balancer may send tunnelled packets to.
    pub(super) fn hosts(&self) -> BTreeSet<IpAddr> {
        let own = self.addresses.iter().filter(|a| a.interface != loopback());
        own.map(|address| address.address)
            .filter(|address| is_reachable(*address))
            .collect()
    }

    /// An address on `lo`.
    pub(super) fn on_loopback(&self, address: IpAddr) -> Option<&LoopbackAddress> {
        let mut all = self.loopback.iter();
        all.find(|found| found.address == address)
    }
}

fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}
