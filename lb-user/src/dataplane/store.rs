//! The arena with everything in it: where each thing is, and what of a [`MapOp`] is done there.
//!
//! Knows nothing of the kernel: tests have a store in memory of their own, and read it with the
//! program's code.

use std::{collections::BTreeMap, time::Instant};

use lb_common::{
    arena::{Arena as _, ROOT, ROOT_FRONT, Root, UNIT},
    service::ENTRY_RING,
};
use zerocopy::IntoBytes as _;

use super::{
    alloc::{Allocator, Full},
    arena::Arena,
    image::{
        BackendId, BackendImage, BackendInfo, Front, Image, RingImage, ServiceId, ServiceImage,
    },
    plan::MapOp,
    region::{self, Found, FrontService},
};

/// See the top of this file.
#[derive(Debug)]
pub struct Store {
    arena: Arena,
    space: Allocator,
    /// Backends that the directory has room for.
    backends: u32,
    places: Places,
}

/// Where in the arena things are: offset and length.
#[derive(Debug, Default)]
struct Places {
    front: Option<(u32, u32)>,
    directory: u32,
    /// Offset of each service's entry in the arena, while it is in the front table.
    entries: BTreeMap<ServiceId, u32>,
    rings: BTreeMap<ServiceId, (u32, u32)>,
    backends: BTreeMap<BackendId, u32>,
}

/// Why an operation could not be carried out in the arena.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error(transparent)]
    Full(#[from] Full),
    /// The operation names what is not there.
    #[error("{0} is not in the data plane")]
    Unknown(String),
}

impl Store {
    /// A store in an arena of zeros, with room for so many `backends`. `secret` is the key of the
    /// connection table beside it.
    ///
    /// # Errors
    ///
    /// [`Full`]
    pub fn new(mut arena: Arena, backends: u32, secret: u64) -> Result<Self, Full> {
        let mut space = Allocator::new(arena.length());
        // All zeros, as everything in a new map: nobody has any index.
        let directory = space.take(backends * DIRECTORY_ENTRY, Instant::now())?;
        arena.write(ROOT, region::root(0, directory, secret).as_bytes());
        let places = Places {
            directory,
            ..Places::default()
        };
        Ok(Self {
            arena,
            space,
            backends,
            places,
        })
    }

    /// A predecessor's store, and what it says. `None` if it is not one, or if things overlap.
    #[must_use]
    pub fn adopt(arena: Arena, backends: u32) -> Option<(Self, Found)> {
        let found = region::read(&arena)?;
        let mut space = Allocator::new(arena.length());
        let mut places = Places {
            front: found.front_region,
            directory: found.directory,
            ..Places::default()
        };
        let mut fits = space.claim(found.directory, backends * DIRECTORY_ENTRY);
        if let Some((at, length)) = found.front_region {
            fits &= space.claim(at, length);
        }
        for (id, (at, _)) in &found.backends {
            fits &= space.claim(*at, BACKEND);
            places.backends.insert(*id, *at);
        }
        for (id, service) in &found.services {
            fits &= space.claim(service.ring_at, service.ring_length);
            let ring = (service.ring_at, service.ring_length);
            places.rings.insert(*id, ring);
            places.entries.insert(*id, service.entry);
        }
        let store = Self {
            arena,
            space,
            backends,
            places,
        };
        fits.then_some((store, found))
    }

    /// The arena.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The arena, for whoever comes next.
    #[must_use]
    pub fn into_arena(self) -> Arena {
        self.arena
    }

    /// The key of the connection table.
    #[must_use]
    pub fn secret(&self) -> u64 {
        let root: Option<&Root> = self.arena.view(ROOT);
        root.map_or(0, |root| root.secret)
    }

    /// Bytes in use, and in all.
    #[must_use]
    pub fn memory(&self) -> (u32, u32) {
        (self.space.used(), self.space.length())
    }

    /// The last generations of indices that nobody in `applied` has.
    #[must_use]
    pub fn retired(&self, applied: &Image) -> BTreeMap<BackendId, u16> {
        let generation = |id: u32| self.arena.word(self.directory(BackendId(id)) + 4);
        (0..self.backends)
            .filter(|id| !applied.backends.contains_key(&BackendId(*id)))
            .filter_map(|id| Some((BackendId(id), u16::try_from(generation(id)?).ok()?)))
            .filter(|(_, generation)| *generation != 0)
            .collect()
    }

