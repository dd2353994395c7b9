//! Runs the operator's programs: tracking scripts, notifications, script checks.
//!
//! A program is run without a shell, in a session of its own, with `/dev/null` to read, a clean environment, no descriptor of ours
//! and, where asked, as another user with that user's groups. What it writes is kept up to [`OUTPUT`] bytes and read up to the end,
//! so that it never blocks. At its timeout its whole process group is killed. [`permit`] says whether it may be run at all.
//!
//! No task: whoever polls [`run`] drives it, on a runtime with I/O, time and blocking threads. Dropping the future kills the process
//! group; the dead child is reaped when the next one is started.
//!
//! A program that opens a session of its own leaves the group, and lives on, as it would under any daemon.

mod launch;
mod readable;
mod sys;

mod capture;
mod child;
mod permit;
mod user;

mod check;

#[cfg(test)]
pub(crate) mod tests;

use std::{fmt, io, time::Duration};

use nix::{errno::Errno, sys::signal::Signal};
use tokio::{
    net::unix::pipe::Receiver,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};

use self::{capture::Capture, child::Child, sys::End};
pub use self::{
    capture::OUTPUT,
    check::{Unfit, check_config},
    launch::Step,
    permit::{Refused, permit},
    user::{NoSuchUser, User},
};
pub(crate) use self::{child::Pidfd, readable::Readable};
use crate::config::model::Command;

/// How a program is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From when it runs; then its process group is killed.
    pub timeout: Duration,
    /// How long after a SIGTERM the SIGKILL comes; zero: SIGKILL at once.
    pub grace: Duration,
    /// As whom; `None`: as the agent.
    pub user: Option<User>,
    /// What becomes of processes that outlive the program in its group.
    pub leftovers: Leftovers,
}

impl Limits {
    /// Of a check, which is to leave nothing behind: killed at once, with everything it started.
    #[must_use]
    pub fn check(timeout: Duration, user: Option<User>) -> Self {
        Self {
            timeout,
            grace: Duration::ZERO,
            user,
            leftovers: Leftovers::Kill,
        }
    }
}

/// What becomes of processes that outlive the program in its group. At a timeout they are killed in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They are killed.
    Kill,
    /// They live on. Nobody reads any more what they write: one that keeps our pipe and writes to it gets a SIGPIPE.
    Leave,
}

/// How a run ended. `output` is one printable line of what the program wrote, of at most [`OUTPUT`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
        /// What it wrote.
        output: String,
    },
    /// It was killed, not by us.
    Signalled {
        /// The signal's number.
        signal: i32,
        /// What it wrote.
        output: String,
    },
    /// It was killed at its timeout.
    TimedOut {
        /// What it wrote until then.
        output: String,
    },
    /// It did not run: our failure, which says nothing about what it was to tell.
    NotStarted(StartError),
}

impl Outcome {
    /// What the run says of its subject: good with exit code 0, bad otherwise; `None` if it did not run.
    #[must_use]
    pub fn verdict(&self) -> Option<bool> {
        match self {
            Self::Exited { code, .. } => Some(*code == 0),
            Self::Signalled { .. } | Self::TimedOut { .. } => Some(false),
            Self::NotStarted(_) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = match self {
            Self::Exited { code, output } => {
                write!(f, "exit code {code}")?;
                output
            }
            Self::Signalled { signal, output } => {
                match Signal::try_from(*signal) {
                    Ok(name) => write!(f, "killed by {name}")?,
                    Err(_) => write!(f, "killed by signal {signal}")?,
                }
                output
            }
            Self::TimedOut { output } => {
                f.write_str("timed out")?;
                output
            }
            Self::NotStarted(error) => return write!(f, "not started: {error}"),
        };
        if output.is_empty() {
            Ok(())
        } else {
            write!(f, ": {output}")
        }
    }
}

/// Why a program did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// It may not be run (any more).
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nobody to run it as.
    #[error(transparent)]
    User(#[from] NoSuchUser),
    /// No descriptor, no memory, no process: the host is at a limit.
    #[error("{what}: {}", errno.desc())]
    Resources {
        /// What could not be had.
        what: &'static str,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The child could not be turned into the program.
    #[error("{program}: cannot {step}: {}", errno.desc())]
    Child {
        /// The program.
        program: String,
        /// What it was about to do.
        step: Step,
        /// The kernel's reason.
        errno: Errno,
    },
    /// An argument has a NUL byte in it.
    #[error("an argument has a NUL byte in it")]
    Nul,
    /// The program's file system or the user database does not answer, or the host is far too busy.
    #[error("it does not even start within 10 s: is its file system, or the user database, there?")]
    Stalled,
    /// It ran, and nobody knows how it ended.
    #[error("its exit code is lost: start the agent with SIGCHLD not ignored")]
    Lost,
    /// The runtime is being shut down.
    #[error("the agent is stopping")]
    Stopping,
}

impl StartError {
    fn resources(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Resources {
            what,
            errno: errno_of(&error),
        }
    }
}

/// Runs a program to its end, or its timeout, if it may be run: that is asked each time, for files change. `extra_args` come after
/// the configured arguments.
///
/// It is gone when this returns, but for one that not even SIGKILL ends within a second. Whoever runs a program again and again and
/// must not pile up such ones uses [`start`].
pub async fn run(command: &Command, extra_args: &[String], limits: &Limits) -> Outcome {
    let mut running = start(command, extra_args, limits);
    let outcome = running.outcome().await;
    drop(timeout(Duration::from_secs(1), running.gone()).await);
    outcome
}

/// Starts a program. Its time runs from when it does.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn start(command: &Command, extra_args: &[String], limits: &Limits) -> Running {
    let (command, extra, user) = (command.clone(), extra_args.to_vec(), limits.user.clone());
    // On a thread that may block: the program may lie on a file system that does not answer.
    let launch = spawn_blocking(move || {
        let (child, output) = child::launch(&command, &extra, user.as_ref())?;
        Ok((child, output, Instant::now()))
    });
    Running {
        stage: Stage::Starting(launch),
        limits: limits.clone(),
    }
}

/// A program that runs, or is about to. Dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    stage: Stage,
    limits: Limits,
}

