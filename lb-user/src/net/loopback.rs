//! Virtual addresses on `lo`: what makes a host a real server.
//!
//! * They are /32 and /128: a longer network on `lo` would make all of its addresses local.
//! * IPv4: scope `host`, so the kernel does not take the address as the source of the server's own
//!   connections. IPv6 knows no such choice; there the address is deprecated from the start, as a
//!   balancer's virtual addresses are (see [`super::address`]).
//! * No duplicate address detection: the balancer has the same address, and it must not yield.
//! * Marked with [`REALSERVER_PROTOCOL`], which is not the mark of a balancer's: an agent on the same
//!   host removes what carries its own.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{
        AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
    },
};
use nix::errno::Errno;

use super::{
    Net,
    address::{AddressError, family},
};
use crate::types::IfIndex;

/// The mark of addresses that make this host a real server.
pub const REALSERVER_PROTOCOL: u8 = 177;

/// An address on `lo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix in bits.
    pub prefix: u8,
    /// Scope `host` (IPv4), or deprecated (IPv6): no source of the host's own connections.
    pub no_source: bool,
    /// Carries [`REALSERVER_PROTOCOL`].
    pub marked: bool,
}

impl LoopbackAddress {
    /// Whether only the address itself is local by it.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.prefix == full_prefix(self.address)
    }
}

impl Net {
    /// The addresses of `lo`.
    ///
    /// # Errors
    /// [`AddressError::List`].
    pub async fn loopback_addresses(&self) -> Result<Vec<LoopbackAddress>, AddressError> {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answer = self.dump(question).await.map_err(AddressError::List)?;
        Ok(answer
            .iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(address) => from_message(address),
                _ => None,
            })
            .collect())
    }

    /// Adds a virtual address to `lo`; `false` if it was there already, whoever added it.
    ///
    /// # Errors
    /// [`AddressError::Add`].
    pub async fn add_to_loopback(&self, address: IpAddr) -> Result<bool, AddressError> {
        let mut message = named(address);
        let attributes = &mut message.attributes;
        attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(
            REALSERVER_PROTOCOL,
        )));
        if address.is_ipv4() {
            message.header.scope = AddressScope::Host;
        } else {
            attributes.push(AddressAttribute::Flags(
                AddressFlags::Nodad | AddressFlags::Noprefixroute,
            ));
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_preferred = 0;
            lifetimes.ifa_valid = u32::MAX;
            attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
        let message = RouteNetlinkMessage::NewAddress(message);
        match self.order(message, NLM_F_CREATE | NLM_F_EXCL).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::EEXIST) => Ok(false),
            Err(source) => Err(AddressError::Add {
                address,
                prefix: full_prefix(address),
                interface: loopback(),
                source,
            }),
        }
    }

    /// Removes an address (as /32, /128) from `lo`; `false` if it was not there.
    ///
    /// # Errors
    /// [`AddressError::Remove`].
    pub async fn remove_from_loopback(&self, address: IpAddr) -> Result<bool, AddressError> {
        let message = RouteNetlinkMessage::DelAddress(named(address));
        match self.order(message, 0).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::EADDRNOTAVAIL) => Ok(false),
            Err(source) => Err(AddressError::Remove {
                address,
                prefix: full_prefix(address),
                interface: loopback(),
                source,
            }),
        }
    }
}

/// `LOOPBACK_IFINDEX` (`include/net/flow.h`): the same in every network namespace.
#[must_use]
pub fn loopback() -> IfIndex {
    IfIndex::new(1).expect("1 is not 0")
}

fn named(address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = full_prefix(address);
    message.header.index = loopback().get();
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}

fn from_message(message: &AddressMessage) -> Option<LoopbackAddress> {
    if message.header.index != loopback().get() {
        return None;
    }
    let (mut local, mut address, mut flags, mut marked) = (None, None, None, false);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Flags(all) => flags = Some(*all),
            AddressAttribute::Protocol(mark) => marked = u8::from(*mark) == REALSERVER_PROTOCOL,
            _ => {}
        }
    }
    let address = local.or(address)?;
    let deprecated = flags.is_some_and(|flags| flags.contains(AddressFlags::Deprecated));
    Some(LoopbackAddress {
        address,
        prefix: message.header.prefix_len,
        no_source: if address.is_ipv4() {
            message.header.scope == AddressScope::Host
        } else {
            deprecated
        },
        marked,
    })
}

fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
