//! The only writer of maps: loads or adopts them, and applies [`MapOp`]s.
//!
//! Start-up has two ways. *Adopt*: all maps are pinned, in the layout and size we want, and the arena
//! reads back; then the program of this binary is loaded onto them. *Make*: a new set of maps is made
//! beside whatever is pinned, filled, and moved to its place after the links were switched over. In
//! both, an interface's link goes from the old program to the new one in one step.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    io,
    os::fd::AsFd as _,
    time::Instant,
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, DevMapHash, Map, MapData, MapError, MapInfo, PerCpuArray, PerCpuValues},
    programs::{ProgramError, Xdp},
};
use aya_log::EbpfLogger;
use lb_common::{
    connections::SET,
    counters::{FlowCounters, Shared, TrafficCounters},
    describe::{self, BackendDescription, ServiceDescription},
};

use super::{
    alloc::Full,
    arena::Arena,
    image::{BackendId, BackendInfo, Image, ServiceId, ServiceImage},
    object,
    pins::{MAPS, Pins, PinsError},
    plan::MapOp,
    remembered::ReadOnly,
    store::{Store, StoreError},
    sweep::{Lifetimes, Sweeper, Usage},
};
use crate::types::IfIndex;

/// How large the maps are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Arena, bytes; rounded up to whole pages.
    pub arena: u32,
    /// Connection table, bytes; rounded up to a power of two of at least a page.
    pub table: u32,
    /// Elements of `services` and `service_stats`.
    pub services: u32,
    /// Elements of `backends` and `backend_stats`.
    pub backends: u32,
}

/// Which build of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// As shipped.
    Plain,
    /// With packet logging.
    Trace,
}

/// What time it is, by the two clocks of the data plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The connection table's: CLOCK_MONOTONIC in units of 2^30 ns.
    pub tick: u32,
    /// The rings': CLOCK_BOOTTIME in seconds.
    pub boot: u32,
}

