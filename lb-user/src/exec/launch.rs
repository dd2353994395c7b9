//! From the agent's process to the program's: an unsafe door.
//!
//! A child that shares our memory until it is the program (`CLONE_VM | CLONE_VFORK`, as `posix_spawn` does it, which cannot change
//! users). `fork` would write-protect every page of the agent and stop its threads at their next write while it copies page tables:
//! measured with 100 MiB, another thread stood still for up to 5 ms at each start, with this one for 5 µs at most. VRRP lives in such
//! a thread.
//!
//! What the child may do is what is allowed after a fork of many threads, and less: system calls, by raw number where the C library
//! would have all threads follow (`setresuid`); no allocation, no lock, no panic. It has its own descriptors, directory and signal
//! handlers, and its parent thread waits in the kernel meanwhile.
//!
//! Changing the user makes the kernel mark the shared memory as not dumpable, so the program's user cannot trace the child before it
//! is the program. That mark stays on the agent: it leaves core dumps only where `fs.suid_dumpable` sends them.

#![expect(
    unsafe_code,
    reason = "the door to clone and to what its child must do"
)]

use std::{
    cell::Cell,
    ffi::{CStr, CString, c_char, c_int, c_long, c_ulong, c_void},
    fmt,
    mem::MaybeUninit,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    ptr,
};

use nix::{
    errno::Errno,
    sys::signal::{SigSet, SigmaskHow},
    unistd::Pid,
};

use super::user::Account;

/// What the child is to become.
pub(super) struct Launch<'a> {
    pub(super) program: &'a CStr,
    /// The first is the program's name for itself.
    pub(super) args: &'a [CString],
    /// `NAME=value`.
    pub(super) environment: &'a [CString],
    pub(super) input: BorrowedFd<'a>,
    /// For both standard output and standard error.
    pub(super) output: BorrowedFd<'a>,
    /// `None`: as we are.
    pub(super) user: Option<&'a Account>,
}

/// What a child does before it is the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Come into being.
    Clone,
    /// Open a session.
    Session,
    /// Take input and output.
    Redirect,
    /// Go to `/`.
    Directory,
    /// Take the user's groups and become the user.
    User,
    /// Become the program.
    Exec,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clone => "start a process",
            Self::Session => "open a session",
            Self::Redirect => "redirect input and output",
            Self::Directory => "go to /",
            Self::User => "become the user",
            Self::Exec => "execute",
        })
    }
}

/// What went wrong in the child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: Errno,
}

/// Starts the program; returns when the child has become it, or failed to. The descriptor is a pidfd.
pub(super) fn launch(launch: &Launch<'_>) -> Result<(Pid, OwnedFd), Failure> {
    let args = pointers(launch.args);
    let environment = pointers(launch.environment);
    let orders = Orders {
        program: launch.program.as_ptr(),
        args: args.as_ptr(),
        environment: environment.as_ptr(),
        input: launch.input.as_raw_fd(),
        output: launch.output.as_raw_fd(),
        user: launch.user,
        failure: Cell::new(None),
    };
    let mut stack = vec![MaybeUninit::<u128>::uninit(); STACK];
    let mut pidfd: c_int = -1;
    // No handler of ours may run in the child, on memory that other threads are using.
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(|errno| Failure {
            step: Step::Clone,
            errno,
        })?;
    // SAFETY: the stack is unused, aligned, large enough for `child` and what it calls, and `top` is its end, from which it grows
    // down. Everything `orders` points to lives until `clone` returns, which with CLONE_VFORK is after the child has ceased to
    // use our memory. The kernel stores the descriptor where the variadic argument points, as CLONE_PIDFD says.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        libc::clone(
            child,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            (&raw const orders).cast_mut().cast(),
            &raw mut pidfd,
        )
    };
    let clone_errno = Errno::last();
    // It was the mask a moment ago, so it can be again.
    mask.thread_set_mask().ok();
    if pid < 0 {
        return Err(Failure {
            step: Step::Clone,
            errno: clone_errno,
        });
    }
    // SAFETY: `clone` succeeded, so this is a new descriptor, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match orders.failure.get() {
        None => Ok((Pid::from_raw(pid), pidfd)),
        Some(failure) => {
            // It has ended already, or is just about to.
            nix::sys::wait::waitpid(Pid::from_raw(pid), None).ok();
            Err(failure)
        }
    }
}

