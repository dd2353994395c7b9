//! The hashes of the packet path: short, keyed, the same bits on both sides.
//!
//! Every step is a 64-bit multiply and a shift, because that is what BPF does in one instruction
//! each; the constants are those of the splitmix64 and murmur3 finalisers.

use crate::{
    addr::Addr,
    flow::{FlowKey, ServiceKey},
};

const A: u64 = 0xbf58_476d_1ce4_e5b9;
const B: u64 = 0x94d0_49bb_1331_11eb;

/// One full mixing round: every input bit reaches every output bit.
#[inline(always)]
#[must_use]
pub const fn mix64(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(A);
    x ^= x >> 27;
    x = x.wrapping_mul(B);
    x ^ (x >> 31)
}

/// The flow hash: source address and port under the service's key. Destination and protocol are
/// the service's own and so already in the key. With `port_mask` 0 the port is left out, else it is
/// 0xffff.
#[inline(always)]
#[must_use]
pub const fn flow_hash(key: u64, port_mask: u32, flow: &FlowKey) -> u32 {
    source_hash(key, flow.source, flow.source_port & port_mask as u16)
}

/// [`flow_hash`] on its parts; `port` in host order.
#[inline(always)]
#[must_use]
pub const fn source_hash(key: u64, source: Addr, port: u16) -> u32 {
    (wide_hash(key, source, port) >> 32) as u32
}

/// All 64 bits of the mix whose upper half is [`source_hash`]. For IPv4 no two flows of a service
/// share them: every step can be undone.
#[inline(always)]
#[must_use]
pub const fn wide_hash(key: u64, source: Addr, port: u16) -> u64 {
    let [high, low] = source.words();
    // IPv4: 48 unknown bits; the multiply by an odd constant keeps IPv6's upper half from
    // cancelling against the lower.
    let folded = low ^ high.wrapping_mul(A).rotate_left(29) ^ (port as u64) << 1;
    mix64(folded ^ key)
}

/// What the connection table knows a flow by. The upper half is the flow hash, so that the slot of an
/// entry can be told from the entry. For IPv4 the whole is as exact as the 5-tuple; for IPv6, whose
/// addresses do not fit, and where the flow hash leaves the port out (`port_mask` 0), the lower half
/// is a keyed digest that a client cannot aim at another's.
#[inline(always)]
#[must_use]
pub const fn flow_tag(key: u64, port_mask: u32, secret: u64, source: Addr, port: u16) -> u64 {
    let wide = wide_hash(key, source, port & port_mask as u16);
    if source.is_v4() && port_mask != 0 {
        return wide;
    }
    let [high, low] = source.words();
    let digest = mix64(mix64(mix64(high ^ secret) ^ low) ^ port as u64);
    wide & !0xffff_ffff | digest & 0xffff_ffff
}

/// What the connection table knows a client by, given the prefix that its addresses share. The upper half
/// is a hash that says its slot, the lower half a keyed digest with another salt than a flow's: a client
/// is taken for a flow as seldom as 64 random bits are alike.
#[inline(always)]
#[must_use]
pub const fn client_tag(key: u64, secret: u64, prefix: Addr) -> u64 {
    let [high, low] = prefix.words();
    let digest = mix64(mix64(high ^ secret ^ CLIENT_SALT) ^ low);
    wide_hash(key, prefix, 0) & !0xffff_ffff | digest & 0xffff_ffff
}

const CLIENT_SALT: u64 = 0xc13f_a9a9_02a6_328f;

/// The flow hash in a tag.
#[inline(always)]
#[must_use]
pub const fn hash_of_tag(tag: u64) -> u32 {
    (tag >> 32) as u32
}

/// Slot of a hash in a ring of `slots`: multiply-shift, so that no division is needed.
#[inline(always)]
#[must_use]
pub const fn slot_of(hash: u32, slots: u32) -> u32 {
    ((hash as u64 * slots as u64) >> 32) as u32
}

/// Where a key's probing starts in the service table, after a shift that leaves as many of the
/// *upper* bits as the table needs: only those depend on every bit of the key.
#[inline(always)]
#[must_use]
pub const fn service_hash(seed: u64, key: &ServiceKey) -> u64 {
    let [high, low] = key.addr.words();
    (low ^ high.rotate_left(17) ^ (key.port_protocol as u64) << 3 ^ seed).wrapping_mul(A)
}

/// Words of the filter over own addresses.
pub const FILTER_WORDS: usize = 8;

/// The word (below [`FILTER_WORDS`]) and the bit in it, for "is this address surely none of ours?".
#[inline(always)]
#[must_use]
pub const fn filter_place(addr: &Addr) -> (u32, u64) {
    let [high, low] = addr.words();
    let hash = (low ^ high).wrapping_mul(B);
    (
        (hash >> 55) as u32 & (FILTER_WORDS as u32 - 1),
        1 << (hash >> 58),
    )
}

/// One bit of a 64-bit filter over Ethernet addresses, given in the low 48 bits.
#[inline(always)]
#[must_use]
pub const fn mac_filter_bit(mac: u64) -> u64 {
    1 << (mac.wrapping_mul(B) >> 58)
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    #[test]
    fn the_flow_hash_is_fixed_for_ever() {
        // Two balancers on different releases must agree: these never change.
        let v4 = Addr::from("192.0.2.1".parse::<IpAddr>().unwrap());
        let v6 = Addr::from("2001:db8::1".parse::<IpAddr>().unwrap());
        let got = [
            source_hash(0, v4, 40_000),
            source_hash(7, v4, 40_000),
            source_hash(7, v6, 1),
        ];
        assert_eq!(got, GOLDEN);
    }
    const GOLDEN: [u32; 3] = [2_230_860_954, 350_980_723, 3_775_328_393];

    #[test]
    fn ports_of_one_client_spread_evenly() {
        let source = Addr::from("192.0.2.1".parse::<IpAddr>().unwrap());
        let mut counts = [0u32; 64];
        for port in 0..=u16::MAX {
            counts[slot_of(source_hash(42, source, port), 64) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&n| (850..1200).contains(&n)),
            "{counts:?}"
        );
    }

    #[test]
    fn clients_of_one_network_spread_evenly() {
        let mut counts = [0u32; 64];
        for host in 0..65_536u32 {
            let ip = IpAddr::from((0x0a00_0000 + host).to_be_bytes());
            counts[slot_of(source_hash(42, Addr::from(ip), 443), 64) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&n| (850..1200).contains(&n)),
            "{counts:?}"
        );
    }

    #[test]
    fn ipv6_halves_do_not_cancel() {
        let mut seen = std::collections::HashSet::new();
        for i in 0..4096u128 {
            let ip = IpAddr::from(core::net::Ipv6Addr::from(
                (0x2001_0db8u128 << 96) | i << 64 | i,
            ));
            seen.insert(source_hash(1, Addr::from(ip), 443));
        }
        assert!(seen.len() > 4090);
    }
}
