//! The advertisement on the wire, versions 2 and 3.

use std::{net::IpAddr, time::Duration};

use crate::{
    config::model::VrrpVersion,
    types::{Priority, RouterId},
};

/// One advertisement, as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The protocol's version.
    pub version: VrrpVersion,
    /// The virtual router it is about.
    pub virtual_router_id: RouterId,
    /// The sender's effective priority; [`Priority::RELEASE`]: it steps down.
    pub priority: Priority,
    /// The sender's advertisement interval: whole seconds in version 2, hundredths in version 3.
    pub interval: Duration,
    /// The virtual addresses, in the sender's order, all of one family.
    pub addresses: Vec<IpAddr>,
    /// What version 2 carries as authentication; always [`Authentication::None`] in version 3.
    pub authentication: Authentication,
}

/// Authentication of version 2 (RFC 2338, removed by RFC 3768, sent by everybody).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Type 0.
    None,
    /// Type 1: a clear-text password, padded with NUL.
    Simple([u8; 8]),
}
