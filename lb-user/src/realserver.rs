//! `ballast realserver`: what a real server needs besides its service.
//!
//! * The virtual address on `lo`, so that the host takes packets for it; silence about it in ARP, so
//!   that nobody finds this host instead of the balancer; and no strict check of sources.
//! * For a tunnel, somebody who takes packets out of it: the kernel's devices, or [`program`].
//!
//! Every change is on [`record`] before it is made, and [`down()`] undoes what is on it. Nothing runs
//! afterwards: addresses, settings, devices and pinned programs stay until `down` or a reboot.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::Serialize;

use crate::{config, control, net::tunnel::TunnelError, types::IfName};

pub mod balancer;
mod check;
mod down;
mod facts;
mod kernel;
pub mod program;
pub mod record;
mod sysctl;
mod up;

pub use check::{CheckError, Checked, Finding, check};
pub use down::{DownError, down};
pub use facts::FactsError;
pub use up::{UpError, up};

/// Where things of this host are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where the record is kept.
    pub runtime_dir: PathBuf,
    /// Below it, programs are pinned.
    pub bpffs_dir: PathBuf,
    /// Where a running agent would listen.
    pub socket: PathBuf,
    /// The agent's configuration, which a real server need not have.
    pub config: PathBuf,
}

impl Places {
    /// As the configuration file says, where there is one; else the defaults.
    #[must_use]
    pub fn of(config: &Path, socket: Option<&Path>) -> Self {
        let loaded = config::load_and_validate(config).ok();
        let (runtime_dir, bpffs_dir) = loaded.map_or_else(
            || ("/run/ballast".into(), "/sys/fs/bpf/ballast".into()),
            |loaded| (loaded.config.runtime_dir, loaded.config.bpffs_dir),
        );
        Self {
            socket: socket.map_or_else(|| runtime_dir.join(control::SOCKET), Path::to_path_buf),
            runtime_dir,
            bpffs_dir,
            config: config.to_path_buf(),
        }
    }
}

/// Who is to take packets out of the tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decapsulation {
    /// The kernel, where it has the devices and balancers are named by single addresses; else we.
    #[default]
    Auto,
    /// The kernel's tunnel devices.
    Kernel,
    /// Our XDP program.
    Xdp,
}

/// What is to be up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Virtual addresses.
    pub vips: Vec<IpAddr>,
    /// They come by tunnel, too.
    pub tunnel: bool,
    /// Outer sources that are taken, for all tunnelled addresses; empty: those of before.
    pub sources: Vec<IpNet>,
    /// Who unwraps.
    pub decapsulation: Decapsulation,
    /// Where balancers' packets arrive; empty: every Ethernet interface with an address.
    pub interfaces: Vec<IfName>,
}

/// What was changed, a line each, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The lines; none where everything was as it should be.
    pub changes: Vec<String>,
    /// What could not be done as wished and does not keep it from working.
    pub remarks: Vec<String>,
}

/// The kernel's devices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TunnelRefused {
    /// It is not known whom to trust.
    #[error(
        "a tunnel's end takes packets that claim to be from anybody: say which balancers may send, \
         `--from ADDRESS` or `--from PREFIX`"
    )]
    NoSources,
    /// Everybody.
    #[error("`--from {0}` is everybody; name the balancers or their network")]
    Everybody(IpNet),
    /// A device has one peer.
    #[error(
        "the kernel's tunnel devices take one address each: give `--from` addresses, or use `--decapsulation xdp`"
    )]
    NoPrefixes,
    /// Nothing would come through.
    #[error(
        "net.ipv4.conf.all.rp_filter is {0}, so the kernel refuses what comes out of its tunnel devices: \
         set it to 0 (and what needs it to {0} by interface), or use `--decapsulation xdp`"
    )]
    ReversePath(i64),
    /// Something else is up already.
    #[error("tunnels end {0} on this host already; `ballast realserver down` first")]
    Other(&'static str),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] TunnelError),
}
