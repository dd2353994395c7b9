//! Programs of a host: started with their output in a file, stopped within a limit.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    netns::{Host, Inside},
    require,
    wait::wait_for,
};

/// A running program. Dropping it kills it; its log stays in the host's directory.
#[derive(Debug)]
pub struct Process {
    label: String,
    child: Child,
    log: PathBuf,
    host: Host,
}

impl Process {
    pub(crate) fn start(host: &Host, label: &str, mut command: Command) -> Result<Self> {
        let log = host.dir().join(format!("{label}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        // Ctrl-C at a terminal is for the demo or the test, which then stop what they started.
        command
            .process_group(0)
            .env("PATH", require::search_path())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let program = command.get_program().to_owned();
        let child = host
            .run_in(Inside::Children, || Ok(command.spawn()?))
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
            label: label.to_owned(),
            child,
            log,
            host: host.clone(),
        })
    }

    /// Its pid, as seen from outside the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The host it runs in.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The file with its stdout and stderr.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .unwrap_or_default()
    }

    /// The exit status, if it has ended.
    pub fn try_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal; a process that has ended gets none.
    ///
    /// # Errors
    /// That of kill(2).
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_status().is_none() {
            kill(Pid::from_raw(self.child.id().cast_signed()), signal)?;
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} on {} to end", self.label, self.host.name());
        Ok(wait_for(&what, limit, || {
            self.try_status().ok_or("it is running")
        })?)
    }

    /// SIGTERM, then SIGKILL after `limit`; the status says which it was. Also the time it took.
    ///
    /// # Errors
    /// When it survives both.
    pub fn stop(&mut self, limit: Duration) -> Result<(ExitStatus, Duration)> {
        let start = Instant::now();
        self.signal(Signal::SIGTERM)?;
        let status = match self.wait(limit) {
            Ok(status) => status,
            Err(_) => self.kill()?,
        };
        Ok((status, start.elapsed()))
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it is not gone within 5 s.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait(Duration::from_secs(5))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A command line as a [`Command`].
pub fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}
