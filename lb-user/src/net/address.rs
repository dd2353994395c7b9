//! The addresses of this host: read, added, removed.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo},
};
use nix::errno::Errno;

use super::{Net, PROTOCOL, RequestError};
use crate::types::IfIndex;

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
    /// Added by us: it carries [`PROTOCOL`].
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

    /// Adds an address; `false` if it was there already. IPv6 without duplicate address
    /// detection: it would keep a virtual address unusable for a second after every takeover.
    ///
    /// # Errors
    /// [`AddressError::Add`].
    pub async fn add_address(&self, spec: &AddressSpec) -> Result<bool, AddressError> {
        let message = RouteNetlinkMessage::NewAddress(spec.message(true));
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

    /// Removes an address; `false` if it was not there (or its interface is gone). The kernel
    /// removes an IPv4 network's secondary addresses with its first one, unless the sysctl
    /// `promote_secondaries` is set.
    ///
    /// # Errors
    /// [`AddressError::Remove`].
    pub async fn remove_address(&self, spec: &AddressSpec) -> Result<bool, AddressError> {
        let message = RouteNetlinkMessage::DelAddress(spec.message(false));
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
        Some(Self {
            interface: IfIndex::new(message.header.index)?,
            // On a point-to-point interface "address" is the peer's; "local" is ours.
            address: local.or(address)?,
            prefix: message.header.prefix_len,
            secondary: message.header.flags.contains(AddressHeaderFlags::Secondary)
                && message.header.family == AddressFamily::Inet,
            unchecked: message.header.flags.contains(AddressHeaderFlags::Nodad),
            ours,
        })
    }

    /// Whether `other` is in this address's network.
    #[must_use]
    pub fn covers(&self, other: IpAddr) -> bool {
        ipnet::IpNet::new(self.address, self.prefix).is_ok_and(|net| net.contains(&other))
    }
}

impl AddressSpec {
    fn message(&self, adding: bool) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family(self.address);
        message.header.prefix_len = self.prefix;
        message.header.index = self.interface.get();
        message.attributes = vec![
            AddressAttribute::Local(self.address),
            AddressAttribute::Address(self.address),
        ];
        if adding {
            let ours = AddressProtocol::Other(PROTOCOL);
            message.attributes.push(AddressAttribute::Protocol(ours));
        }
        if self.address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            if adding && self.prefix == 128 {
                message
                    .attributes
                    .push(AddressAttribute::CacheInfo(deprecated()));
            }
        } else if let Some(label) = self.label.as_ref().filter(|_| adding) {
            message
                .attributes
                .push(AddressAttribute::Label(label.clone()));
        }
        message
    }
}

/// For good, but never the source of what this host begins: it would be gone from under the
/// connection with the next change of role. IPv4 has no such mark, and needs none: of the addresses of
/// an interface, the kernel sends from the first of a network, and a virtual one comes later.
fn deprecated() -> CacheInfo {
    let mut info = CacheInfo::default();
    info.ifa_preferred = 0;
    info.ifa_valid = u32::MAX;
    info
}

/// The kernel's family of an address.
pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
