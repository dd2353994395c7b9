//! The maps of the tunnel's end, and the door to them. `ballast realserver` finds them by these names.
#![expect(unsafe_code, reason = "map values are raw pointers")]

use aya_ebpf::{
    btf_maps::{HashMap, LpmTrie, PerCpuArray, lpm_trie::Key},
    macros::btf_map,
};
use lb_common::{
    addr::Addr,
    decap::{DecapCounters, Tables},
};

/// Addresses of this host that tunnels may end at. Values mean nothing.
#[btf_map]
static DECAP_HOSTS: HashMap<Addr, u32, 256> = HashMap::new();
/// Virtual addresses that are taken out of tunnels.
#[btf_map]
static DECAP_VIPS: HashMap<Addr, u32, 1024> = HashMap::new();
/// Outer sources that are taken, IPv4 as IPv4-mapped prefixes.
#[btf_map]
static DECAP_SOURCES: LpmTrie<Addr, u32, 1024> = LpmTrie::new();
#[btf_map]
static DECAP_STATS: PerCpuArray<DecapCounters, 1> = PerCpuArray::new();

/// The tables, as the decision asks them.
pub(crate) struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn is_tunnel_end(&self, address: &Addr) -> bool {
        DECAP_HOSTS.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn is_virtual(&self, address: &Addr) -> bool {
        DECAP_VIPS.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn may_send(&self, source: &Addr) -> bool {
        DECAP_SOURCES
            .get(&Key::new(ADDRESS_BITS, *source))
            .is_some()
    }
}

/// Changes this CPU's counters.
#[inline(always)]
pub(crate) fn count(change: impl FnOnce(&mut DecapCounters)) {
    if let Some(counters) = DECAP_STATS.get_ptr_mut(0) {
        // SAFETY: this CPU's own element, and the program is not re-entered on a CPU.
        change(unsafe { &mut *counters });
    }
}

const ADDRESS_BITS: u32 = 128;
