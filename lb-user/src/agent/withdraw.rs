//! What an agent that cannot come back left on this host: virtual addresses and routes.

use std::path::Path;

use anyhow::Context as _;

use crate::{
    net::{Net, address::AddressSpec},
    vrrp::record,
};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Withdrawn {
    /// Virtual addresses.
    pub addresses: usize,
    /// Virtual routes.
    pub routes: usize,
}

/// Removes every address and route of this network namespace that carries our mark
/// ([`PROTOCOL`](crate::net::PROTOCOL)). A master without an agent answers for addresses that a peer
/// has taken over long ago.
///
/// # Errors
/// The kernel cannot be asked, or does not remove one of them; the others are removed all the same.
pub async fn withdraw(runtime_dir: &Path) -> anyhow::Result<Withdrawn> {
    // Whoever comes next is no master: one that comes too soon would go on with a role given up here.
    record::forget_all(runtime_dir);
    let (net, connection) = Net::open()?;
    tokio::select! {
        result = remove_all(&net) => result,
        () = connection => anyhow::bail!("the kernel closed the netlink socket"),
    }
}

async fn remove_all(net: &Net) -> anyhow::Result<Withdrawn> {
    let mut withdrawn = Withdrawn::default();
    let mut first_error = None;
    for route in net.our_routes().await? {
        match net.remove_route(&route).await {
            Ok(removed) => withdrawn.routes += usize::from(removed),
            Err(error) => first_error = first_error.or(Some(anyhow::Error::new(error))),
        }
    }
    let specs: Vec<AddressSpec> = net
        .addresses()
        .await?
        .into_iter()
        .filter(|address| address.ours)
        .map(|address| AddressSpec {
            interface: address.interface,
            address: address.address,
            prefix: address.prefix,
            label: None,
        })
        .collect();
    for removed in net.remove_addresses(&specs).await {
        match removed {
            Ok(removed) => withdrawn.addresses += usize::from(removed),
            Err(error) => first_error = first_error.or(Some(anyhow::Error::new(error))),
        }
    }
    match first_error {
        None => Ok(withdrawn),
        Some(error) => Err(error).context("not everything was removed"),
    }
}