    /// Does what concerns the arena. `applied` is what it contains.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing has changed that a reader could see, and the same operation may
    /// be tried again.
    pub fn apply(&mut self, op: &MapOp, applied: &Image, now: Instant) -> Result<(), StoreError> {
        match op {
            MapOp::AddBackend(id, backend) | MapOp::ChangeBackend(id, backend) => {
                self.write_backend(*id, backend, applied, now)?;
            }
            MapOp::RemoveBackend(id) => {
                self.arena.flip(self.directory(*id), 0);
                if let Some(at) = self.places.backends.remove(id) {
                    self.space.give_back(at, BACKEND, now);
                }
            }
            MapOp::AddService(id, service) => self.write_ring(*id, &service.ring, now)?,
            MapOp::ChangeRing(id, ring) => self.write_ring(*id, ring, now)?,
            MapOp::WriteFront(front, services) => self.write_front(front, services, now)?,
            MapOp::RemoveService(id) => {
                self.places.entries.remove(id);
                if let Some((at, length)) = self.places.rings.remove(id) {
                    self.space.give_back(at, length, now);
                }
            }
            MapOp::AddDevice(_) | MapOp::RemoveDevice(_) | MapOp::RenameService(..) => {}
        }
        Ok(())
    }

    /// Writes the entry beside the old one and flips the word of the ring that names it.
    fn write_backend(
        &mut self,
        id: BackendId,
        backend: &BackendImage,
        applied: &Image,
        now: Instant,
    ) -> Result<(), Full> {
        let at = self.space.take(BACKEND, now)?;
        self.arena.write(at, backend.entry.as_bytes());
        let service = backend.info.service_id;
        if let (Some(image), Some((ring_at, _))) = (
            applied.services.get(&service),
            self.places.rings.get(&service),
        ) && let Some(local) = image.ring.locals.iter().position(|local| *local == id)
        {
            let word = region::local_word(image.ring.slots.len(), local);
            self.arena.flip(ring_at + word, at);
        }
        let directory = self.directory(id);
        let generation = u32::from(backend.entry.generation);
        self.arena.flip(directory + 4, generation);
        self.arena.flip(directory, at);
        if let Some(old) = self.places.backends.insert(id, at) {
            self.space.give_back(old, BACKEND, now);
        }
        Ok(())
    }

    /// Writes the ring beside the old one and flips the word of the front table that names it.
    fn write_ring(
        &mut self,
        id: ServiceId,
        ring: &RingImage,
        now: Instant,
    ) -> Result<(), StoreError> {
        for local in ring.locals.iter() {
            if !self.places.backends.contains_key(local) {
                return Err(StoreError::Unknown(format!("backend {}", local.0)));
            }
        }
        let bytes = region::ring(ring, |local| {
            self.places.backends.get(&local).copied().unwrap_or(0)
        });
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let at = self.space.take(length, now)?;
        self.arena.write(at, &bytes);
        if let Some(entry) = self.places.entries.get(&id) {
            self.arena.flip(entry + ENTRY_RING, at);
        }
        if let Some((old, length)) = self.places.rings.insert(id, (at, length)) {
            self.space.give_back(old, length, now);
        }
        Ok(())
    }

    fn write_front(
        &mut self,
        front: &Front,
        services: &[(ServiceId, ServiceImage)],
        now: Instant,
    ) -> Result<(), StoreError> {
        let mut listed = Vec::with_capacity(services.len());
        for (id, service) in services {
            let ring = self.places.rings.get(id);
            let unknown = || StoreError::Unknown(format!("the ring of service {}", id.0));
            let (ring, _) = *ring.ok_or_else(unknown)?;
            listed.push(FrontService {
                id: *id,
                key: service.key,
                hash_key: service.hash_key,
                steering: service.steering,
                ring,
            });
        }
        let region = region::front(front, &listed);
        let length = u32::try_from(region.bytes.len()).unwrap_or(u32::MAX);
        let at = self.space.take(length, now)?;
        self.arena.write(at, &region.bytes);
        self.arena.flip(ROOT_FRONT, at);
        self.places.entries = region
            .entries
            .into_iter()
            .map(|(id, offset)| (id, at + offset))
            .collect();
        if let Some((old, length)) = self.places.front.replace((at, length)) {
            self.space.give_back(old, length, now);
        }
        Ok(())
    }

    /// Where the directory says who has an index.
    fn directory(&self, id: BackendId) -> u32 {
        self.places.directory + id.0 * DIRECTORY_ENTRY
    }
}

impl Found {
    /// As an image, with the descriptions that are not in the arena. `None` if one is missing.
    #[must_use]
    pub fn into_image(
        self,
        info: impl Fn(BackendId) -> Option<BackendInfo>,
        name: impl Fn(ServiceId) -> Option<String>,
    ) -> Option<Image> {
        let mut image = Image {
            front: self.front,
            ..Image::default()
        };
        for (id, (_, entry)) in self.backends {
            let info = info(id)?;
            image.backends.insert(id, BackendImage { entry, info });
        }
        for (id, service) in self.services {
            let service = ServiceImage {
                key: service.key,
                hash_key: service.hash_key,
                steering: service.steering,
                name: name(id)?,
                ring: service.ring,
            };
            image.services.insert(id, service);
        }
        Some(image)
    }
}

/// Bytes of a backend's entry.
const BACKEND: u32 = UNIT;
/// Bytes of the directory for each backend.
const DIRECTORY_ENTRY: u32 = 8;
