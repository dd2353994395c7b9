//! One interface and family: the socket that all routers there share.

use std::collections::BTreeMap;

use futures_util::future::{pending, select_all};

use super::{super::socket::Socket, Place};
use crate::{
    config::model::Family,
    types::{IfIndex, IfName},
};

/// Interface and family.
pub(super) type PortKey = (IfName, Family);

/// See the head of this file.
#[derive(Default)]
pub(super) struct Port {
    /// The interface it is bound to, and the socket; `None`: there is no such interface, or no socket
    /// could be had.
    pub(super) socket: Option<(IfIndex, Socket)>,
    /// Why there is no socket, once logged.
    pub(super) trouble: Option<String>,
    /// By virtual router identifier.
    pub(super) routers: BTreeMap<u8, Place>,
}

/// Waits until one of the sockets may have something to read. Cancel safe.
pub(super) async fn readable(ports: &BTreeMap<PortKey, Port>) {
    let sockets = ports.values().filter_map(|port| port.socket.as_ref());
    let waits: Vec<_> = sockets
        .map(|(_, socket)| Box::pin(socket.readable()))
        .collect();
    if waits.is_empty() {
        pending::<()>().await;
    } else {
        select_all(waits).await;
    }
}
