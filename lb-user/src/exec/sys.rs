//! System calls about processes that have no safe face in our libraries: an unsafe door.

#![expect(unsafe_code, reason = "the door to pidfd_open and waitpid")]

use std::{
    io,
    os::{
        fd::{FromRawFd as _, OwnedFd, RawFd},
        unix::process::ExitStatusExt as _,
    },
    process::ExitStatus,
};

use nix::{errno::Errno, unistd::Pid};

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// Nobody knows: somebody else took it off the process table. The kernel does if we were started with SIGCHLD ignored.
    Unknown,
}

/// A descriptor of a process; a zombie counts as one (`pidfd_open(2)`).
///
/// # Errors
/// There is no such process, or no descriptor is free.
pub(super) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: two numbers go in and one comes out.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let descriptor = RawFd::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes a dead child off the process table; `None` while it lives.
pub(super) fn reap(child: Pid) -> Option<End> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one number to where the pointer points.
        let result = unsafe { libc::waitpid(child.as_raw(), &raw mut status, libc::WNOHANG) };
        match result {
            0 => return None,
            1.. => break,
            _ if Errno::last() == Errno::EINTR => {}
            _ => return Some(End::Unknown),
        }
    }
    let status = ExitStatus::from_raw(status);
    let signal = status.signal().map(End::Signalled);
    Some(
        signal
            .or(status.code().map(End::Exited))
            .unwrap_or(End::Unknown),
    )
}
