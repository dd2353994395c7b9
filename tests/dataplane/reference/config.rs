//! The world's image as plain tables.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;
use lb_common::{
    addr::Addr,
    backend::{BackendEntry, CLOSED, DEAD, ForwardMode, TAGS_AS_RECEIVED},
    hash::{slot_of, source_hash},
    ring::{Previous, Slot},
    verdict::DropReason,
};
use lb_tests::packet::MacAddr;
use lb_user::dataplane::image::{Image, RingImage, ServiceImage};

use crate::world::INGRESS;

/// Everything.
#[derive(PartialEq)]
pub(super) struct Config {
    mac: Option<MacAddr>,
    pub own: HashSet<IpAddr>,
    pub peers: HashSet<MacAddr>,
    pub devices: HashSet<u32>,
    vips: HashSet<IpAddr>,
    services: HashMap<(IpAddr, u16, u8), Service>,
    backends: HashMap<u32, Backend>,
}

impl Config {
    pub(super) fn new(image: &Image) -> Self {
        let services: Vec<_> = image
            .services
            .iter()
            .map(|(id, service)| Service::new(id.0, service))
            .collect();
        let key = |service: &Service| (service.address, service.port, service.protocol);
        let interfaces = image.front.interfaces.iter();
        Self {
            mac: interfaces
                .filter(|(index, _)| index.get() == INGRESS)
                .map(|(_, mac)| mac.0)
                .next(),
            own: image.front.own_addresses.iter().copied().collect(),
            peers: image.front.peers.iter().map(|mac| mac.0).collect(),
            devices: image.devices.iter().map(|index| index.get()).collect(),
            vips: services.iter().map(|service| service.address).collect(),
            services: services.into_iter().map(|s| (key(&s), s)).collect(),
            backends: image
                .backends
                .iter()
                .map(|(id, backend)| (id.0, Backend::new(id.0, &backend.entry)))
                .collect(),
        }
    }

    pub(super) fn service(&self, address: IpAddr, port: u16, protocol: u8) -> Option<&Service> {
        self.services.get(&(address, port, protocol))
    }

    /// Whether some service has this address.
    pub(super) fn is_vip(&self, address: IpAddr) -> bool {
        self.vips.contains(&address)
    }

    /// Whether a frame is for the interface it came in by.
    pub(super) fn is_ours(&self, frame: &[u8]) -> bool {
        self.mac.is_some_and(|mac| frame[..6] == mac)
    }

    pub(super) fn backend(&self, id: u32) -> &Backend {
        &self.backends[&id]
    }
}

/// A service and its ring.
#[derive(PartialEq)]
pub(super) struct Service {
    pub id: u32,
    address: IpAddr,
    port: u16,
    protocol: u8,
    hash_key: u64,
    by_source: bool,
    /// Leading bits (of 128) that make two addresses one client; 0: each flow goes its way.
    client_bits: u32,
    pub stateful: bool,
    pub budget: u32,
    pub ring: RingImage,
}

impl Service {
    fn new(id: u32, image: &ServiceImage) -> Self {
        Self {
            id,
            address: image.key.addr.to_ip(),
            port: image.key.port(),
            protocol: image.key.protocol(),
            hash_key: image.hash_key,
            by_source: image.steering.by_source,
            client_bits: image.steering.client_bits,
            stateful: image.steering.stateful,
            budget: image.steering.budget,
            ring: image.ring.clone(),
        }
    }

    /// What spreads its flows.
    pub(super) fn hash(&self, client: IpAddr, port: u16) -> u32 {
        let port = if self.by_source { 0 } else { port };
        source_hash(self.hash_key, Addr::from(client), port)
    }

    /// The first address of those that are one client with this one, where the service keeps clients.
    pub(super) fn client(&self, address: IpAddr) -> Option<IpAddr> {
        if self.client_bits == 0 {
            return None;
        }
        // IPv4 addresses are the last 32 of the 128.
        let in_front = if address.is_ipv4() { 96 } else { 0 };
        let length = u8::try_from(self.client_bits - in_front).expect("a prefix of an address");
        let client = IpNet::new(address, length).expect("a prefix of an address");
        Some(client.network())
    }

    /// What says its slot: clients that stay have one for all their flows.
    pub(super) fn slot_hash(&self, client: IpAddr, port: u16) -> u32 {
        match self.client(client) {
            Some(client) => source_hash(self.hash_key, Addr::from(client), 0),
            None => self.hash(client, port),
        }
    }

    pub(super) fn slot(&self, slot_hash: u32) -> Slot {
        let slots = u32::try_from(self.ring.slots.len()).expect("a short ring");
        self.ring.slots[slot_of(slot_hash, slots) as usize]
    }

    /// Whether the ring alone does not say who gets such flows.
    pub(super) fn asks_memory(&self, slot_hash: u32) -> bool {
        self.slot(slot_hash).previous() != Previous::Plain
    }

    /// The backend that the ring calls `local`.
    pub(super) fn backend(&self, local: u16) -> Result<u32, DropReason> {
        match self.ring.locals.get(usize::from(local)) {
            Some(id) => Ok(id.0),
            None if local == lb_common::ring::NOBODY => Err(DropReason::NoBackend),
            None => Err(DropReason::BadTable),
        }
    }
}

/// How a backend is reached.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reach {
    Direct,
    Tunnel { source: IpAddr, destination: IpAddr },
    Local,
    Unresolved,
}

/// A backend.
#[derive(PartialEq)]
pub(super) struct Backend {
    pub id: u32,
    pub generation: u16,
    /// It keeps the flows that it has, and gets no others.
    pub closed: bool,
    /// Nothing is remembered of it.
    pub dead: bool,
    pub reach: Reach,
    pub next_hop: MacAddr,
    pub out_mac: MacAddr,
    pub out: u32,
    pub mtu: usize,
    /// VLAN ids that its frames get; without it: those that the packet came with.
    pub vlans: Option<Vec<u16>>,
    /// How many low bits of the outer source vary.
    pub spread: u8,
}

impl Backend {
    fn new(id: u32, entry: &BackendEntry) -> Self {
        Self {
            id,
            generation: entry.generation,
            closed: entry.flags & CLOSED != 0,
            dead: entry.flags & DEAD != 0,
            reach: match ForwardMode::from_byte(entry.mode).expect("a mode") {
                ForwardMode::DirectRouting => Reach::Direct,
                ForwardMode::TunnelV4 | ForwardMode::TunnelV6 => Reach::Tunnel {
                    source: entry.tunnel_source.to_ip(),
                    destination: entry.address.to_ip(),
                },
                ForwardMode::Local => Reach::Local,
                ForwardMode::Unresolved => Reach::Unresolved,
            },
            next_hop: entry.macs.destination.octets(),
            out_mac: entry.macs.source.octets(),
            out: entry.ifindex,
            mtu: entry.mtu.into(),
            vlans: (entry.tags != TAGS_AS_RECEIVED)
                .then(|| entry.vlans[..usize::from(entry.tags)].to_vec()),
            spread: entry.source_bits,
        }
    }

    /// Bytes that a tunnel puts in front.
    pub(super) fn overhead(&self) -> usize {
        match self.reach {
            Reach::Tunnel { destination, .. } if destination.is_ipv4() => 20,
            Reach::Tunnel { .. } => 40,
            _ => 0,
        }
    }
}
