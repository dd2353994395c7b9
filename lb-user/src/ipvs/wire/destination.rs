//! `IPVS_CMD_ATTR_DEST`: a real server.

use super::{
    Malformed, address,
    attribute::{self, all, put},
    family, family_number, put_address, stats,
};
use crate::{
    config::model::Family,
    ipvs::table::{Destination, DestinationKey, Method, SeenDestination, Stats},
};

pub(super) fn put_key(out: &mut Vec<u8>, key: DestinationKey) {
    let family = family_number(Family::of(key.address));
    put(out, ADDR_FAMILY, &family.to_ne_bytes());
    put_address(out, ADDR, key.address);
    put(out, PORT, &key.port.to_be_bytes());
}

/// The kernel wants all of these when a real server is added or changed.
pub(super) fn put_settings(out: &mut Vec<u8>, destination: &Destination) {
    put(out, FWD_METHOD, &number(destination.method).to_ne_bytes());
    put(out, WEIGHT, &destination.weight.to_ne_bytes());
    // No thresholds: a real server takes as many connections as come.
    put(out, U_THRESH, &0u32.to_ne_bytes());
    put(out, L_THRESH, &0u32.to_ne_bytes());
}

pub(super) fn decode(value: &[u8]) -> Result<(DestinationKey, SeenDestination), Malformed> {
    // Kernels before 3.18 say no family; 6.1 and later do.
    let mut of_family = Family::V4;
    let (mut raw_address, mut port) = (None, None);
    let mut seen = SeenDestination {
        destination: Destination {
            method: Method::Masquerade,
            weight: 0,
        },
        active: 0,
        inactive: 0,
        persistent: 0,
        stats: Stats::default(),
    };
    for one in all(value) {
        let (kind, value) = one?;
        match kind {
            ADDR => raw_address = Some(value),
            PORT => port = Some(u16::from_be_bytes(attribute::exact(value)?)),
            FWD_METHOD => seen.destination.method = method(attribute::u32(value)?),
            WEIGHT => seen.destination.weight = attribute::u32(value)?,
            ACTIVE_CONNS => seen.active = attribute::u32(value)?,
            INACT_CONNS => seen.inactive = attribute::u32(value)?,
            PERSIST_CONNS => seen.persistent = attribute::u32(value)?,
            ADDR_FAMILY => of_family = family(attribute::u16(value)?)?,
            STATS64 => seen.stats = stats(value)?,
            _ => {}
        }
    }
    let key = DestinationKey {
        address: address(of_family, raw_address.ok_or(Malformed::Missing)?)?,
        port: port.ok_or(Malformed::Missing)?,
    };
    Ok((key, seen))
}

fn number(method: Method) -> u32 {
    match method {
        Method::Masquerade => 0,
        Method::Local => 1,
        Method::Tunnel => 2,
        Method::DirectRouting => 3,
        Method::Other(number) => number,
    }
}

fn method(number: u32) -> Method {
    match number {
        0 => Method::Masquerade,
        1 => Method::Local,
        2 => Method::Tunnel,
        3 => Method::DirectRouting,
        other => Method::Other(other),
    }
}

const ADDR: u16 = 1;
/// In network byte order.
const PORT: u16 = 2;
const FWD_METHOD: u16 = 3;
const WEIGHT: u16 = 4;
const U_THRESH: u16 = 5;
const L_THRESH: u16 = 6;
const ACTIVE_CONNS: u16 = 7;
const INACT_CONNS: u16 = 8;
const PERSIST_CONNS: u16 = 9;
const ADDR_FAMILY: u16 = 11;
const STATS64: u16 = 12;
