//! A socket that wakes its reader: the one place where a descriptor is handed to tokio.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    task::{Context, Poll, ready},
};

use socket2::Socket;
use tokio::io::{Interest, unix::AsyncFd};

/// A non-blocking socket, registered for reading with the runtime it was made in.
#[derive(Debug)]
pub(crate) struct AsyncSocket(AsyncFd<Socket>);

impl AsyncSocket {
    /// Takes the socket over and makes it non-blocking.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        register(socket).map(Self)
    }

    /// The socket, for what does not wait.
    pub(crate) fn get_ref(&self) -> &Socket {
        self.0.get_ref()
    }

    /// Waits until there may be something to read. Cancel safe. For readers that then ask the kernel
    /// itself ([`get_ref`](Self::get_ref)): what tokio knew of readiness ends here.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    /// Polls until `read` does not say [`io::ErrorKind::WouldBlock`].
    pub(crate) fn poll_read<T>(
        &self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&Socket) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            if let Ok(result) = guard.try_io(|socket| read(socket.get_ref())) {
                return Poll::Ready(result);
            }
        }
    }
}

/// What owns one descriptor for as long as it lives, and says so by its type.
pub(super) trait Owner: AsRawFd {}

impl Owner for Socket {}
impl Owner for OwnedFd {}

/// Registers a non-blocking descriptor for reading with this runtime.
///
/// # Panics
/// Outside of a tokio runtime with I/O.
pub(super) fn register<T: Owner>(owner: T) -> io::Result<AsyncFd<T>> {
    #[expect(unsafe_code, reason = "tokio wants a promise about the descriptor")]
    // SAFETY: the value owns its descriptor ([`Owner`]) and moves into the `AsyncFd`, of which only
    // shared borrows are taken here: it stays open and the same for as long as it is registered.
    let registered = unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}
