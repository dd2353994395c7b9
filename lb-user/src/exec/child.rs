//! A running program: its end, its death, and that nobody stays a zombie.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    sync::{Mutex, PoisonError},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::{Pid, geteuid},
};
use tokio::net::unix::pipe::Receiver;

use super::{
    Readable, StartError, User, capture, launch, permit,
    sys::{self, End},
    user::Account,
};
use crate::config::model::Command;

/// A child and its process group. Dropping it kills both.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    pidfd: Pidfd,
    reaped: Option<End>,
}

/// Checks once more that it may be run, and starts it. Blocks while the file system does.
pub(super) fn launch(
    command: &Command,
    extra_args: &[String],
    user: Option<&User>,
) -> Result<(Child, Receiver), StartError> {
    reap_orphans();
    let user = user.map(User::account).transpose()?;
    permit(command)?;
    let program = CString::new(command.program().as_os_str().as_bytes());
    let program = program.map_err(|_| StartError::Nul)?;
    let args = arguments(command, extra_args, &program)?;
    let null = std::fs::File::open("/dev/null").map_err(StartError::resources("/dev/null"))?;
    let (reader, writer) =
        capture::pipe().map_err(StartError::resources("no pipe for the output"))?;
    let (pid, pidfd) = launch::launch(&launch::Launch {
        program: &program,
        args: &args,
        environment: &environment(user),
        input: null.as_fd(),
        output: writer.as_fd(),
        user: user.filter(|user| !user.is_us()),
    })
    .map_err(|failure| match failure.step {
        launch::Step::Clone => StartError::Resources {
            what: "no process",
            errno: failure.errno,
        },
        step => StartError::Child {
            program: command.program().display().to_string(),
            step,
            errno: failure.errno,
        },
    })?;
    // Ours must go, or the output never ends.
    drop(writer);
    match Pidfd::new(pidfd) {
        Ok(pidfd) => {
            let reaped = None;
            Ok((Child { pid, pidfd, reaped }, reader))
        }
        Err(error) => {
            abandon(pid);
            Err(StartError::resources("no watch for the process")(error))
        }
    }
}

fn arguments(
    command: &Command,
    extra: &[String],
    program: &CString,
) -> Result<Vec<CString>, StartError> {
    let mut args = vec![program.clone()];
    for arg in command.args().iter().chain(extra) {
        args.push(CString::new(arg.as_str()).map_err(|_| StartError::Nul)?);
    }
    Ok(args)
}

/// Nothing of ours: what the service manager gave us is not for scripts.
fn environment(user: Option<&Account>) -> Vec<CString> {
    let mut environment = vec![PATH.to_owned()];
    let (name, home) = match user {
        Some(user) => (user.name.as_c_str(), user.home.as_c_str()),
        None if geteuid().is_root() => (c"root", c"/root"),
        None => return environment,
    };
    for (key, value) in [("USER=", name), ("LOGNAME=", name), ("HOME=", home)] {
        let text = [key.as_bytes(), value.to_bytes()].concat();
        // Of two texts without a NUL byte, so it is one.
        environment.extend(CString::new(text));
    }
    environment
}

impl Child {
    /// Waits for its end; it stays a zombie, so that its number stays its own. Cancel safe.
    pub(super) async fn ended(&self) {
        if self.reaped.is_none() {
            self.pidfd.ended().await;
        }
    }

    /// To the whole group. Only while it is not reaped: afterwards the number may be somebody else's.
    pub(super) fn signal(&self, signal: Signal) {
        if self.reaped.is_none() {
            // There is one, if only the zombie.
            killpg(self.pid, signal).ok();
        }
    }

    /// Waits for its end and takes it off the process table. Cancel safe.
    pub(super) async fn reaped(&mut self) -> End {
        loop {
            if let Some(end) = self.reaped {
                return end;
            }
            self.pidfd.ended().await;
            self.reaped = sys::reap(self.pid);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.reaped.is_none() {
            abandon(self.pid);
        }
    }
}

/// A process, by a descriptor that stays its own when its number is reused.
#[derive(Debug)]
pub(crate) struct Pidfd(Readable);

impl Pidfd {
    /// Of any process there is; a zombie counts.
    ///
    /// # Errors
    /// There is none, or no descriptor is free.
    pub(crate) fn open(pid: Pid) -> io::Result<Self> {
        Self::new(sys::pidfd_open(pid)?)
    }

    fn new(pidfd: OwnedFd) -> io::Result<Self> {
        Readable::new(pidfd).map(Self)
    }

    /// Waits until it is dead, reaped or not. Cancel safe.
    pub(crate) async fn ended(&self) {
        let dead = |pidfd: BorrowedFd<'_>| {
            if is_readable(pidfd) {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        };
        if self.0.read(dead).await.is_err() {
            // The runtime is going away, and with it whoever waits.
            std::future::pending::<()>().await;
        }
    }

    /// Whether it is dead, reaped or not.
    pub(crate) fn has_ended(&self) -> bool {
        is_readable(self.0.descriptor())
    }
}

fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(descriptor, PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Killed children whose death nobody waits for. They are not reaped, so their numbers are their own.
static ORPHANS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills a child and its group.
fn abandon(child: Pid) {
    killpg(child, Signal::SIGKILL).ok();
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    orphans.push(child);
}

/// Takes those off the process table that are dead by now.
fn reap_orphans() {
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    orphans.retain(|child| sys::reap(*child).is_none());
}

/// Where programs find others.
const PATH: &std::ffi::CStr = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
