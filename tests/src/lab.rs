//! What the `lab` binary does.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::netns::init;

#[derive(Parser)]
#[command(name = "lab", about = "The lab of Ballast's demo and tests")]
struct Flags {
    #[command(subcommand)]
    command: Lab,
}

#[derive(Subcommand)]
enum Lab {
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
        Lab::Init { name } => init::helper(&name),
        Lab::Pid1 { name } => init::pid1(&name),
    }
}
