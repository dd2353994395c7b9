//! The command line of `cargo xtask`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

/// Ballast's developer commands; each installs what it needs first, and says so.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Flags {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One developer command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install what building, the demo and the tests need: rust-src, bpf-linker, Debian packages
    Setup,
    /// Build the eBPF objects as the agent embeds them; print path, size and instructions
    BuildEbpf {
        /// Copy the objects here
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run the tests; ends with the line `N passed, N failed, N skipped`
    Test {
        /// `unit`, `vm` (under an emulated kernel), a test binary of `tests/` such as `dataplane` or `scenarios`, or `all`
        #[arg(default_value = "all")]
        tier: String,
        /// Emulate Linux 6.12 and 7.2, too, and not only 6.1
        #[arg(long)]
        all_kernels: bool,
    },
    /// Show Ballast at work: real requests, real web servers, a failure, the counters
    Demo {
        /// Leave the lab up afterwards and print commands to play with
        #[arg(long)]
        keep: bool,
        /// Print one JSON document last on stdout
        #[arg(long)]
        json: bool,
    },
    /// Pass arguments to the lab: hosts in namespaces to try Ballast in
    #[command(disable_help_flag = true)]
    Lab {
        /// Arguments of `lab`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Feed the parsers of untrusted input with what libFuzzer makes up
    Fuzz {
        /// One of the targets in `tests/fuzz`; without it, all
        target: Option<String>,
        /// For how long to run each
        #[arg(long, value_name = "N", default_value_t = 5)]
        seconds: u32,
    },
    /// Run a command under another kernel, emulated: the host's files (changes are lost), its own network
    Vm {
        /// 6.1, 6.12 or 7.2: Debian's packages, downloaded the first time
        #[arg(long, default_value = "6.1")]
        kernel: String,
        /// Seconds until the machine is switched off
        #[arg(long, value_name = "N", default_value_t = 1200)]
        timeout: u64,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Measure the data plane against floor programs, or with `--failover` first what a client sees of
    /// a failover, next to keepalived, or with `--backend-death` how soon a dead backend gets no new
    /// connections (`--json`: one document on stdout)
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments of `bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}
