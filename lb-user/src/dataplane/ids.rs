//! Pure: indices that stay with their service and backend across reloads and restarts.
//!
//! Counters live at these indices, and the connection table will name backends by them. An index is
//! given again only after a plan has erased its former owner, and then with a new generation.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_common::flow::ServiceKey;

use super::image::{BackendId, Image, ServiceId};

/// What identifies a backend: its service, its address and port. Never its name or its place in the
/// file.
pub type BackendKey = (ServiceKey, IpAddr, u16);

/// There are more than the maps have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the maps have room for {capacity} {what}; they are sized at start: restart ballast to have \
     them made larger (forwarding goes on meanwhile)"
)]
pub struct NoRoom {
    what: &'static str,
    capacity: u32,
}

/// The indices in use.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    services: BTreeMap<ServiceKey, ServiceId>,
    backends: BTreeMap<BackendKey, (BackendId, u16)>,
    /// The last generation of indices that are free again.
    generations: BTreeMap<BackendId, u16>,
    service_capacity: u32,
    backend_capacity: u32,
}

impl Ids {
    /// The indices of an image, in maps of these sizes.
    #[must_use]
    pub fn of(image: &Image, service_capacity: u32, backend_capacity: u32) -> Self {
        Self::after(image, BTreeMap::new(), service_capacity, backend_capacity)
    }

    /// The same, with the last generations of indices that are free.
    #[must_use]
    pub fn after(
        image: &Image,
        generations: BTreeMap<BackendId, u16>,
        service_capacity: u32,
        backend_capacity: u32,
    ) -> Self {
        let services = image
            .services
            .iter()
            .map(|(id, service)| (service.key, *id))
            .collect();
        let backends = image.backends.iter().filter_map(|(id, backend)| {
            let service = image.services.get(&backend.info.service_id)?;
            let key = (service.key, backend.info.address, backend.info.port);
            Some((key, (*id, backend.entry.generation)))
        });
        Self {
            services,
            backends: backends.collect(),
            generations,
            service_capacity,
            backend_capacity,
        }
    }

    /// The index of a service, a new one if it has none.
    ///
    /// # Errors
    ///
    /// [`NoRoom`]
    pub fn service(&mut self, key: ServiceKey) -> Result<ServiceId, NoRoom> {
        if let Some(id) = self.services.get(&key) {
            return Ok(*id);
        }
        let used = self.services.values().map(|id| id.0);
        let id = lowest_free(used, self.service_capacity).ok_or(NoRoom {
            what: "services",
            capacity: self.service_capacity,
        })?;
        self.services.insert(key, ServiceId(id));
        Ok(ServiceId(id))
    }

    /// The indices and generations of a service's backends, new ones for those that have none.
    ///
    /// # Errors
    ///
    /// [`NoRoom`]
    pub fn backends(
        &mut self,
        service: ServiceKey,
        members: impl IntoIterator<Item = (IpAddr, u16)>,
    ) -> Result<Vec<(BackendId, u16)>, NoRoom> {
        let mut ids = Vec::new();
        let mut free = None;
        for (address, port) in members {
            let key = (service, address, port);
            if let Some(known) = self.backends.get(&key) {
                ids.push(*known);
                continue;
            }
            // Worked out once for all new members: thousands may come together.
            let free = free.get_or_insert_with(|| {
                let used: BTreeSet<u32> = self.backends.values().map(|(id, _)| id.0).collect();
                (0..self.backend_capacity).filter(move |id| !used.contains(id))
            });
            let id = free.next().map(BackendId).ok_or(NoRoom {
                what: "backends",
                capacity: self.backend_capacity,
            })?;
            let generation = next_generation(self.generations.remove(&id).unwrap_or(0));
            self.backends.insert(key, (id, generation));
            ids.push((id, generation));
        }
        Ok(ids)
    }

    /// A new generation for a backend: whatever is remembered of it is forgotten.
    pub fn renew(&mut self, service: ServiceKey, address: IpAddr, port: u16) -> Option<u16> {
        let (_, generation) = self.backends.get_mut(&(service, address, port))?;
        *generation = next_generation(*generation);
        Some(*generation)
    }

    /// Frees what an image no longer has. To be called after the plan that erased it was applied.
    pub fn retain(&mut self, image: &Image) {
        self.services
            .retain(|_, id| image.services.contains_key(id));
        let generations = &mut self.generations;
        self.backends.retain(|_, (id, generation)| {
            let kept = image.backends.contains_key(id);
            if !kept {
                generations.insert(*id, *generation);
            }
            kept
        });
    }
}

/// Generations go from 1 round to 1: 0 is that of an index that nobody has had.
fn next_generation(last: u16) -> u16 {
    last.checked_add(1).unwrap_or(1)
}

fn lowest_free(used: impl Iterator<Item = u32>, capacity: u32) -> Option<u32> {
    let used: BTreeSet<u32> = used.collect();
    (0..capacity).find(|id| !used.contains(id))
}

#[cfg(test)]
mod tests;
