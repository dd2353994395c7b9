//! What the kernel knows about the network: links, addresses, routes, neighbours, and from them the
//! next hop of a backend, watched and kept fresh.
//!
//! Nothing here starts a task, and only [`Net::open_apart`] a thread. [`Net::open`] and [`Watch::run`] hand back futures that the caller
//! owns and drives; dropping one ends it. [`Net`] only asks and orders; [`Watch`] keeps
//! neighbour entries in the kernel while it runs and takes its own away when it is cancelled (not
//! when its future is merely dropped; the next run finds them by [`PROTOCOL`]).
//!
//! Sockets belong to the network namespace of the thread that opens them.

pub mod address;
pub mod announce;
pub(crate) mod async_socket;
pub(crate) mod async_timer;
pub(crate) mod attribute;
pub mod error;
pub(crate) mod exchange;
pub mod fold;
pub mod knock;
pub mod link;
pub mod loopback;
pub mod monitor;
pub mod neighbour;
mod news;
pub mod nexthop;
pub(crate) mod nftables;
mod packet_socket;
mod probe;
pub mod route;
pub mod too_big;
pub mod tunnel;
pub mod watch;
mod xdp;

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use futures_util::StreamExt as _;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use tokio::runtime::Runtime;

pub(crate) use self::error::chain;
pub use self::{
    error::{OpenError, RequestError},
    link::Link,
    nexthop::{NextHop, Unresolved},
    probe::{Question, ask},
    watch::{NetView, Watch},
    xdp::{XdpAttachment, XdpPlace, xdp_attachment},
};

/// The number our routes and neighbour entries carry (`proto 176` in `ip route`, `ip neigh`), so
/// that what a killed agent left behind is known as ours. Free in `/etc/iproute2/rt_protos`.
pub const PROTOCOL: u8 = 176;

/// A handle on the kernel's rtnetlink of one network namespace; clones share one socket.
#[derive(Clone, Debug)]
pub struct Net {
    handle: rtnetlink::Handle,
    /// Held by who has the kernel promote addresses meanwhile ([`address::endangered`]).
    promoting: Arc<tokio::sync::Mutex<()>>,
}

impl Net {
    /// Opens a socket in the calling thread's network namespace. Nothing is answered unless the
    /// returned future is polled; it ends when the last clone of the handle is gone.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    ///
    /// # Errors
    /// The kernel has no file descriptor or no netlink to give.
    pub fn open() -> Result<(Self, impl Future<Output = ()> + Send + 'static), OpenError> {
        // The third part carries multicast messages; this socket joins no group.
        let (mut connection, handle, _) = rtnetlink::new_connection().map_err(OpenError)?;
        // Without the ends of answers, a lost connection looks like an empty success.
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        let promoting = Arc::default();
        Ok((Self { handle, promoting }, connection))
    }

    /// As [`Net::open`], and driven by a thread of its own, in the calling thread's namespace, until the
    /// last clone of the handle is gone. The kernel carries an order out within the system call, and
    /// waits in there for its one lock on everybody's network configuration: a thread that must not be
    /// late leaves that call to another. Open it before the calling thread takes a real-time priority,
    /// which the new one would inherit.
    ///
    /// # Errors
    /// As [`Net::open`], or no thread can be had.
    pub fn open_apart() -> Result<Self, OpenError> {
        let (report, opened) = mpsc::sync_channel(1);
        let drive = move || match Self::open_with_runtime() {
            Ok((net, connection, runtime)) => {
                if report.send(Ok(net)).is_ok() {
                    runtime.block_on(connection);
                }
            }
            // Who is not there any more need not be told.
            Err(error) => drop(report.send(Err(error))),
        };
        let thread = thread::Builder::new().name("netlink".to_owned());
        thread.spawn(drive).map_err(OpenError)?;
        let nothing = |_| Err(OpenError(io::ErrorKind::BrokenPipe.into()));
        opened.recv().unwrap_or_else(nothing)
    }

    fn open_with_runtime()
    -> Result<(Self, impl Future<Output = ()> + Send + 'static, Runtime), OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(OpenError)?;
        let inside = runtime.enter();
        let (net, connection) = Self::open()?;
        drop(inside);
        Ok((net, connection, runtime))
    }

    /// An order: succeeds when the kernel acknowledged it.
    async fn order(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), RequestError> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags)
            .await
            .map(|_| ())
    }

    /// A question with one answer.
    async fn ask(
        &self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, RequestError> {
        Ok(self.exchange(message, NLM_F_REQUEST).await?.messages)
    }

    /// A whole table. Asked again where the kernel says it changed under the reader.
    async fn dump(
        &self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, RequestError> {
        let mut answer = Answer::default();
        for _ in 0..DUMP_ATTEMPTS {
            answer = self
                .exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)
                .await?;
            if !answer.interrupted {
                break;
            }
        }
        // A table that never holds still is taken as last seen: events correct it.
        Ok(answer.messages)
    }

    async fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Answer, RequestError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let stream = self
            .handle
            .clone()
            .request(request)
            .map_err(|_| RequestError::Closed)?;
        tokio::time::timeout(ANSWER_LIMIT, Answer::read(stream))
            .await
            .map_err(|_| RequestError::TimedOut)?
    }
}

/// What came back for one request.
#[derive(Default)]
struct Answer {
    messages: Vec<RouteNetlinkMessage>,
    /// The table changed while it was read (`NLM_F_DUMP_INTR`).
    interrupted: bool,
}

impl Answer {
    async fn read(
        stream: impl futures_util::Stream<Item = NetlinkMessage<RouteNetlinkMessage>>,
    ) -> Result<Self, RequestError> {
        let mut stream = std::pin::pin!(stream);
        let mut answer = Self::default();
        let mut complete = false;
        while let Some(message) = stream.next().await {
            answer.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => {
                    complete |= message.header.flags & NLM_F_MULTIPART == 0;
                    answer.messages.push(inner);
                }
                NetlinkPayload::Error(error) => {
                    if error.code.is_some() {
                        return Err(RequestError::from_code(error.raw_code()));
                    }
                    complete = true;
                }
                NetlinkPayload::Done(done) => {
                    if done.code < 0 {
                        return Err(RequestError::from_code(done.code));
                    }
                    complete = true;
                }
                NetlinkPayload::Overrun(_) => return Err(RequestError::Lost),
                _ => {}
            }
        }
        if complete {
            Ok(answer)
        } else {
            Err(RequestError::Closed)
        }
    }
}

/// The kernel answers in microseconds; more than this means that the answer was lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How often a table is read anew when it changes under the reader.
const DUMP_ATTEMPTS: u32 = 4;
