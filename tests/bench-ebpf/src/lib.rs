//! What the bench and its BPF programs share. The programs are `src/main.rs`.
#![no_std]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Packets that the driver prepares in one run.
pub const BATCH: u32 = 16;
/// Backends of the floor programs.
pub const BACKENDS: u32 = 100;
/// Ports that the flows of one client address use; the rest of a flow's number is in the address.
pub const PORTS: u32 = 4096;

/// What the driver is to do, and what it saw.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Drive {
    /// State of the generator that picks flows.
    pub random: u64,
    /// Number of flows − 1; a power of two less one.
    pub flow_mask: u32,
    /// Slot of the program under test.
    pub program: u32,
    /// 4 or 6; 0: the frame is not touched.
    pub family: u32,
    /// What the program has to return.
    pub verdict: u32,
    /// By how many bytes a program has moved the frame's start; taken back by the driver.
    pub grown: u32,
    /// Programs that returned something else.
    pub mismatches: u32,
    /// What the last of them returned.
    pub unexpected: u32,
    /// Always 0.
    pub zero: u32,
}

/// Key of the floor's hash map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vip {
    /// Address words.
    pub address: [u64; 2],
    /// Port and protocol.
    pub port_protocol: u64,
}

/// Value of the floor's hash map.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VipInfo {
    /// Index of its counters.
    pub id: u32,
    /// Always 0.
    pub zero: u32,
}
