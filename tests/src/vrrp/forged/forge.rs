//! Builds adverts, right or wrong, without Ballast's codec.

use std::net::{IpAddr, Ipv4Addr};

use super::PASSWORD;
use crate::{
    packet::{self, MacAddr, internet_checksum},
    topology::{VIP, VIP6},
    vrrp::Sum,
};

/// A right advert, to be made wrong.
#[derive(Clone, Debug)]
pub(super) struct Forge {
    source: IpAddr,
    pub(super) destination: IpAddr,
    from_mac: MacAddr,
    pub(super) to_mac: MacAddr,
    ttl: u8,
    version: u8,
    kind: u8,
    id: u8,
    priority: u8,
    count: u8,
    /// Version 2: the authentication type.
    authentication: u8,
    /// Seconds in version 2, hundredths in version 3.
    interval: u8,
    password: [u8; 8],
    checksum: Option<u16>,
    sum: Sum,
    cut: usize,
}

impl Forge {
    pub(super) fn v2(id: u8, source: Ipv4Addr, from_mac: MacAddr) -> Self {
        let mut forge = Self::v3(id, source.into(), GROUP.into(), from_mac);
        forge.version = 2;
        forge.authentication = 1;
        forge.interval = 1;
        forge.password(PASSWORD)
    }

    pub(super) fn v3(id: u8, source: IpAddr, destination: IpAddr, from_mac: MacAddr) -> Self {
        Self {
            source,
            destination,
            from_mac,
            to_mac: match destination {
                IpAddr::V4(_) => [0x01, 0, 0x5e, 0, 0, 0x12],
                IpAddr::V6(_) => [0x33, 0x33, 0, 0, 0, 0x12],
            },
            ttl: 255,
            version: 3,
            kind: 1,
            id,
            priority: 254,
            count: 1,
            authentication: 0,
            interval: 100,
            password: [0; 8],
            checksum: None,
            sum: Sum::PseudoHeader,
            cut: usize::MAX,
        }
    }

    pub(super) fn source(mut self, source: Ipv4Addr) -> Self {
        self.source = source.into();
        self
    }

    pub(super) fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    pub(super) fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    pub(super) fn kind(mut self, kind: u8) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn id(mut self, id: u8) -> Self {
        self.id = id;
        self
    }

    pub(super) fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    pub(super) fn count(mut self, count: u8) -> Self {
        self.count = count;
        self
    }

    pub(super) fn authentication(mut self, kind: u8) -> Self {
        self.authentication = kind;
        self
    }

    pub(super) fn interval(mut self, interval: u8) -> Self {
        self.interval = interval;
        self
    }

    pub(super) fn password(mut self, password: &str) -> Self {
        self.password = [0; 8];
        for (to, from) in self.password.iter_mut().zip(password.bytes()) {
            *to = from;
        }
        self
    }

    pub(super) fn checksum(mut self, checksum: u16) -> Self {
        self.checksum = Some(checksum);
        self
    }

    pub(super) fn sum(mut self, sum: Sum) -> Self {
        self.sum = sum;
        self
    }

    pub(super) fn cut(mut self, length: usize) -> Self {
        self.cut = length;
        self
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        let first = match self.version {
            3 => 0,
            _ => self.authentication,
        };
        let mut bytes = vec![
            self.version << 4 | self.kind,
            self.id,
            self.priority,
            self.count,
            first,
            self.interval,
            0,
            0,
        ];
        match self.source {
            IpAddr::V4(_) => bytes.extend(VIP.octets()),
            IpAddr::V6(_) => bytes.extend(VIP6.octets()),
        }
        if self.version == 2 {
            bytes.extend(self.password);
        }
        let sum = self.checksum.unwrap_or_else(|| match self.version {
            2 => internet_checksum(&bytes),
            _ => self.sum.of(&bytes, self.source, self.destination),
        });
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes.truncate(self.cut);
        let frame = packet::eth().src_mac(self.from_mac).dst_mac(self.to_mac);
        let frame = match self.source {
            IpAddr::V4(_) => frame.ipv4(self.source, self.destination),
            IpAddr::V6(_) => frame.ipv6(self.source, self.destination),
        };
        frame.ttl(self.ttl).protocol(VRRP).payload(bytes).build()
    }
}

/// Where adverts go (RFC 9568, 5.1.1.2).
pub(super) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const VRRP: u8 = 112;
