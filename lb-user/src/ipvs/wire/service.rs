//! `IPVS_CMD_ATTR_SERVICE`: what identifies a service, and how it behaves.

use std::collections::BTreeMap;

use super::{
    Malformed, address,
    attribute::{self, all, put, put_text},
    family, family_number, put_address, stats,
};
use crate::{
    config::model::Family,
    ipvs::table::{Flags, SeenService, ServiceKey, Settings, Stats},
};

pub(super) fn put_key(out: &mut Vec<u8>, key: ServiceKey) {
    put(out, AF, &family_number(key.family()).to_ne_bytes());
    match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            put(out, PROTOCOL, &protocol.to_ne_bytes());
            put_address(out, ADDR, address);
            put(out, PORT, &port.to_be_bytes());
        }
        ServiceKey::Mark { mark, .. } => put(out, FWMARK, &mark.to_ne_bytes()),
    }
}

/// The kernel wants all of these when a service is added or changed.
pub(super) fn put_settings(out: &mut Vec<u8>, family: Family, settings: &Settings) {
    put_text(out, SCHED_NAME, &settings.scheduler);
    // `struct ip_vs_flags`: the bits, and which of them are meant.
    let mut flags = [0; 8];
    flags[..4].copy_from_slice(&settings.flags.bits().to_ne_bytes());
    flags[4..].copy_from_slice(&u32::MAX.to_ne_bytes());
    put(out, FLAGS, &flags);
    put(out, TIMEOUT, &settings.timeout.to_ne_bytes());
    let mask = match family {
        Family::V4 => netmask(settings.prefix_length).to_be_bytes(),
        Family::V6 => u32::from(settings.prefix_length).to_ne_bytes(),
    };
    put(out, NETMASK, &mask);
}

pub(super) fn decode(value: &[u8]) -> Result<(ServiceKey, SeenService), Malformed> {
    let mut seen = Attributes::default();
    for one in all(value) {
        let (kind, value) = one?;
        match kind {
            AF => seen.family = Some(family(attribute::u16(value)?)?),
            PROTOCOL => seen.protocol = Some(attribute::u16(value)?),
            ADDR => seen.address = Some(value),
            PORT => seen.port = Some(u16::from_be_bytes(attribute::exact(value)?)),
            FWMARK => seen.mark = Some(attribute::u32(value)?),
            SCHED_NAME => seen.scheduler = attribute::text(value)?,
            FLAGS => {
                let [a, b, c, d, ..]: [u8; 8] = attribute::exact(value)?;
                seen.flags = Flags::from_bits(u32::from_ne_bytes([a, b, c, d]));
            }
            TIMEOUT => seen.timeout = attribute::u32(value)?,
            NETMASK => seen.netmask = attribute::exact(value)?,
            STATS64 => seen.stats = stats(value)?,
            _ => {}
        }
    }
    seen.finish()
}

/// What was found so far.
#[derive(Default)]
struct Attributes<'a> {
    family: Option<Family>,
    protocol: Option<u16>,
    address: Option<&'a [u8]>,
    port: Option<u16>,
    mark: Option<u32>,
    scheduler: String,
    flags: Flags,
    timeout: u32,
    netmask: [u8; 4],
    stats: Stats,
}

impl Attributes<'_> {
    fn finish(self) -> Result<(ServiceKey, SeenService), Malformed> {
        let family = self.family.ok_or(Malformed::Missing)?;
        let key = match self.mark {
            Some(mark) => ServiceKey::Mark { family, mark },
            None => ServiceKey::Address {
                protocol: self.protocol.ok_or(Malformed::Missing)?,
                address: address(family, self.address.ok_or(Malformed::Missing)?)?,
                port: self.port.ok_or(Malformed::Missing)?,
            },
        };
        let prefix_length = match family {
            // A mask with holes is nobody's that we know; its ones are counted.
            Family::V4 => u32::from_be_bytes(self.netmask).count_ones(),
            Family::V6 => u32::from_ne_bytes(self.netmask),
        };
        let settings = Settings {
            scheduler: self.scheduler,
            flags: self.flags,
            timeout: self.timeout,
            prefix_length: u8::try_from(prefix_length).unwrap_or(u8::MAX),
        };
        Ok((
            key,
            SeenService {
                settings,
                stats: self.stats,
                destinations: BTreeMap::new(),
            },
        ))
    }
}

/// As a number whose first bit is the address's first.
fn netmask(prefix_length: u8) -> u32 {
    let host_bits = 32u32.saturating_sub(prefix_length.into());
    u32::MAX.checked_shl(host_bits).unwrap_or(0)
}

const AF: u16 = 1;
const PROTOCOL: u16 = 2;
const ADDR: u16 = 3;
/// In network byte order.
const PORT: u16 = 4;
const FWMARK: u16 = 5;
const SCHED_NAME: u16 = 6;
const FLAGS: u16 = 7;
/// Seconds.
const TIMEOUT: u16 = 8;
/// IPv4: a mask in network byte order. IPv6: a prefix length in host byte order.
const NETMASK: u16 = 9;
const STATS64: u16 = 12;
