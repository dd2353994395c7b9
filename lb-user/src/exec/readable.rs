//! Waits for a descriptor to have something to read: the unsafe door to tokio's `AsyncFd`.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor that the runtime watches.
#[derive(Debug)]
pub(crate) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    ///
    /// # Errors
    /// The runtime's epoll does not take it: no memory, too many watches, or a kind of descriptor that cannot be waited for.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "tokio wants a promise about the descriptor")]
        // SAFETY: the descriptor is owned and moves into the `AsyncFd`, of which only shared borrows are taken: it stays open and
        // the same for as long as it is registered.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        registered.map(Self).map_err(|error| error.into_parts().1)
    }

    /// Calls `read` whenever there may be something, until it does not say [`io::ErrorKind::WouldBlock`]. Cancel safe if `read` is
    /// one system call.
    ///
    /// # Errors
    /// Those of `read`, and that the runtime is being shut down.
    pub(crate) async fn read<T>(
        &self,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let mut guard = self.0.readable().await?;
            if let Ok(result) = guard.try_io(|fd| read(fd.get_ref().as_fd())) {
                return result;
            }
        }
    }

    /// The descriptor.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
