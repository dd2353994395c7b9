//! The kernel's own tunnel devices, of which a real server needs the receiving end.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoIpTunnel, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};
use nix::errno::Errno;

use super::{Net, RequestError};
use crate::types::{IfIndex, IfName};

/// A kind of tunnel device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// `ipip`: IPv4 in IPv4.
    V4InV4,
    /// `sit`: IPv6 in IPv4.
    V6InV4,
    /// `ip6tnl`: both in IPv6.
    AnyInV6,
}

impl TunnelKind {
    /// The kernel's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4InV4 => "ipip",
            Self::V6InV4 => "sit",
            Self::AnyInV6 => "ip6tnl",
        }
    }

    /// The device that its module makes by itself: takes packets from everybody.
    #[must_use]
    pub fn fallback(self) -> &'static str {
        match self {
            Self::V4InV4 => "tunl0",
            Self::V6InV4 => "sit0",
            Self::AnyInV6 => "ip6tnl0",
        }
    }

    /// Its module.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            Self::V4InV4 => "ipip",
            Self::V6InV4 => "sit",
            Self::AnyInV6 => "ip6_tunnel",
        }
    }

    fn info(self) -> InfoKind {
        match self {
            Self::V4InV4 => InfoKind::IpIp,
            Self::V6InV4 => InfoKind::SitTun,
            Self::AnyInV6 => InfoKind::Ip6Tnl,
        }
    }
}

/// A device could not be made, set up or removed.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The kernel has no such driver, and no module with it.
    #[error("this kernel has no `{}` devices", .0.name())]
    NoDriver(TunnelKind),
    /// It refused.
    #[error("cannot {what} the tunnel device `{device}`")]
    Refused {
        /// `add`, `set up`, …
        what: &'static str,
        /// Its name.
        device: IfName,
        /// Why.
        #[source]
        source: RequestError,
    },
}

impl Net {
    /// Makes a device, down, that takes packets from `remote` only; `false` if there is one of this
    /// name. The kernel loads the module where it has one.
    ///
    /// # Errors
    /// [`TunnelError`].
    pub async fn add_tunnel(
        &self,
        kind: TunnelKind,
        name: &IfName,
        remote: IpAddr,
    ) -> Result<bool, TunnelError> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.as_str().to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(kind.info()),
                LinkInfo::Data(InfoData::IpTunnel(vec![InfoIpTunnel::Remote(remote)])),
            ]),
        ];
        let message = RouteNetlinkMessage::NewLink(message);
        match self.order(message, NLM_F_CREATE | NLM_F_EXCL).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::EEXIST) => Ok(false),
            Err(error) if error.is(Errno::EOPNOTSUPP) => Err(TunnelError::NoDriver(kind)),
            Err(source) => Err(refused("add", name, source)),
        }
    }

    /// Sets a device up or down.
    ///
    /// # Errors
    /// [`TunnelError::Refused`].
    pub async fn set_up(&self, index: IfIndex, name: &IfName, up: bool) -> Result<(), TunnelError> {
        let mut message = LinkMessage::default();
        message.header.index = index.get();
        message.header.change_mask = LinkFlags::Up;
        if up {
            message.header.flags = LinkFlags::Up;
        }
        let what = if up { "set up" } else { "set down" };
        self.order(RouteNetlinkMessage::SetLink(message), 0)
            .await
            .map_err(|source| refused(what, name, source))
    }

    /// Removes a device; `false` if it was not there.
    ///
    /// # Errors
    /// [`TunnelError::Refused`].
    pub async fn remove_tunnel(&self, name: &IfName) -> Result<bool, TunnelError> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.as_str().to_owned()));
        match self.order(RouteNetlinkMessage::DelLink(message), 0).await {
            Ok(()) => Ok(true),
            Err(error) if error.is(Errno::ENODEV) => Ok(false),
            Err(source) => Err(refused("remove", name, source)),
        }
    }
}

fn refused(what: &'static str, device: &IfName, source: RequestError) -> TunnelError {
    TunnelError::Refused {
        what,
        device: device.clone(),
        source,
    }
}