/// What the child needs, all of it made before.
struct Orders<'a> {
    program: *const c_char,
    args: *const *const c_char,
    environment: *const *const c_char,
    input: RawFd,
    output: RawFd,
    user: Option<&'a Account>,
    /// Written by the child before it ends, read by the parent after.
    failure: Cell<Option<Failure>>,
}

/// The child's whole life before the program's.
extern "C" fn child(orders: *mut c_void) -> c_int {
    // SAFETY: `launch` passes its own `Orders`, which it keeps until we have ended or become the program, and does not touch
    // meanwhile.
    let orders = unsafe { &*orders.cast::<Orders<'_>>() };
    // SAFETY: this is the child of `launch`, with copies of its own of what these calls change.
    let failure = unsafe { become_program(orders) };
    orders.failure.set(failure.err());
    // SAFETY: ends this process alone, without the handlers and buffers that belong to the parent.
    unsafe { libc::_exit(127) }
}

/// Returns only to say what failed.
///
/// # Safety
/// Only in the child of `launch`: it changes the process it runs in.
unsafe fn become_program(orders: &Orders<'_>) -> Result<(), Failure> {
    // SAFETY: plain system calls on our own process with arguments that are valid for them; nothing here allocates, locks or panics.
    unsafe {
        // Also those that our parent, or its, has ignored: SIGPIPE by Rust, SIGHUP by nohup. By raw number, for the C library
        // keeps two for itself. The kernel's structure is all zero for the default action.
        let default = [0_u64; 4];
        for signal in 1..=SIGNALS {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
        done(Step::Session, libc::setsid())?;
        // The Rust runtime sees to it that 0, 1 and 2 are open in the parent, so these are others.
        done(Step::Redirect, libc::dup2(orders.input, 0))?;
        done(Step::Redirect, libc::dup2(orders.output, 1))?;
        done(Step::Redirect, libc::dup2(orders.output, 2))?;
        // All of ours are close-on-exec; this is for libraries that forget. Linux 5.9 has it.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        done(Step::Directory, libc::chdir(c"/".as_ptr()))?;
        libc::umask(0o022);
        ordinary_descriptor_limit();
        if let Some(user) = orders.user {
            switch_user(user)?;
        }
        let none = 0_u64;
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null_mut::<u64>(),
            size_of::<u64>(),
        );
        done(
            Step::Exec,
            libc::execve(orders.program, orders.args, orders.environment),
        )
    }
}

/// The agent may have raised its own. A program that closes all it might have, or uses `select`, wants the usual one.
///
/// # Safety
/// Only in the child of `launch`.
unsafe fn ordinary_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls get a valid pointer to the structure they want.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_cur.min(DESCRIPTORS);
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// For good, and with nothing of what the agent may do. By raw number: the C library's functions would signal the agent's threads
/// to follow.
///
/// # Safety
/// Only in the child of `launch`.
unsafe fn switch_user(user: &Account) -> Result<(), Failure> {
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    // SAFETY: `Gid` is a transparent `gid_t`, and the kernel reads as many as it is told there are.
    unsafe {
        done(
            Step::User,
            libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()),
        )?;
        done(
            Step::User,
            libc::syscall(libc::SYS_setresgid, gid, gid, gid),
        )?;
        done(
            Step::User,
            libc::syscall(libc::SYS_setresuid, uid, uid, uid),
        )?;
        // Ambient capabilities would come along to the program.
        let (clear, none) = (libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong, 0 as c_ulong);
        libc::prctl(libc::PR_CAP_AMBIENT, clear, none, none, none);
    }
    Ok(())
}

fn done(step: Step, result: impl Into<c_long>) -> Result<(), Failure> {
    if result.into() < 0 {
        let errno = Errno::last();
        Err(Failure { step, errno })
    } else {
        Ok(())
    }
}

/// As `execve` wants them, with a null at the end.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let texts = texts.iter().map(|text| text.as_ptr());
    texts.chain([ptr::null()]).collect()
}

/// Units of 16 bytes: 64 KiB, of which the deepest call uses one.
const STACK: usize = 4096;
/// The kernel's `_NSIG`.
const SIGNALS: c_int = 64;
/// The soft limit that programs expect.
const DESCRIPTORS: libc::rlim_t = 1024;

const _: () = assert!(
    size_of::<usize>() == 8,
    "32-bit kernels number the calls with 16-bit users differently"
);