#[derive(Debug)]
enum Stage {
    /// What the thread returns to nobody is killed.
    Starting(JoinHandle<Result<(Child, Receiver, Instant), StartError>>),
    Started(Started),
    /// It never ran.
    Nothing,
}

#[derive(Debug)]
struct Started {
    child: Child,
    capture: Capture,
    deadline: Instant,
}

impl Running {
    /// Waits for its end, or kills it at its timeout. After a SIGKILL this does not wait for the death: that is [`gone`](Self::gone).
    /// To be asked once.
    ///
    /// Cancel safe, but what was read is lost.
    pub async fn outcome(&mut self) -> Outcome {
        match timeout(START_LIMIT, self.started()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Outcome::NotStarted(error),
            Err(_) => return Outcome::NotStarted(StartError::Stalled),
        }
        match &mut self.stage {
            Stage::Started(started) => started.outcome(&self.limits).await,
            Stage::Starting(_) | Stage::Nothing => Outcome::NotStarted(StartError::Stopping),
        }
    }

    /// Waits until it is dead and reaped, also if it has only just started. Cancel safe.
    pub async fn gone(mut self) {
        let late = matches!(self.stage, Stage::Starting(_));
        // What did not start is gone.
        drop(self.started().await);
        if let Stage::Started(started) = &mut self.stage {
            if late {
                started.child.signal(Signal::SIGKILL);
            }
            started.child.reaped().await;
        }
    }

    /// Waits until it runs. Cancel safe.
    async fn started(&mut self) -> Result<(), StartError> {
        let Stage::Starting(launch) = &mut self.stage else {
            return Ok(());
        };
        let launched = launch.await;
        self.stage = Stage::Nothing;
        let (child, output, since) = launched.map_err(|_| StartError::Stopping)??;
        self.stage = Stage::Started(Started {
            child,
            capture: Capture::new(output),
            deadline: since + self.limits.timeout,
        });
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Stage::Starting(launch) = &self.stage {
            // If its thread has not taken it up yet, it never will.
            launch.abort();
        }
    }
}

impl Started {
    async fn outcome(&mut self, limits: &Limits) -> Outcome {
        if self.ended_by(self.deadline).await {
            return self.ended(limits.leftovers).await;
        }
        if !limits.grace.is_zero() {
            self.child.signal(Signal::SIGTERM);
            self.ended_by(self.deadline + limits.grace).await;
        }
        self.child.signal(Signal::SIGKILL);
        self.capture.take_rest();
        Outcome::TimedOut {
            output: self.capture.text(),
        }
    }

    /// Reads what it writes until it ends: whether it did before `limit`.
    async fn ended_by(&mut self, limit: Instant) -> bool {
        loop {
            // Cancel safe: a read that loses has taken nothing, and the child's end stays readable.
            tokio::select! {
                biased;
                () = self.child.ended() => return true,
                () = sleep_until(limit) => return false,
                () = self.capture.read() => {}
            }
        }
    }

    /// The program has ended; others of its group may not have.
    async fn ended(&mut self, leftovers: Leftovers) -> Outcome {
        // Before it is reaped: until then, its number cannot be another group's.
        if leftovers == Leftovers::Kill {
            self.child.signal(Signal::SIGKILL);
        }
        self.capture.take_rest();
        let output = self.capture.text();
        match self.child.reaped().await {
            End::Exited(code) => Outcome::Exited { code, output },
            End::Signalled(signal) => Outcome::Signalled { signal, output },
            End::Unknown => Outcome::NotStarted(StartError::Lost),
        }
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// How long it may take to become the program. That long nothing is said of the target.
const START_LIMIT: Duration = Duration::from_secs(10);
