//! What a new configuration changes of an old one, so that a reload touches nothing else.
//!
//! Things are matched by what identifies them (a service by address, port and protocol), never by their place in the file: moving a
//! service around, or writing out a default, changes nothing.

use std::{collections::HashMap, hash::Hash};

use super::{
    Config,
    model::{Backend, BackendKey, Service, ServiceKey},
};
use crate::types::{GroupName, IfName, InstanceName, ScriptName};

#[cfg(test)]
mod tests;

/// What a new configuration changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChange {
    /// Services.
    pub services: Changes<ServiceKey>,
    /// More about each of `services.changed`, in the same order.
    pub service_changes: Vec<ServiceChange>,
    /// Interfaces with XDP.
    pub interfaces: Changes<IfName>,
    /// VRRP instances.
    pub vrrp_instances: Changes<InstanceName>,
    /// VRRP sync groups.
    pub vrrp_sync_groups: Changes<GroupName>,
    /// Tracking scripts.
    pub scripts: Changes<ScriptName>,
    /// Settings that changed and take effect at once, by the path of their key.
    pub settings: Vec<&'static str>,
    /// Settings that changed and take effect after a restart only, by the path of their key.
    pub needs_restart: Vec<&'static str>,
}

impl ConfigChange {
    /// Whether nothing changes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.interfaces.is_empty()
            && self.vrrp_instances.is_empty()
            && self.vrrp_sync_groups.is_empty()
            && self.scripts.is_empty()
            && self.settings.is_empty()
            && self.needs_restart.is_empty()
    }
}

/// Keys of two sets of things; each key is in exactly one list. Removed ones are in the old order, all others in the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<K> {
    /// Only in the new set.
    pub added: Vec<K>,
    /// Only in the old set.
    pub removed: Vec<K>,
    /// In both, and not equal.
    pub changed: Vec<K>,
    /// In both, and equal.
    pub unchanged: Vec<K>,
}

impl<K> Changes<K> {
    /// Whether the sets are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self {
            added: Vec::new(),
            removed: Vec::new(),
            changed: Vec::new(),
            unchanged: Vec::new(),
        }
    }
}

/// What changes about a service that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceChange {
    /// Which one.
    pub key: ServiceKey,
    /// Whether anything but its backends changes.
    pub settings: bool,
    /// Its backends.
    pub backends: Changes<BackendKey>,
}

/// What `new` changes of `old`.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> ConfigChange {
    let services = changes(&old.services, &new.services, Service::key);
    let old_by_key: HashMap<ServiceKey, &Service> =
        old.services.iter().map(|s| (s.key(), s)).collect();
    let service_changes = new
        .services
        .iter()
        .filter_map(|new| old_by_key.get(&new.key()).map(|old| (*old, new)))
        .filter(|(old, new)| old != new)
        .map(|(old, new)| service_change(old, new))
        .collect();
    ConfigChange {
        services,
        service_changes,
        interfaces: changes(
            &old.datapath.interfaces,
            &new.datapath.interfaces,
            Clone::clone,
        ),
        vrrp_instances: changes(&old.vrrp_instances, &new.vrrp_instances, |i| i.name.clone()),
        vrrp_sync_groups: changes(&old.vrrp_sync_groups, &new.vrrp_sync_groups, |g| {
            g.name.clone()
        }),
        scripts: changes(&old.scripts, &new.scripts, |s| s.name.clone()),
        settings: settings(old, new),
        needs_restart: needs_restart(old, new),
    }
}

fn service_change(old: &Service, new: &Service) -> ServiceChange {
    let without_backends = |s: &Service| Service {
        backends: Vec::new(),
        ..s.clone()
    };
    ServiceChange {
        key: new.key(),
        settings: without_backends(old) != without_backends(new),
        backends: changes(&old.backends, &new.backends, Backend::key),
    }
}

fn settings(old: &Config, new: &Config) -> Vec<&'static str> {
    let (o, n) = (&old.datapath, &new.datapath);
    changed_keys([
        ("router_id", old.router_id != new.router_id),
        ("datapath.hash_key", o.hash_key != n.hash_key),
        ("datapath.tunnel_source", o.tunnel_source != n.tunnel_source),
        (
            "datapath.manage_sysctls",
            o.manage_sysctls != n.manage_sysctls,
        ),
        ("alerts", old.alerts != new.alerts),
        ("ipvs", old.ipvs_sync != new.ipvs_sync),
        ("observability", old.observability != new.observability),
    ])
}

/// Sizes of maps, how and where they are pinned, and which engine owns the traffic are fixed while the data plane is loaded.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (o, n) = (&old.datapath, &new.datapath);
    changed_keys([
        ("runtime_dir", old.runtime_dir != new.runtime_dir),
        ("bpffs_dir", old.bpffs_dir != new.bpffs_dir),
        ("datapath.engine", o.engine != n.engine),
        ("datapath.xdp_mode", o.xdp_mode != n.xdp_mode),
        (
            "datapath.connection_table_size",
            o.connection_table_size != n.connection_table_size,
        ),
        ("datapath.ring_memory", o.ring_memory != n.ring_memory),
    ])
}

fn changed_keys<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

fn changes<T: PartialEq, K: Eq + Hash + Clone>(
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
) -> Changes<K> {
    let mut before: HashMap<K, &T> = old.iter().map(|t| (key(t), t)).collect();
    let mut changes = Changes::default();
    for thing in new {
        let k = key(thing);
        match before.remove(&k) {
            None => changes.added.push(k),
            Some(was) if was == thing => changes.unchanged.push(k),
            Some(_) => changes.changed.push(k),
        }
    }
    changes.removed = old
        .iter()
        .map(&key)
        .filter(|k| before.contains_key(k))
        .collect();
    changes
}
