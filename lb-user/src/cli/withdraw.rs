//! `ballast withdraw`.

use std::os::unix::net::UnixStream;

use anyhow::Context as _;

use super::{
    args::{Args, Withdraw},
    print, print_json, remote,
};
use crate::agent;

/// Removes what an agent left behind, unless one runs.
pub(super) fn withdraw(args: &Args, options: &Withdraw) -> anyhow::Result<()> {
    let socket = remote::socket(args);
    if UnixStream::connect(&socket).is_ok() {
        anyhow::bail!(
            "ballast is running (it listens on `{}`); stop it instead",
            socket.display()
        );
    }
    let runtime_dir = remote::runtime_dir_of(&args.config);
    if options.unless_restarting {
        let result = std::env::var("SERVICE_RESULT").ok();
        if agent::is_expected_back(&runtime_dir, result.as_deref()) {
            return print("nothing removed: the agent was killed and comes back\n");
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let withdrawn = runtime.block_on(agent::withdraw(&runtime_dir))?;
    if args.json {
        return print_json(&withdrawn);
    }
    print(&format!(
        "{} virtual addresses and {} routes removed\n",
        withdrawn.addresses, withdrawn.routes
    ))
}
