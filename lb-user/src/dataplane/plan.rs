//! Pure: the ordered operations that lead from one image to another.
//!
//! What appears is written before anything points to it; what disappears is erased after nothing
//! points to it any more. Between any two operations the data plane is whole.

use std::collections::BTreeSet;

use super::image::{BackendId, BackendImage, Front, Image, RingImage, ServiceId, ServiceImage};
use crate::types::IfIndex;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapOp {
    /// Packets may leave by this interface.
    AddDevice(IfIndex),
    /// A backend of a new index: counters start at zero.
    AddBackend(BackendId, BackendImage),
    /// A known backend's entry or description changed.
    ChangeBackend(BackendId, BackendImage),
    /// A service of a new index with its ring, not yet in the front table: counters start at zero.
    AddService(ServiceId, ServiceImage),
    /// A known service's ring is replaced.
    ChangeRing(ServiceId, RingImage),
    /// A known service's name changed.
    RenameService(ServiceId, String),
    /// The front table is replaced: these services, and what is said of interfaces, addresses,
    /// peers. Hash keys and steering are in it, too.
    WriteFront(Front, Vec<(ServiceId, ServiceImage)>),
    /// No packet finds it any more.
    RemoveService(ServiceId),
    /// No ring names it any more.
    RemoveBackend(BackendId),
    /// No backend is behind it any more.
    RemoveDevice(IfIndex),
}

/// The way from `applied` to `wanted`.
#[must_use]
pub fn diff(applied: &Image, wanted: &Image) -> Vec<MapOp> {
    let mut ops = Vec::new();
    ops.extend(
        wanted
            .devices
            .difference(&applied.devices)
            .map(|d| MapOp::AddDevice(*d)),
    );
    for (id, backend) in &wanted.backends {
        match applied.backends.get(id) {
            None => ops.push(MapOp::AddBackend(*id, backend.clone())),
            Some(old) if old != backend => {
                ops.push(MapOp::ChangeBackend(*id, backend.clone()));
            }
            Some(_) => {}
        }
    }
    let mut front_changed = applied.front != wanted.front;
    for (id, service) in &wanted.services {
        match applied.services.get(id) {
            None => {
                ops.push(MapOp::AddService(*id, service.clone()));
                front_changed = true;
            }
            Some(old) => {
                if old.ring != service.ring {
                    ops.push(MapOp::ChangeRing(*id, service.ring.clone()));
                }
                if old.name != service.name {
                    ops.push(MapOp::RenameService(*id, service.name.clone()));
                }
                front_changed |= old.key != service.key
                    || old.hash_key != service.hash_key
                    || old.steering != service.steering
                    || applied.unlisted.contains(id);
            }
        }
    }
    let gone: BTreeSet<_> = applied
        .services
        .keys()
        .filter(|id| !wanted.services.contains_key(id))
        .collect();
    if front_changed || !gone.is_empty() {
        let services = wanted
            .services
            .iter()
            .map(|(id, s)| (*id, s.clone()))
            .collect();
        ops.push(MapOp::WriteFront(wanted.front.clone(), services));
    }
    ops.extend(gone.into_iter().map(|id| MapOp::RemoveService(*id)));
    let old_backends = applied
        .backends
        .keys()
        .filter(|id| !wanted.backends.contains_key(id));
    ops.extend(old_backends.map(|id| MapOp::RemoveBackend(*id)));
    ops.extend(
        applied
            .devices
            .difference(&wanted.devices)
            .map(|d| MapOp::RemoveDevice(*d)),
    );
    ops
}

impl Image {
    /// What the image is after `op`: the model that `bpf` follows, and that tests compare with.
    pub fn apply(&mut self, op: &MapOp) {
        match op {
            MapOp::AddDevice(device) => {
                self.devices.insert(*device);
            }
            MapOp::RemoveDevice(device) => {
                self.devices.remove(device);
            }
            MapOp::AddBackend(id, backend) | MapOp::ChangeBackend(id, backend) => {
                self.backends.insert(*id, backend.clone());
            }
            MapOp::RemoveBackend(id) => {
                self.backends.remove(id);
            }
            MapOp::AddService(id, service) => {
                self.services.insert(*id, service.clone());
                self.unlisted.insert(*id);
            }
            MapOp::ChangeRing(id, ring) => {
                if let Some(service) = self.services.get_mut(id) {
                    service.ring = ring.clone();
                }
            }
            MapOp::RenameService(id, name) => {
                if let Some(service) = self.services.get_mut(id) {
                    service.name.clone_from(name);
                }
            }
            MapOp::WriteFront(front, services) => {
                self.front = front.clone();
                self.unlisted = self.services.keys().copied().collect();
                for (id, wanted) in services {
                    self.unlisted.remove(id);
                    if let Some(service) = self.services.get_mut(id) {
                        service.key = wanted.key;
                        service.hash_key = wanted.hash_key;
                        service.steering = wanted.steering;
                    }
                }
            }
            MapOp::RemoveService(id) => {
                self.services.remove(id);
                self.unlisted.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
