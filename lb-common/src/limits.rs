//! Every capacity of the data plane, and the relations between them.

/// Version of the layout of every pinned map. Part of the pin path (`v<LAYOUT>/`), so that a map of
/// another layout is never opened by accident. Raise it with any change to this crate's map types.
pub const LAYOUT: u32 = 1;

/// `datapath.interfaces`: XDP attachment points.
pub const MAX_INTERFACES: usize = 16;
/// Slots of the interface table; the agent finds a multiplier that puts every interface in a slot
/// of its own.
pub const INTERFACE_SLOTS: usize = 64;
/// Peer balancers whose frames are never sent on.
pub const MAX_PEERS: usize = 64;
/// Services (virtual server × protocol).
pub const MAX_SERVICES: usize = 4096;
/// Backends, all services together.
pub const MAX_BACKENDS: usize = 65_535;
/// Backends of one service: slots name them by a `u16`, whose last value means "none".
pub const MAX_BACKENDS_PER_SERVICE: usize = 65_535;
/// Entries of the service table looked at before a key counts as absent. The agent chooses table
/// size and seed so that no key needs more.
pub const SERVICE_PROBES: u32 = 4;
/// Slots of one ring.
pub const MAX_RING_SLOTS: u32 = 1_048_573;
/// VLAN tags in front of the IP header.
pub const MAX_VLAN_TAGS: usize = 2;
/// IPv6 extension headers walked before the packet is given up.
pub const MAX_EXTENSION_HEADERS: u32 = 6;
/// Smallest and largest arena, bytes (`datapath.ring_memory`).
pub const MIN_ARENA: u64 = 1 << 20;
/// Largest arena: the verifier takes variable offsets below 2^29 only (`BPF_MAX_VAR_OFF`).
pub const MAX_ARENA: u64 = 1 << 28;

const _: () = assert!(INTERFACE_SLOTS.is_power_of_two() && INTERFACE_SLOTS >= 2 * MAX_INTERFACES);
const _: () = assert!(MAX_BACKENDS_PER_SERVICE <= u16::MAX as usize);
const _: () = assert!(MAX_ARENA < 1 << 29);