/// Why the data plane cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Pin paths.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The object was refused.
    #[error(
        "cannot load the XDP program (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and a kernel of 6.1 or later)"
    )]
    Load(#[source] Box<aya::EbpfError>),
    /// The verifier refused the program.
    #[error("the kernel's verifier refused the XDP program")]
    Verify(#[source] Box<ProgramError>),
    /// A map could not be made.
    #[error("cannot make the map `{name}`")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why.
        source: Box<MapError>,
    },
    /// The arena is too small for what is always in it.
    #[error(transparent)]
    Full(Full),
    /// There is no randomness.
    #[error("cannot read /dev/urandom")]
    Random(#[source] io::Error),
    /// A map could not be mapped into memory.
    #[error("cannot map the {bytes} bytes of the map `{name}`")]
    Mmap {
        /// Its name.
        name: &'static str,
        /// Its size.
        bytes: u32,
        /// Why.
        source: io::Error,
    },
    /// The object lacks something this agent knows: they are not of one build.
    #[error("the XDP object has no `{0}`; it is not of this build")]
    Missing(&'static str),
}

/// Why an operation could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The arena.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A map refused.
    #[error("cannot write the map `{name}`")]
    Map {
        /// Which.
        name: &'static str,
        /// Why.
        source: Box<MapError>,
    },
    /// The operation names what is not there.
    #[error("{0} is not in the data plane")]
    Unknown(String),
}

/// The loaded data plane.
#[derive(Debug)]
pub struct Bpf {
    pub(super) pins: Pins,
    pub(super) ebpf: Ebpf,
    store: Store,
    table: Arena,
    sweeper: Sweeper,
    capacity: Capacity,
    staged: bool,
    applied: Image,
}

impl Bpf {
    /// Adopts what is pinned where it fits, else makes a new set; loads the program. Nothing is
    /// attached yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`]
    pub fn open(pins: Pins, capacity: Capacity, build: Build) -> Result<Self, OpenError> {
        let capacity = Capacity {
            arena: capacity.arena.next_multiple_of(PAGE),
            table: capacity.table.next_power_of_two().max(PAGE),
            ..capacity
        };
        if fits(&pins, capacity) {
            if let Some(bpf) = Self::adopt(pins.clone(), capacity, build)? {
                return Ok(bpf);
            }
            tracing::warn!("the pinned maps make no sense; new ones replace them");
        }
        Self::make(pins, capacity, build)
    }

    fn adopt(pins: Pins, capacity: Capacity, build: Build) -> Result<Option<Self>, OpenError> {
        let paths: Vec<_> = (0..MAPS.len()).map(|index| pins.map(index)).collect();
        let ebpf = load(&paths, capacity, build)?;
        let arena = map_memory(&ebpf, "ARENA", capacity.arena)?;
        let table = map_memory(&ebpf, "CONNECTIONS", capacity.table)?;
        let Some((store, found)) = Store::adopt(arena, capacity.backends) else {
            return Ok(None);
        };
        let mut bpf = Self {
            pins,
            ebpf,
            store,
            table,
            sweeper: Sweeper::default(),
            capacity,
            staged: false,
            applied: Image::default(),
        };
        let info = |id| bpf.read_backend(id);
        let name = |id| bpf.read_service(id);
        let Some(mut applied) = found.into_image(info, name) else {
            return Ok(None);
        };
        applied.devices = bpf.read_devices();
        bpf.applied = applied;
        Ok(bpf.applied.is_consistent().then_some(bpf))
    }

    fn make(pins: Pins, capacity: Capacity, build: Build) -> Result<Self, OpenError> {
        pins.stage()?;
        let paths: Vec<_> = (0..MAPS.len())
            .map(|index| pins.staged_map(index))
            .collect();
        make_memory("ARENA", capacity.arena, &paths[0])?;
        make_memory("CONNECTIONS", capacity.table, &paths[2])?;
        let ebpf = load(&paths, capacity, build)?;
        let arena = map_memory(&ebpf, "ARENA", capacity.arena)?;
        let table = map_memory(&ebpf, "CONNECTIONS", capacity.table)?;
        let secret = random().map_err(OpenError::Random)?;
        let store = Store::new(arena, capacity.backends, secret).map_err(OpenError::Full)?;
        Ok(Self {
            pins,
            ebpf,
            store,
            table,
            sweeper: Sweeper::default(),
            capacity,
            staged: true,
            applied: Image::default(),
        })
    }

    /// What the maps contain.
    #[must_use]
    pub fn applied(&self) -> &Image {
        &self.applied
    }

    /// The arena, for `explain`.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        self.store.arena()
    }

    /// The connection table, for `explain`.
    #[must_use]
    pub fn table(&self) -> &Arena {
        &self.table
    }

    /// The connection table as `explain` reads it.
    #[must_use]
    pub fn remembered(&self) -> ReadOnly<'_> {
        ReadOnly {
            table: &self.table,
            secret: self.store.secret(),
        }
    }

    /// Looks at the next `bytes` of the connection table: see [`Sweeper::step`].
    pub fn sweep(
        &mut self,
        lifetimes: &HashMap<ServiceId, Lifetimes>,
        bytes: u32,
        clock: Clock,
    ) -> Option<Usage> {
        let (tick, boot) = (clock.tick, clock.boot);
        self.sweeper
            .step(&self.table, &self.applied, lifetimes, bytes, tick, boot)
    }

    /// How many turns of each service's sequence have been taken.
    #[must_use]
    pub fn turns(&self) -> BTreeMap<ServiceId, u32> {
        let shared = self.ebpf.map("SHARED");
        let shared: Option<Array<&MapData, Shared>> = shared.and_then(|map| map.try_into().ok());
        let Some(shared) = shared else {
            return BTreeMap::new();
        };
        let turn = |id: &ServiceId| {
            let turn = shared.get(&id.0, 0).ok()?.turn;
            u32::try_from(turn & u64::from(u32::MAX)).ok()
        };
        let services = self.applied.services.keys();
        services.filter_map(|id| Some((*id, turn(id)?))).collect()
    }

    /// The last generations of indices that nobody has now.
    #[must_use]
    pub fn retired(&self) -> BTreeMap<BackendId, u16> {
        self.store.retired(&self.applied)
    }

    /// Bytes of the arena in use, and in all.
    #[must_use]
    pub fn ring_memory(&self) -> (u32, u32) {
        self.store.memory()
    }

    /// The sizes of the maps.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Carries one operation out; on success the image follows.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; then nothing has changed that a reader could see, and the same operation may
    /// be tried again.
    pub fn apply(&mut self, op: &MapOp, now: Instant) -> Result<(), ApplyError> {
        match op {
            MapOp::AddDevice(device) => self.add_device(*device)?,
            MapOp::RemoveDevice(device) => self.remove_device(*device)?,
            MapOp::AddBackend(id, backend) => {
                self.zero::<TrafficCounters>("BACKEND_STATS", id.0)?;
                self.describe_backend(*id, Some(&backend.info), backend.entry.generation)?;
            }
            MapOp::ChangeBackend(id, backend) => {
                self.describe_backend(*id, Some(&backend.info), backend.entry.generation)?;
            }
            MapOp::RemoveBackend(id) => self.describe_backend(*id, None, 0)?,
            MapOp::AddService(id, service) => {
                self.zero::<TrafficCounters>("SERVICE_STATS", id.0)?;
                self.zero::<FlowCounters>("FLOW_STATS", id.0)?;
                self.describe_service(*id, Some(service))?;
            }
            MapOp::RenameService(id, name) => {
                let known = self.applied.services.get(id);
                let service =
                    known.ok_or_else(|| ApplyError::Unknown(format!("service {}", id.0)))?;
                let renamed = ServiceImage {
                    name: name.clone(),
                    ..service.clone()
                };
                self.describe_service(*id, Some(&renamed))?;
            }
            MapOp::RemoveService(id) => self.describe_service(*id, None)?,
            MapOp::ChangeRing(..) | MapOp::WriteFront(..) => {}
        }
        self.store.apply(op, &self.applied, now)?;
        self.applied.apply(op);
        Ok(())
    }

    /// Moves a newly made set of maps to its place; nothing to do for an adopted one.
    ///
    /// # Errors
    ///
    /// [`PinsError`]
    pub fn commit(&mut self) -> Result<(), PinsError> {
        if self.staged {
            self.pins.commit()?;
            self.staged = false;
        }
        Ok(())
    }

    /// The program, for attaching and for `BPF_PROG_TEST_RUN`.
    ///
    /// # Errors
    ///
    /// [`OpenError::Missing`]
    pub fn program(&mut self) -> Result<&mut Xdp, OpenError> {
        program(&mut self.ebpf)
    }

    /// Replaces the program by another build of it on the same maps. The links still have to be
    /// switched over.
    ///
    /// # Errors
    ///
    /// [`OpenError`]
    pub fn rebuild(&mut self, build: Build) -> Result<(), OpenError> {
        let paths: Vec<_> = (0..MAPS.len()).map(|index| self.pins.map(index)).collect();
        self.ebpf = load(&paths, self.capacity, build)?;
        Ok(())
    }

    /// Removes every pin. What is not attached any more is gone with them.
    pub fn remove_pins(&self) {
        self.pins.remove_all();
    }

    /// Where the logging build's records come out.
    ///
    /// # Errors
    ///
    /// The build is the plain one.
    pub fn logger(&mut self) -> Result<EbpfLogger<&'static dyn log::Log>, aya_log::Error> {
        EbpfLogger::init(&mut self.ebpf)
    }

    /// The kernel's id of the program and how many instructions the verifier went through.
    #[must_use]
    pub fn program_info(&self) -> Option<(u32, Option<u32>)> {
        let info = self.ebpf.program(PROGRAM)?.info().ok()?;
        Some((info.id(), info.verified_instruction_count()))
    }
}

