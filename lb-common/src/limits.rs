//! Every capacity of the data plane, and the relations between them.

/// Version of the layout of every pinned map. Part of the pin path (`v<LAYOUT>/`), so that a map of
/// another layout is never opened by accident. Raise it with any change to this crate's map types.
pub const LAYOUT: u32 = 3;

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
/// Backends of one service, those included that have just been removed: slots name them by a `u16`
/// that has to leave room for what [`crate::ring::Previous`] says besides.
pub const MAX_BACKENDS_PER_SERVICE: usize = 65_532;
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

/// Smallest connection table, bytes.
pub const MIN_TABLE: u64 = 1 << 12;
/// Largest one: as for the arena.
pub const MAX_TABLE: u64 = 1 << 28;
/// Bytes of the connection table for each flow that `datapath.connection_table_size` asks for: four
/// places of 16 bytes, so that a flow hardly ever finds the eight it may take occupied.
pub const TABLE_BYTES_PER_FLOW: u64 = 64;

const _: () = assert!(INTERFACE_SLOTS.is_power_of_two() && INTERFACE_SLOTS >= 2 * MAX_INTERFACES);
const _: () = assert!(MAX_BACKENDS_PER_SERVICE <= crate::ring::MAX_LOCALS as usize);
const _: () = assert!(MAX_TABLE < 1 << 29);
// An entry of the connection table names its backend by 16 bits.
const _: () = assert!(MAX_BACKENDS <= 1 << 16);
const _: () = assert!(MAX_ARENA < 1 << 29);
