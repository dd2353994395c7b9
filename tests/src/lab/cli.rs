//! The command line of the `lab` binary.

use anyhow::Result;
use clap::{Parser, Subcommand};

use super::{backend_death, demo, failover};
use crate::netns::init;

#[derive(Parser)]
#[command(name = "lab", about = "The lab of Ballast's demo and tests")]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show Ballast at work: real requests, real web servers, a failure, the counters
    Demo(demo::Flags),
    /// Measure what a client sees of a failover, Ballast next to keepalived
    Failover(failover::Flags),
    /// Measure how long a web server that dies gets new connections, and how soon one that returns does
    BackendDeath(backend_death::Flags),
    /// Hold a host's namespaces until stdin ends (started by the harness)
    #[command(hide = true)]
    Init {
        /// The host's name
        name: String,
    },
    /// Be pid 1 of a host (started by `init`)
    #[command(hide = true)]
    Pid1 {
        /// The host's name
        name: String,
    },
}

/// Parses the command line and does what it says.
///
/// # Errors
/// Those of the command.
pub fn main() -> Result<()> {
    match Flags::parse().command {
        Command::Demo(flags) => demo::run(flags),
        Command::Failover(flags) => failover::run(&flags),
        Command::BackendDeath(flags) => backend_death::run(&flags),
        Command::Init { name } => init::helper(&name),
        Command::Pid1 { name } => init::pid1(&name),
    }
}
