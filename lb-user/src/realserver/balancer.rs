//! A host cannot be a balancer and a real server of one virtual address: what it forwards to itself
//! would go round, and an address on `lo` would hide who the master is.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use aya::maps::{Array, Map, MapData};
use lb_common::describe::{ServiceDescription, from_text};

use super::{Places, facts::Facts};
use crate::{
    config::{self, model::Config},
    control::{
        client,
        proto::{Reply, Request},
    },
    dataplane::pins::REALSERVER,
    observe::snapshot::Snapshot,
    types::IfName,
};

/// Why a virtual address cannot be served here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Balancer {
    /// It is on an interface, so this host takes the clients' traffic.
    #[error(
        "`{vip}` is on interface `{interface}`: this host is a balancer of it, or it is no virtual \
         address; a real server has it on lo only"
    )]
    Holds {
        /// The address.
        vip: IpAddr,
        /// Where.
        interface: IfName,
    },
    /// A running agent balances it, as master or backup.
    #[error("the ballast that runs here balances `{0}`; a host cannot be its real server, too")]
    Runs(IpAddr),
    /// A data plane forwards it without an agent.
    #[error(
        "the XDP program of a ballast forwards `{vip}` on this host (pinned in `{dir}`); \
         start ballast and stop it in good order first"
    )]
    Forwards {
        /// The address.
        vip: IpAddr,
        /// Where it is pinned.
        dir: String,
    },
    /// The configuration of this host's agent has it.
    #[error("`{file}` balances `{vip}`; a host cannot be its real server, too")]
    Configured {
        /// The address.
        vip: IpAddr,
        /// The file.
        file: String,
    },
}

/// Expects that this host balances none of `vips`.
pub(super) fn refuse(places: &Places, facts: &Facts, vips: &[IpAddr]) -> Result<(), Balancer> {
    for address in &facts.addresses {
        if vips.contains(&address.address)
            && let Some(link) = facts.link(address.interface)
            && link.name.as_str() != "lo"
        {
            return Err(Balancer::Holds {
                vip: address.address,
                interface: link.name.clone(),
            });
        }
    }
    let one_of = |of: BTreeSet<IpAddr>| vips.iter().copied().find(|vip| of.contains(vip));
    if let Some(vip) = one_of(running(&places.socket)) {
        return Err(Balancer::Runs(vip));
    }
    if let Some(vip) = one_of(forwarded(&places.bpffs_dir)) {
        return Err(Balancer::Forwards {
            vip,
            dir: places.bpffs_dir.display().to_string(),
        });
    }
    if let Some(vip) = one_of(configured(&places.config)) {
        return Err(Balancer::Configured {
            vip,
            file: places.config.display().to_string(),
        });
    }
    Ok(())
}

/// What the agent behind `socket` balances; nothing where none answers.
fn running(socket: &Path) -> BTreeSet<IpAddr> {
    match client::ask(socket, &Request::Status) {
        Ok(Reply::Status(snapshot)) => of_snapshot(&snapshot),
        _ => BTreeSet::new(),
    }
}

fn of_snapshot(snapshot: &Snapshot) -> BTreeSet<IpAddr> {
    let services = snapshot.services.iter().map(|service| service.address);
    let routers = snapshot.vrrp.iter();
    services
        .chain(routers.flat_map(|router| router.virtual_addresses.iter().copied()))
        .collect()
}

/// What a pinned data plane forwards, whether an agent runs or not.
fn forwarded(bpffs_dir: &Path) -> BTreeSet<IpAddr> {
    let nothing = BTreeSet::new;
    let has_links = std::fs::read_dir(bpffs_dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() != REALSERVER)
        .flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten())
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("link_"));
    if !has_links {
        return nothing();
    }
    let Ok(data) = MapData::from_pin(bpffs_dir.join("services")) else {
        return nothing();
    };
    let services: Result<Array<MapData, ServiceDescription>, _> = Map::Array(data).try_into();
    let Ok(services) = services else {
        return nothing();
    };
    let found = services.iter().filter_map(|service| {
        let service = service.ok()?;
        let used = service.port != 0;
        used.then(|| from_text(&service.address).parse().ok())?
    });
    found.collect()
}

/// What the configuration file balances, where there is one that can be read.
fn configured(file: &Path) -> BTreeSet<IpAddr> {
    let Ok(loaded) = config::load_and_validate(file) else {
        return BTreeSet::new();
    };
    of_config(&loaded.config)
}

fn of_config(config: &Config) -> BTreeSet<IpAddr> {
    let services = config.services.iter().map(|service| service.address);
    let routers = config.vrrp_instances.iter();
    let virtuals = routers.flat_map(|router| router.virtual_addresses.iter());
    services
        .chain(virtuals.map(|virtual_address| virtual_address.vip.addr()))
        .collect()
}
