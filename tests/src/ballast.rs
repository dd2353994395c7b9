//! The real `ballast` in a host: its configuration, its start until it says READY, its command line.

mod config;
mod counters;

use std::{
    fs, io,
    net::IpAddr,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    netns::{Host, sibling_binary},
    process::Process,
    wait::wait_for,
};

pub use config::{Backend, Config, Forwarding, Service};
pub use counters::{BackendCounters, Counters, from_pinned_maps, from_status};

/// An agent that runs on a host, or ran there and can be started again.
#[derive(Debug)]
pub struct Agent {
    host: Host,
    config: PathBuf,
    notify: UnixDatagram,
    notify_path: PathBuf,
    /// What `ballast run` is started with besides `-c FILE`.
    pub flags: Vec<String>,
    process: Option<Process>,
}

/// How long an agent may take to start or stop.
pub const START_LIMIT: Duration = Duration::from_secs(90);

impl Agent {
    /// Writes `yaml` as the configuration of `host`, without starting anything.
    ///
    /// # Errors
    /// When the file or the notification socket cannot be made.
    pub fn prepare(host: &Host, yaml: &str) -> Result<Self> {
        let config = host.dir().join("ballast.yaml");
        fs::write(&config, yaml)?;
        let notify_path = host.dir().join("notify");
        let notify = UnixDatagram::bind(&notify_path)?;
        notify.set_nonblocking(true)?;
        let host = host.clone();
        Ok(Self {
            host,
            config,
            notify,
            notify_path,
            flags: Vec::new(),
            process: None,
        })
    }

    /// [`Agent::prepare`], then [`Agent::run`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(host: &Host, yaml: &str) -> Result<Self> {
        let mut agent = Self::prepare(host, yaml)?;
        agent.run()?;
        Ok(agent)
    }

    /// Starts `ballast run` and waits until it says READY, as systemd does (`sd_notify`).
    ///
    /// # Errors
    /// When it ends instead, or is not ready within [`START_LIMIT`].
    pub fn run(&mut self) -> Result<()> {
        self.run_unready()?;
        self.wait_until_ready()
    }

    /// Waits until it says READY, after [`Agent::run_unready`].
    ///
    /// # Errors
    /// When it ends instead, or is not ready within [`START_LIMIT`].
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let what = format!("ballast on {} to be ready", self.host.name());
        let mut heard = String::new();
        wait_for(&what, START_LIMIT, || {
            heard += &self.notifications();
            if heard.lines().any(|line| line == "READY=1") {
                return Ok(());
            }
            let process = self.process.as_mut().ok_or("it was not started")?;
            match process.try_status() {
                Some(status) => Err(format!("it ended with {status}: {}", process.log())),
                None => Err(format!("notified {heard:?}")),
            }
        })?;
        Ok(())
    }

    /// Starts `ballast run` without waiting.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_unready(&mut self) -> Result<&mut Process> {
        self.process = None;
        self.notifications();
        let mut command = Command::new(binary()?);
        command
            .arg("run")
            .arg("-c")
            .arg(&self.config)
            .args(&self.flags)
            .env("NOTIFY_SOCKET", &self.notify_path);
        Ok(self.process.insert(self.host.spawn("ballast", command)?))
    }

    /// The running process.
    ///
    /// # Errors
    /// When none was started.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the agent was not started")
    }

    /// The host it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Replaces the configuration file; nothing is told to the agent.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config(&self, yaml: &str) -> Result<()> {
        Ok(fs::write(&self.config, yaml)?)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it survives.
    pub fn kill(&mut self) -> Result<()> {
        self.process()?.kill().map(drop)
    }

    /// SIGTERM, and expects exit status 0.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn stop(&mut self) -> Result<()> {
        let (status, took) = self.process()?.stop(START_LIMIT)?;
        ensure!(
            status.success(),
            "ballast ended with {status} after {took:?}"
        );
        Ok(())
    }

    /// Runs a `ballast` command on the host, with this configuration.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ballast(&self, args: &[&str]) -> Result<Output> {
        ballast(&self.host, &self.config, args)
    }

    /// `ballast reload`.
    ///
    /// # Errors
    /// When it is refused; the text is what it printed.
    pub fn reload(&self) -> Result<()> {
        let output = self.ballast(&["reload"])?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// `ballast status --json`.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn status(&self) -> Result<Value> {
        self.json(&["status", "--json"])
    }

    /// A command with `--json` and its document.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.ballast(args)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "ballast {args:?}: {} {stderr}",
            output.status
        );
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "ballast {args:?} printed {:?}",
                String::from_utf8_lossy(&output.stdout)
            )
        })
    }

    /// `ballast explain` for a TCP flow: the name of its backend, or why there is none.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn explain(&self, src: (IpAddr, u16), dst: (IpAddr, u16)) -> Result<Value> {
        let text = |(address, port)| std::net::SocketAddr::new(address, port).to_string();
        self.json(&[
            "explain",
            "--proto",
            "tcp",
            "--src",
            &text(src),
            "--dst",
            &text(dst),
            "--json",
        ])
    }

    /// The notifications that have come since the last call, each on its lines.
    fn notifications(&self) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        loop {
            match self.notify.recv(&mut buffer) {
                Ok(length) => {
                    text += &String::from_utf8_lossy(&buffer[..length]);
                    text.push('\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return text,
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process = None;
        fs::remove_file(&self.notify_path).ok();
    }
}

/// Waits until `status` shows a backend in this state.
///
/// # Errors
/// When it does not within `limit`.
pub fn wait_for_backend(
    agent: &Agent,
    service: &str,
    backend: &str,
    state: &str,
    limit: Duration,
) -> Result<()> {
    wait_for(
        &format!("{backend} of {service} to be {state}"),
        limit,
        || {
            let status = agent.status()?;
            let named = |list: &Value, name: &str| -> Option<Value> {
                let mut found = list.as_array()?.iter().filter(|item| item["name"] == name);
                found.next().cloned()
            };
            let service = named(&status["services"], service).context("no such service")?;
            let backend = named(&service["backends"], backend).context("no such backend")?;
            ensure!(backend["state"] == state, "{backend}");
            Ok(())
        },
    )?;
    Ok(())
}

/// Runs a `ballast` command on a host.
///
/// # Errors
/// When it cannot be started.
pub fn ballast(host: &Host, config: &Path, args: &[&str]) -> Result<Output> {
    let mut line = vec![binary()?.into_os_string()];
    line.extend(args.iter().map(Into::into));
    line.extend(["-c".into(), config.into()]);
    host.output(line)
}

/// The `ballast` under test: `BALLAST_BIN`, or the one built beside the tests.
///
/// # Errors
/// When there is none.
pub fn binary() -> Result<PathBuf> {
    sibling_binary("BALLAST_BIN", "ballast")
}
