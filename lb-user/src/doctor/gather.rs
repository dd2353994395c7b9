//! Collects the facts. Asks and listens only: nothing on this host is changed.

mod clock;
mod device;
mod firewall;
mod genetlink;
mod host;
mod segment;
mod servers;
mod stations;
mod tables;

use std::{collections::BTreeMap, time::Duration};

use super::facts::{Facts, Seen, Unseen};
use crate::{
    config::Loaded,
    net::{self, nexthop::Tables},
};

/// Everything the checks look at, in some four seconds: who is on the network is asked while adverts are
/// listened for.
pub(super) async fn facts(loaded: &Loaded) -> Facts {
    let config = &loaded.config;
    let host = host::host(loaded);
    let network = tables::tables(config).await;
    let nothing = Tables::default();
    let tables = network.as_ref().unwrap_or(&nothing);
    let devices = device::devices(config, tables);
    let on_the_wire = async {
        let (stations, claims) = stations::ask(config, tables).await;
        let servers = servers::knock(config, tables, &stations).await;
        (stations, claims, servers)
    };
    let ((stations, claims, servers), heard, firewall) = tokio::join!(
        on_the_wire,
        segment::listen(config, tables),
        firewall::firewall(),
    );
    Facts {
        host,
        network,
        devices,
        stations,
        claims,
        servers,
        heard,
        firewall,
    }
}

fn unseen(error: &dyn std::error::Error) -> Unseen {
    Unseen(net::chain(error))
}

/// A file of /proc or /sys without the white space around.
fn read(path: &str) -> Seen<String> {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| Unseen(format!("cannot read {path}: {error}")))
}

/// Of the same interface, and so of one socket.
fn group<T>(
    items: impl IntoIterator<Item = (crate::types::IfIndex, T)>,
) -> BTreeMap<crate::types::IfIndex, Vec<T>> {
    let mut groups = BTreeMap::<_, Vec<T>>::new();
    for (interface, item) in items {
        groups.entry(interface).or_default().push(item);
    }
    groups
}

/// How long answers on the link are waited for.
const WINDOW: Duration = Duration::from_millis(1200);

/// What only reads text, for tests.
#[cfg(test)]
pub(super) mod testing {
    pub(in crate::doctor) use super::host::{default_routes_v4, default_routes_v6, version};
}