/// Name of the program in the object and in the kernel.
pub const PROGRAM: &str = "ballast";

/// Page size of the machines we run on; the arena is mapped in whole pages.
const PAGE: u32 = 4096;

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, OpenError> {
    ebpf.program_mut(PROGRAM)
        .ok_or(OpenError::Missing(PROGRAM))?
        .try_into()
        .map_err(|_: ProgramError| OpenError::Missing(PROGRAM))
}

/// Loads the object onto maps pinned at `paths`, making those that are not there.
fn load(paths: &[std::path::PathBuf], capacity: Capacity, build: Build) -> Result<Ebpf, OpenError> {
    let object = match build {
        Build::Plain => object::BALLAST,
        Build::Trace => object::BALLAST_TRACE,
    };
    let mut loader = EbpfLoader::new();
    loader.override_global("ARENA_LENGTH", &capacity.arena, true);
    let table_mask = capacity.table - SET;
    loader.override_global("TABLE_MASK", &table_mask, true);
    for ((name, _), path) in MAPS.iter().zip(paths) {
        loader.map_pin_path(name, path.as_path());
    }
    for (name, entries) in [
        ("SERVICES", capacity.services),
        ("SERVICE_STATS", capacity.services),
        ("FLOW_STATS", capacity.services),
        ("SHARED", capacity.services),
        ("BACKENDS", capacity.backends),
        ("BACKEND_STATS", capacity.backends),
    ] {
        loader.map_max_entries(name, entries);
    }
    let mut ebpf = loader
        .load(object)
        .map_err(|error| OpenError::Load(Box::new(error)))?;
    program(&mut ebpf)?
        .load()
        .map_err(|error| OpenError::Verify(Box::new(error)))?;
    Ok(ebpf)
}

