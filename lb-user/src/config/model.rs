//! What a valid file means. No serde, no text left to parse: whoever holds a [`Config`] need not check it again.
//!
//! Every default of the documentation is filled in, names are resolved as far as they can be without asking the host, and every
//! `Vec` is in the order of the file.

mod words;

mod datapath;
mod health;
mod service;

mod extras;
mod vrrp;

use std::{fmt, path::PathBuf};

pub use self::{
    datapath::{Datapath, Engine, TunnelSource, XdpMode},
    extras::{Alerts, IpvsSync, Observability, Smtp},
    health::{
        Check, DnsProbe, DnsType, HealthCheck, HttpPath, HttpProbe, OnFailure, Payload, Probe,
        ScriptProbe, UdpProbe,
    },
    service::{
        Backend, BackendKey, Fallback, Forwarding, NatOptions, Persistence, Protocol, Quorum,
        Scheduler, Service, ServiceKey, Timeouts,
    },
    vrrp::{
        Checksum, Family, Garp, InitialState, Notify, Password, RouteTarget, Script, SyncGroup,
        Track, TrackWeight, TrackedFile, TrackedInterface, TrackedProcess, TrackedScript,
        TrackedService, Unicast, VirtualAddress, VirtualRoute, VrrpInstance, VrrpVersion,
    },
    words::Word,
};

/// A whole, valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node's name in logs, alerts and metrics; `None`: the host name.
    pub router_id: Option<String>,
    /// Where the control socket and run-time changes live.
    pub runtime_dir: PathBuf,
    /// Where maps and links are pinned.
    pub bpffs_dir: PathBuf,
    /// The data plane; its `interfaces` are not empty if there are services.
    pub datapath: Datapath,
    /// Virtual routers.
    pub vrrp_instances: Vec<VrrpInstance>,
    /// Virtual routers that change role together.
    pub vrrp_sync_groups: Vec<SyncGroup>,
    /// Scripts that virtual routers track.
    pub scripts: Vec<Script>,
    /// What is balanced; no two have one [`ServiceKey`] or one name.
    pub services: Vec<Service>,
    /// Who is told about changes.
    pub alerts: Alerts,
    /// Connection synchronisation of IPVS.
    pub ipvs_sync: Option<IpvsSync>,
    /// The listener for metrics and status; `None`: off.
    pub observability: Option<Observability>,
}

/// A program with its arguments, run without a shell. The first word is an absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    program: PathBuf,
    args: Vec<String>,
}

impl Command {
    /// `None` unless `program` is absolute.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<String>) -> Option<Self> {
        program.is_absolute().then_some(Self { program, args })
    }

    /// The program's absolute path.
    #[must_use]
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// The arguments after it.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.args
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}
