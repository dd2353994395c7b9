//! Commands and their flags.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Parser, Subcommand};
use ipnet::IpNet;

use crate::{
    control::proto::{BackendChange, Protocol, Request},
    logging,
    types::IfName,
};

/// A layer-4 load balancer on XDP.
#[derive(Debug, Parser)]
#[command(name = "ballast", version)]
pub(super) struct Args {
    /// The configuration file.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/ballast/ballast.yaml"
    )]
    pub(super) config: PathBuf,
    /// The running agent's socket [default: ballast.sock in the configuration's runtime_dir]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the agent in the foreground
    Run(Run),
    /// Check the configuration; touch nothing
    Check(Check),
    /// Translate a keepalived.conf; the YAML goes to standard output
    Import(Import),
    /// Make the running agent read its configuration again
    Reload,
    /// Show what the running agent does
    Status,
    /// Say which backend a flow gets, and why
    Explain(Explain),
    /// Change a backend at run time
    #[command(subcommand)]
    Backend(Backend),
    /// Look at the host and the configuration for known traps, and say what to do about each
    Doctor,
    /// Make this host a real server, or look whether it is one
    #[command(subcommand)]
    Realserver(RealServer),
    /// Remove the virtual addresses and routes of an agent that cannot come back
    Withdraw(Withdraw),
}

#[derive(Debug, clap::Args)]
pub(super) struct Withdraw {
    /// Leave them to an agent that was killed while it was up, and is restarted now (for ExecStopPost=)
    #[arg(long)]
    pub(super) unless_restarting: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// Load the build of the XDP program that logs packets
    #[arg(long)]
    pub(super) trace_packets: bool,
    /// Leave XDP forwarding after the stop
    #[arg(long)]
    pub(super) keep_datapath: bool,
    /// Log to standard error like this [default: to the journal under systemd, else text]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<logging::Format>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Warnings are failures, too
    #[arg(long)]
    pub(super) strict: bool,
}

/// What a foreign file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A keepalived.conf
    Keepalived,
    /// What `ipvsadm -S -n` prints
    Ipvsadm,
}

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The file to translate
    #[arg(value_name = "FILE.conf")]
    pub(super) file: PathBuf,
    /// What the file is
    #[arg(long, value_enum, default_value_t = Format::Keepalived)]
    pub(super) from: Format,
    /// Warnings are failures, too
    #[arg(long)]
    pub(super) strict: bool,
    /// Which `@ID` lines are meant [default: this host's name up to the first dot]
    #[arg(short = 'i', long, value_name = "ID")]
    pub(super) config_id: Option<String>,
    /// Where clients' traffic arrives; may be given several times [default: the VRRP instances' interfaces]
    #[arg(long = "interface", value_name = "NAME")]
    pub(super) interfaces: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Transport protocol
    #[arg(long, value_name = "PROTO")]
    proto: Protocol,
    /// The client
    #[arg(long, value_name = "IP:PORT")]
    src: SocketAddr,
    /// The service's address
    #[arg(long, value_name = "IP:PORT")]
    dst: SocketAddr,
}

/// Which backend.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Name of its service
    service: String,
    /// Its name
    backend: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Backend {
    /// No new flows; present ones stay
    Drain(Which),
    /// Back to what the configuration says
    Enable(Which),
    /// No packets
    Disable(Which),
    /// Another weight
    Weight {
        #[command(flatten)]
        which: Which,
        /// 0 to 65535
        weight: u16,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RealServer {
    /// Put virtual addresses on lo, keep silent about them, take packets out of the tunnel
    Up {
        /// Virtual addresses
        #[arg(long = "vip", value_name = "IP", required = true, num_args = 1..)]
        vips: Vec<IpAddr>,
        #[command(flatten)]
        tunnel: TunnelEnd,
    },
    /// Undo what `up` did
    Down {
        /// Virtual addresses [default: all that are up]
        #[arg(long = "vip", value_name = "IP", num_args = 1..)]
        vips: Vec<IpAddr>,
        /// Taken for symmetry with `up`; addresses know whether they come by tunnel
        #[arg(long)]
        tunnel: bool,
    },
    /// Tell what is missing; touch nothing
    Check {
        /// Virtual addresses [default: all that are up]
        #[arg(long = "vip", value_name = "IP", num_args = 1..)]
        vips: Vec<IpAddr>,
        #[command(flatten)]
        tunnel: TunnelEnd,
    },
}

/// The real server's end of the tunnel.
#[derive(Debug, clap::Args)]
pub(super) struct TunnelEnd {
    /// Packets come by tunnel (IP-in-IP), too
    #[arg(long)]
    pub(super) tunnel: bool,
    /// Balancers, by the outer source of their packets: addresses or prefixes, for all addresses that
    /// come by tunnel [default: those of the last time]
    #[arg(long = "from", value_name = "PREFIX", num_args = 1.., value_parser = net, requires = "tunnel")]
    pub(super) sources: Vec<IpNet>,
    /// Who unwraps
    #[arg(long, value_enum, default_value_t = Decapsulation::Auto, requires = "tunnel")]
    pub(super) decapsulation: Decapsulation,
    /// Where balancers' packets arrive [default: every Ethernet interface with an address]
    #[arg(long = "interface", value_name = "NAME", num_args = 1..)]
    pub(super) interfaces: Vec<IfName>,
}

/// Who takes packets out of the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Decapsulation {
    /// The kernel where it can and balancers are named by addresses, else our program
    Auto,
    /// The kernel's ipip, sit and ip6tnl devices
    Kernel,
    /// Our XDP program
    Xdp,
}

/// An address or a prefix.
fn net(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from).ok();
    address
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "neither an address nor a prefix".to_owned())
}

impl Command {
    /// What to ask the running agent; `None` for commands that ask nobody.
    pub(super) fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Run(_)
            | Self::Check(_)
            | Self::Import(_)
            | Self::Doctor
            | Self::Realserver(_)
            | Self::Withdraw(_) => return None,
            Self::Reload => Request::Reload,
            Self::Status => Request::Status,
            Self::Explain(Explain { proto, src, dst }) => Request::Explain {
                protocol: *proto,
                source: *src,
                destination: *dst,
            },
            Self::Backend(backend) => {
                let (which, change) = match backend {
                    Backend::Drain(which) => (which, BackendChange::Drain),
                    Backend::Enable(which) => (which, BackendChange::Enable),
                    Backend::Disable(which) => (which, BackendChange::Disable),
                    Backend::Weight { which, weight } => (which, BackendChange::Weight(*weight)),
                };
                let Which { service, backend } = which;
                Request::Backend {
                    service: service.clone(),
                    backend: backend.clone(),
                    change,
                }
            }
        })
    }
}