/// Makes a map of one mapped value: its size is only known now, and the object cannot say it.
fn make_memory(name: &'static str, length: u32, pin: &std::path::Path) -> Result<(), OpenError> {
    let definition = aya_obj::Map::Legacy(aya_obj::maps::LegacyMap {
        section_index: 0,
        section_kind: aya_obj::EbpfSectionKind::Maps,
        symbol_index: None,
        def: aya_obj::maps::bpf_map_def {
            map_type: aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
            key_size: 4,
            value_size: length,
            max_entries: 1,
            map_flags: MMAPABLE,
            ..Default::default()
        },
        inner_def: None,
        data: Vec::new(),
    });
    let error = |source| OpenError::Map {
        name,
        source: Box::new(source),
    };
    let map = MapData::create(definition, name, None).map_err(error)?;
    map.pin(pin).map_err(|source| {
        error(MapError::PinError {
            name: Some(name.to_owned()),
            error: source,
        })
    })
}

/// A number that nobody can guess.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// `BPF_F_MMAPABLE`
const MMAPABLE: u32 = 1 << 10;

fn map_memory(ebpf: &Ebpf, name: &'static str, length: u32) -> Result<Arena, OpenError> {
    let Some(Map::Array(data)) = ebpf.map(name) else {
        return Err(OpenError::Missing(name));
    };
    Arena::map(data.fd().as_fd(), length).map_err(|source| OpenError::Mmap {
        name,
        bytes: length,
        source,
    })
}

/// Whether every map is pinned in the shape we would make it: aya opens a pin without looking.
fn fits(pins: &Pins, capacity: Capacity) -> bool {
    (0..MAPS.len()).all(|index| {
        let Ok(info) = MapInfo::from_pin(pins.map(index)) else {
            return false;
        };
        let (name, _) = MAPS[index];
        let (value, entries) = match name {
            "ARENA" => (capacity.arena as usize, 1),
            "CONNECTIONS" => (capacity.table as usize, 1),
            "SHARED" => (size_of::<Shared>(), capacity.services),
            "FLOW_STATS" => (size_of::<FlowCounters>(), capacity.services),
            "DEVICES" => (8, 64),
            "SERVICES" => (size_of::<ServiceDescription>(), capacity.services),
            "BACKENDS" => (size_of::<BackendDescription>(), capacity.backends),
            "SERVICE_STATS" => (size_of::<TrafficCounters>(), capacity.services),
            "BACKEND_STATS" => (size_of::<TrafficCounters>(), capacity.backends),
            _ => (size_of::<lb_common::counters::DropCounters>(), 1),
        };
        info.value_size() as usize == value && info.key_size() == 4 && info.max_entries() == entries
    })
}

mod people;
