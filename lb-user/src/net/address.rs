//! The addresses of this host: read, added, removed.
//!
//! What we add is virtual: here today, on another host tomorrow. The kernel should not choose it as a
//! source by itself, or connections that have nothing to do with it break when it leaves.
//!
//! * IPv6: added as deprecated (preferred lifetime 0), whatever its prefix. Rule 3 of RFC 6724 then
//!   takes any other address of the right scope; who binds to it or answers from it notices nothing.
//! * IPv4 has no such rule. In a network that the interface is in already an address becomes secondary,
//!   and those the kernel never chooses. Another (a /32, say) comes behind the interface's own in the
//!   list from which the kernel takes the first. It is chosen only to reach a network of its own.
//! * A /128 is added without a route to its "network"; for a /32 the kernel makes none either. With
//!   another prefix the kernel's route is wanted: the interface may have no other address in there.
//!   When the address goes, the kernel keeps the route for others in the network.
//! * Duplicate address detection is off: it would make an IPv6 address wait for a second after every
//!   takeover, and VRRP is there to see duplicates.

use std::{collections::BTreeSet, net::IpAddr};

use futures_util::{StreamExt as _, stream};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{
        AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
        CacheInfo,
    },
};
use nix::errno::Errno;

use super::{Net, PROTOCOL, RequestError};
use crate::types::IfIndex;

mod promote;

pub use promote::endangered;

/// An address an interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface that has it.
    pub interface: IfIndex,
    /// The address itself.
    pub address: IpAddr,
    /// Length of its network's prefix in bits.
    pub prefix: u8,
    /// Not the first of its network (IPv4), so not what the kernel sends from.
    pub secondary: bool,
    /// Added without duplicate address detection (IPv6), as virtual addresses are.
    pub unchecked: bool,
    /// Duplicate address detection goes on or failed (IPv6): the kernel does not let it be a source.
    pub tentative: bool,
    /// Carries [`PROTOCOL`]: we added it, in this life or an earlier one.
    pub ours: bool,
}

/// An address to add or remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpec {
    /// Where.
    pub interface: IfIndex,
    /// The address itself.
    pub address: IpAddr,
    /// Length of its network's prefix in bits: at most 32 or 128.
    pub prefix: u8,
    /// IPv4 only: the old alias name (`eth0:1`), which the kernel wants to start with the
    /// interface's name and no longer than 15 bytes. Ignored for IPv6 and when removing.
    pub label: Option<String>,
}

/// An address could not be read, added or removed.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The table could not be read.
    #[error("cannot read this host's addresses")]
    List(#[source] RequestError),
    /// Adding failed.
    #[error("cannot add {address}/{prefix} to interface number {interface}")]
    Add {
        /// What was to be added.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// To which interface.
        interface: IfIndex,
        /// Why.
        #[source]
        source: RequestError,
    },
    /// Removing failed.
    #[error("cannot remove {address}/{prefix} from interface number {interface}")]
    Remove {
        /// What was to be removed.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// From which interface.
        interface: IfIndex,
        /// Why.
        #[source]
        source: RequestError,
    },
}

