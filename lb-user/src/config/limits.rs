//! Every limit of a configuration, in one place.

/// The largest file, in bytes.
pub const FILE_BYTES: u64 = 16 << 20;
/// Services.
pub const SERVICES: usize = 4096;
/// Backends of all services together.
pub const BACKENDS: usize = 65_535;
/// Interfaces with XDP attached.
pub const INTERFACES: usize = 16;
/// Slots of one ring: the largest prime below 2^20.
pub const RING_SLOTS: u32 = 1_048_573;
/// Memory of all rings, in bytes: the largest value of a BPF array, in whole MiB.
pub const RING_MEMORY_MAX: u64 = 2047 << 20;
/// The least memory that holds a ring.
pub const RING_MEMORY_MIN: u64 = 1 << 20;
/// Flows remembered, at least.
pub const CONNECTIONS_MIN: i64 = 1024;
/// Flows remembered, at most.
pub const CONNECTIONS_MAX: i64 = 1 << 26;
/// Virtual routers: one per VRID, family and interface is far more than any host has.
pub const INSTANCES: usize = 1024;
/// Addresses of one virtual router: what a version 3 advert counts in one byte.
pub const VIRTUAL_ADDRESSES: usize = 255;

/// Parser events of a document: a full set of backends with all their keys.
pub(super) const YAML_EVENTS: usize = 4_000_000;
/// Parser events that come out of aliases.
pub(super) const YAML_REPLAYED_EVENTS: usize = 1_000_000;
/// Nesting; the schema needs 7.
pub(super) const YAML_DEPTH: usize = 32;

const _: () = assert!(SERVICES <= BACKENDS);
const _: () = assert!(
    BACKENDS * 16 <= YAML_EVENTS,
    "a full set of backends with four keys each must fit"
);
const _: () = assert!(
    RING_MEMORY_MAX >= RING_SLOTS as u64 * 4,
    "the largest ring must fit"
);
