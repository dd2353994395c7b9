//! `ballast doctor`: the host and the configuration, looked at for known traps.

use anyhow::Context as _;

use super::{args::Args, exit::Refused, print, print_json};
use crate::{config, doctor};

/// Prints what was found. A problem or a warning is a failure, a note is not.
pub(super) fn doctor(args: &Args) -> anyhow::Result<()> {
    let loaded = config::load_and_validate(&args.config)?;
    // One thread: sockets belong to the namespace of the thread that opens them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let report = runtime.block_on(doctor::examine(&loaded));
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.to_string())?;
    }
    if report.ok {
        Ok(())
    } else {
        Err(Refused(Vec::new()).into())
    }
}