impl Net {
    /// All addresses of the namespace, both families, loopback included.
    ///
    /// # Errors
    /// [`AddressError::List`].
    pub async fn addresses(&self) -> Result<Vec<Address>, AddressError> {
        let answer = self
            .dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))
            .await
            .map_err(AddressError::List)?;
        Ok(answer
            .iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(address) => Address::from_message(address),
                _ => None,
            })
            .collect())
    }

    /// Adds an address with our [`PROTOCOL`]; `false` if it was there already, whoever added it.
    /// [The module](self) says how it is added.
    ///
    /// # Errors
    /// [`AddressError::Add`].
    pub async fn add_address(&self, spec: &AddressSpec) -> Result<bool, AddressError> {
        let message = RouteNetlinkMessage::NewAddress(spec.full_message());
        match self.order(message, NLM_F_CREATE | NLM_F_EXCL).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::EEXIST) => Ok(false),
            Err(source) => Err(AddressError::Add {
                address: spec.address,
                prefix: spec.prefix,
                interface: spec.interface,
                source,
            }),
        }
    }

    /// [`Net::add_address`] for many, with several requests under way at once; answers in the order
    /// of `specs`. When the future is dropped, some of the rest may have been added.
    pub async fn add_addresses(&self, specs: &[AddressSpec]) -> Vec<Result<bool, AddressError>> {
        stream::iter(specs)
            .map(|spec| self.add_address(spec))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Removes an address; `false` if it was not there (or its interface is gone).
    ///
    /// # Errors
    /// [`AddressError::Remove`].
    pub async fn remove_address(&self, spec: &AddressSpec) -> Result<bool, AddressError> {
        let mut removed = self.remove_addresses(std::slice::from_ref(spec)).await;
        removed.pop().unwrap_or(Ok(false))
    }

    /// [`Net::remove_address`] for many, as [`Net::add_addresses`]. Of an IPv4 network's addresses the
    /// kernel may remove several at once: the answer for the others is `false`.
    pub async fn remove_addresses(&self, specs: &[AddressSpec]) -> Vec<Result<bool, AddressError>> {
        let endangered = if specs.iter().any(|spec| spec.address.is_ipv4()) {
            // Virtual addresses have to go whatever happens.
            let all = self.addresses().await.unwrap_or_default();
            endangered(&all, specs)
        } else {
            BTreeSet::new()
        };
        self.remove_addresses_sparing(specs, endangered).await
    }

    /// [`Net::remove_addresses`] for who knows which interfaces have others that would go along: what
    /// [`endangered`] says.
    pub async fn remove_addresses_sparing(
        &self,
        specs: &[AddressSpec],
        endangered: BTreeSet<IfIndex>,
    ) -> Vec<Result<bool, AddressError>> {
        // Or who is ready first sets it back under the others.
        let _alone = match endangered.is_empty() {
            true => None,
            false => Some(self.promoting.lock().await),
        };
        let promoting = self.start_promoting(endangered).await;
        let withdraw = |spec: AddressSpec| {
            let net = self.clone();
            async move { net.withdraw(&spec).await }
        };
        let results = stream::iter(specs.to_vec())
            .map(withdraw)
            .buffered(AT_ONCE)
            .collect()
            .await;
        self.stop_promoting(promoting).await;
        results
    }

    async fn withdraw(&self, spec: &AddressSpec) -> Result<bool, AddressError> {
        let message = RouteNetlinkMessage::DelAddress(spec.message());
        match self.order(message, 0).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::EADDRNOTAVAIL) || error.is(Errno::ENODEV) => Ok(false),
            Err(source) => Err(AddressError::Remove {
                address: spec.address,
                prefix: spec.prefix,
                interface: spec.interface,
                source,
            }),
        }
    }
}

impl Address {
    /// `None` for what is no unicast address of an IP family.
    pub(super) fn from_message(message: &AddressMessage) -> Option<Self> {
        let (mut local, mut address, mut ours) = (None, None, false);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Address(ip) => address = Some(*ip),
                AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
                _ => {}
            }
        }
        let has = |flag| message.header.flags.contains(flag);
        Some(Self {
            interface: IfIndex::new(message.header.index)?,
            // On a point-to-point interface "address" is the peer's; "local" is ours.
            address: local.or(address)?,
            prefix: message.header.prefix_len,
            secondary: has(AddressHeaderFlags::Secondary)
                && message.header.family == AddressFamily::Inet,
            unchecked: has(AddressHeaderFlags::Nodad),
            tentative: has(AddressHeaderFlags::Tentative),
            ours,
        })
    }

    /// What tells it from others in a table.
    pub(super) fn key(&self) -> (IpAddr, IfIndex, u8) {
        (self.address, self.interface, self.prefix)
    }

    /// Whether `other` is in this address's network.
    #[must_use]
    pub fn covers(&self, other: IpAddr) -> bool {
        ipnet::IpNet::new(self.address, self.prefix).is_ok_and(|net| net.contains(&other))
    }
}

impl AddressSpec {
    /// What names the address.
    fn message(&self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family(self.address);
        message.header.prefix_len = self.prefix;
        message.header.index = self.interface.get();
        message.attributes = vec![
            AddressAttribute::Local(self.address),
            AddressAttribute::Address(self.address),
        ];
        message
    }

    /// The same, with how to add it.
    fn full_message(&self) -> AddressMessage {
        let mut message = self.message();
        let attributes = &mut message.attributes;
        let mark = AddressProtocol::Other(PROTOCOL);
        attributes.push(AddressAttribute::Protocol(mark));
        if self.address.is_ipv6() {
            let mut flags = AddressFlags::Nodad;
            flags.set(AddressFlags::Noprefixroute, self.prefix == 128);
            attributes.push(AddressAttribute::Flags(flags));
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_preferred = 0;
            lifetimes.ifa_valid = u32::MAX;
            attributes.push(AddressAttribute::CacheInfo(lifetimes));
        } else if let Some(label) = &self.label {
            attributes.push(AddressAttribute::Label(label.clone()));
        }
        message
    }
}

/// The kernel's family of an address.
pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Requests under way: their answers wait in the socket's buffer, which holds some 200 small ones.
const AT_ONCE: usize = 64;
