//! Published setups: machines with the addresses of a how-to, and on each either Ballast with what
//! `ballast import` made of its keepalived.conf, or keepalived with the file itself.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use nix::sys::signal::Signal;

use crate::{
    ballast::{Agent, START_LIMIT, binary},
    keepalived::Keepalived,
    lab::Lab,
    netns::Host,
    pair::Stack,
    topology::{Network, Nic, Port},
};

/// A limit for what takes no time.
pub const SOON: Duration = Duration::from_secs(20);
/// What a shared machine may add to a time that is promised.
pub const SLACK: Duration = Duration::from_millis(700);

/// A host with one cable.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The machine.
    pub host: Host,
    /// Its cable.
    pub port: Port,
    /// The switch's programs live as long as this.
    _network: Network,
}

impl Machine {
    /// Boots `name` and plugs its `device` into `network`, with this address.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn plug(
        lab: &Lab,
        network: &Network,
        name: &str,
        device: &str,
        address: &str,
    ) -> Result<Self> {
        let host = lab.host(name)?;
        let address: IpNet = address.parse()?;
        let port = network.connect(&host, &Nic::new(device).address(address))?;
        Ok(Self {
            host,
            port,
            _network: network.clone(),
        })
    }

    /// Power off: first the carrier goes, then every process, then the interface.
    ///
    /// # Errors
    /// When it does not die.
    pub fn power_off(&self) -> Result<()> {
        self.port.cut()?;
        self.host.kill_power()?;
        self.port.unplug()
    }
}

/// A keepalived.conf of the published setups, from the fixtures.
///
/// # Errors
/// When there is none of this name.
pub fn fixture(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keepalived");
    let path = path.join(name).with_extension("conf");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// `text` with one line's worth of it replaced, which must be there.
///
/// # Errors
/// When it is not.
pub fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "no `{from}` in\n{text}");
    Ok(text.replace(from, to))
}

/// What `ballast import` makes of a keepalived.conf, on a host.
///
/// # Errors
/// When it is refused, or `ballast check` refuses what came out.
pub fn import(host: &Host, conf: &str) -> Result<String> {
    let file = host.dir().join("keepalived.conf");
    fs::write(&file, conf)?;
    let run = |args: &[&str], file: &Path| -> Result<String> {
        let mut line: Vec<PathBuf> = vec![binary()?];
        line.extend(args.iter().map(PathBuf::from));
        line.push(file.to_owned());
        host.exec(line)
    };
    let yaml = run(&["import"], &file)?;
    let file = host.dir().join("imported.yaml");
    fs::write(&file, &yaml)?;
    run(&["check", "-c"], &file)?;
    Ok(yaml)
}

/// Who elects on a machine, from a keepalived.conf.
#[derive(Debug)]
pub enum Elector {
    /// Ballast with the import of it.
    Ballast(Agent),
    /// keepalived with the file itself.
    Keepalived(Keepalived),
}

impl Elector {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(stack: Stack, host: &Host, conf: &str) -> Result<Self> {
        match stack {
            Stack::Ballast => {
                let yaml = import(host, conf)?;
                Ok(Self::Ballast(Agent::start(host, &yaml)?))
            }
            Stack::Keepalived => {
                let mut keepalived = Keepalived::prepare(host, conf)?;
                keepalived.run()?;
                Ok(Self::Keepalived(keepalived))
            }
        }
    }

    /// Starts it again, after [`Elector::kill`] or [`Elector::terminate`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn run(&mut self) -> Result<()> {
        match self {
            Self::Ballast(agent) => agent.run(),
            Self::Keepalived(keepalived) => keepalived.run(),
        }
    }

    /// SIGTERM. Returns at once.
    ///
    /// # Errors
    /// When it does not run.
    pub fn terminate(&mut self) -> Result<()> {
        match self {
            Self::Ballast(agent) => agent.process()?.signal(Signal::SIGTERM),
            Self::Keepalived(keepalived) => keepalived.terminate(),
        }
    }

    /// Waits until it is gone, after [`Elector::terminate`].
    ///
    /// # Errors
    /// When it survives.
    pub fn wait_for_end(&mut self) -> Result<()> {
        match self {
            Self::Ballast(agent) => agent.process()?.wait(START_LIMIT).map(drop),
            Self::Keepalived(keepalived) => keepalived.wait_for_end(),
        }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it survives.
    pub fn kill(&mut self) -> Result<()> {
        match self {
            Self::Ballast(agent) => agent.kill(),
            Self::Keepalived(keepalived) => keepalived.kill(),
        }
    }

    /// The agent, where it is Ballast.
    #[must_use]
    pub fn agent(&self) -> Option<&Agent> {
        match self {
            Self::Ballast(agent) => Some(agent),
            Self::Keepalived(_) => None,
        }
    }
}
