//! A real keepalived (Debian's) on a host: the peer of interop tests, and what measurements compare with.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    netns::Host,
    process::{Process, command},
    wait::wait_for,
};

/// A keepalived that runs on a host, or ran there and can be started again.
#[derive(Debug)]
pub struct Keepalived {
    host: Host,
    config: PathBuf,
    /// Whether it logs, to `keepalived.log` of the host's directory.
    pub logs: bool,
    process: Option<Process>,
}

impl Keepalived {
    /// Writes `conf` as its configuration, without starting anything.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn prepare(host: &Host, conf: &str) -> Result<Self> {
        let config = host.dir().join("keepalived.conf");
        fs::write(&config, conf)?;
        Ok(Self {
            host: host.clone(),
            config,
            logs: true,
            process: None,
        })
    }

    /// Starts it, VRRP only, and waits until it listens to adverts.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn run(&mut self) -> Result<()> {
        let logs = if self.logs {
            "--log-console"
        } else {
            "--no-syslog"
        };
        let mut keepalived = command("keepalived", ["--dont-fork", "--vrrp", logs, "--use-file"]);
        keepalived.arg(&self.config);
        let process = self
            .process
            .insert(self.host.spawn("keepalived", keepalived)?);
        let host = &self.host;
        wait_for("keepalived to listen", LIMIT, || {
            if let Some(status) = process.try_status() {
                return Err(format!("it ended with {status}: {}", process.log()));
            }
            listens(host).map_err(|error| error.to_string())
        })?;
        Ok(())
    }

    /// Replaces its configuration; SIGHUP applies it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn reload(&mut self, conf: &str) -> Result<()> {
        fs::write(&self.config, conf)?;
        self.running()?.signal(Signal::SIGHUP)
    }

    /// SIGTERM: it says priority 0 and takes its addresses away. Returns at once.
    ///
    /// # Errors
    /// When it does not run.
    pub fn terminate(&mut self) -> Result<()> {
        self.running()?.signal(Signal::SIGTERM)
    }

    /// Waits until it is gone, after [`Keepalived::terminate`].
    ///
    /// # Errors
    /// When it survives.
    pub fn wait_for_end(&mut self) -> Result<()> {
        self.running()?.wait(LIMIT)?;
        self.process = None;
        Ok(())
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Errors
    /// When it survives.
    pub fn stop(&mut self) -> Result<()> {
        self.running()?.stop(LIMIT)?;
        self.process = None;
        Ok(())
    }

    /// `kill -9` of it and its child, which speaks VRRP: the addresses stay.
    ///
    /// # Errors
    /// When it survives.
    pub fn kill(&mut self) -> Result<()> {
        let process = self.running()?;
        let pid = process.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            kill(Pid::from_raw(child.parse()?), Signal::SIGKILL)?;
        }
        process.kill()?;
        self.process = None;
        Ok(())
    }

    fn running(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("keepalived was not started")
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // Its child outlives a SIGKILL of the parent for a moment; SIGTERM it passes on.
        if let Some(process) = &mut self.process {
            process.stop(LIMIT).ok();
        }
    }
}

/// Whether somebody on `host` listens to VRRP, IPv4 or IPv6.
///
/// # Errors
/// When nobody does.
pub fn listens(host: &Host) -> Result<()> {
    let listening = ["raw", "raw6"].iter().any(|table| {
        let sockets = host
            .read(format!("/proc/1/net/{table}"))
            .unwrap_or_default();
        // The second column is local address:protocol, in hexadecimal.
        let mut addresses = sockets
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        addresses.any(|address| address.ends_with(":0070"))
    });
    ensure!(
        listening,
        "no raw socket of protocol 112 on {}",
        host.name()
    );
    Ok(())
}

const LIMIT: Duration = Duration::from_secs(20);
