//! `ballast run`.

use anyhow::Context as _;

use super::args::{Args, Run};
use crate::{
    agent::{self, RunOptions},
    logging,
};

/// Runs the agent until it is told to stop.
pub(super) fn run(args: &Args, options: &Run) -> anyhow::Result<()> {
    // Dropped last: the last lines are those of the stop.
    let _log = logging::start(options.log_format).context("cannot start the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let Run {
        trace_packets,
        keep_datapath,
        ..
    } = *options;
    runtime.block_on(agent::run(
        args.config.clone(),
        RunOptions {
            trace_packets,
            keep_datapath,
            socket: args.socket.clone(),
        },
    ))
}
