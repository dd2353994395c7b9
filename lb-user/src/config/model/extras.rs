//! The sections `alerts`, `ipvs` and `observability`.

use std::{net::SocketAddr, time::Duration};

use super::Command;
use crate::types::IfName;

/// Who is told about changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// By mail.
    pub smtp: Option<Smtp>,
    /// By running a program.
    pub command: Option<Command>,
}

/// How mail is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// The relay's host name or address.
    pub host: String,
    /// The relay's port, in host byte order.
    pub port: u16,
    /// How long a mail may take.
    pub timeout: Duration,
    /// The sender.
    pub from: String,
    /// The recipients; not empty.
    pub to: Vec<String>,
}

/// The kernel's connection synchronisation between two balancers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpvsSync {
    /// Where it is sent and received.
    pub interface: IfName,
    /// Tells groups on one network apart.
    pub id: u8,
}

/// The listener for `/metrics` and `/api/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observability {
    /// Where it listens.
    pub listen: SocketAddr,
}
