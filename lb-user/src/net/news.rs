//! A socket that hears what the kernel changes.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::AsyncSocket as _;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::MulticastGroup;

use super::OpenError;

/// Messages in the kernel's order. One of them may say that others were lost
/// ([`netlink_packet_core::NetlinkPayload::Overrun`]).
pub(super) type Events = Pin<Box<dyn Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send>>;

/// Joins the groups, in the calling thread's network namespace, on a socket of their own: when events
/// overrun it, no answer is lost with them. Events come while the future is polled; it ends when the
/// stream is gone.
///
/// Panics outside of a tokio runtime with I/O.
pub(super) fn subscribe(
    groups: &[MulticastGroup],
) -> Result<(impl Future<Output = ()> + Send + 'static + use<>, Events), OpenError> {
    let (mut connection, _, events) =
        rtnetlink::new_multicast_connection(groups).map_err(OpenError)?;
    widen(&mut connection);
    let events: Events = Box::pin(events.map(|(message, _)| message));
    Ok((connection, events))
}

/// A burst of events, ten thousand managed neighbours say, must fit. Best effort: a smaller buffer
/// only means that we read everything anew more often.
fn widen(connection: &mut netlink_proto::Connection<RouteNetlinkMessage>) {
    let socket = connection.socket_mut().socket_ref();
    if setsockopt(socket, sockopt::RcvBufForce, &EVENT_BUFFER).is_err() {
        tracing::debug!("the buffer for network events stays at its default size");
    }
}

/// Bytes of events that may wait.
const EVENT_BUFFER: usize = 4 << 20;
