//! Commands that ask the running agent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{args::Args, exit::Refused, print, print_json};
use crate::{
    config,
    control::{
        self, client,
        proto::{Changed, Explanation, Reloaded, Reply, Request, Verdict},
    },
    observe::text,
};

/// Where the running agent listens.
pub(super) fn socket(args: &Args) -> PathBuf {
    let given = args.socket.clone();
    given.unwrap_or_else(|| default_socket(&args.config))
}

/// Asks, and prints the answer.
pub(super) fn command(args: &Args) -> anyhow::Result<()> {
    let request = args
        .command
        .request()
        .context("this command asks no agent")?;
    match client::ask(&socket(args), &request)? {
        // A reload is refused for what is in the file: lines that name their place.
        Reply::Refused { errors } if request == Request::Reload => Err(Refused(errors).into()),
        Reply::Refused { errors } => Err(anyhow::anyhow!(errors.join("; "))),
        Reply::Status(snapshot) if args.json => print(&snapshot.json()?),
        Reply::Status(snapshot) => print(&text::screen(&snapshot)),
        Reply::Reloaded(reloaded) if args.json => print_json(&reloaded),
        Reply::Reloaded(Reloaded {
            added,
            removed,
            changed,
            unchanged,
        }) => print(&format!(
            "reloaded: {added} services added, {removed} removed, {changed} changed, {unchanged} unchanged\n"
        )),
        Reply::Changed(changed) if args.json => print_json(&changed),
        Reply::Changed(changed) => print(&changed_text(&changed)),
        Reply::Explained(explanation) if args.json => print_json(&explanation),
        Reply::Explained(explanation) => print(&explained(&explanation)),
    }
}

fn changed_text(changed: &Changed) -> String {
    let Changed {
        service,
        backend,
        mode,
        weight,
        ..
    } = changed;
    let already = if changed.changed { "" } else { " already" };
    let warning = changed.warning.as_ref();
    let warning = warning.map_or_else(String::new, |text| format!("warning: {text}\n"));
    format!("`{backend}` of `{service}` is{already} {mode}, weight {weight}\n{warning}")
}

fn explained(explanation: &Explanation) -> String {
    let Explanation {
        source,
        destination,
        service,
        backend,
        reason,
        ..
    } = explanation;
    let unnamed = || "?".to_owned();
    let service = service.clone().unwrap_or_else(unnamed);
    let backend = backend.clone().unwrap_or_else(unnamed);
    let outcome = match (explanation.verdict, explanation.backend_address) {
        (Verdict::Pass, _) => "passed to the host".to_owned(),
        (Verdict::Drop, _) => format!("service `{service}`, dropped"),
        (_, Some(address)) => format!("service `{service}`, backend `{backend}` ({address})"),
        (_, None) => format!("service `{service}`, backend `{backend}`"),
    };
    let notes = explanation.notes.iter();
    let notes: String = notes.map(|note| format!("  {note}\n")).collect();
    format!("{source} -> {destination}: {outcome}\n  {reason}\n{notes}")
}

/// Where the agent with this configuration listens. Also from a file with mistakes: `reload` is to
/// reach the agent that tells of them.
fn default_socket(config: &Path) -> PathBuf {
    runtime_dir_of(config).join(control::SOCKET)
}

/// Where the agent with this configuration keeps its files.
pub(super) fn runtime_dir_of(config: &Path) -> PathBuf {
    let runtime_dir = match config::load_and_validate(config) {
        Ok(loaded) => Some(loaded.config.runtime_dir),
        Err(_) => std::fs::read_to_string(config)
            .ok()
            .and_then(|text| runtime_dir(&text)),
    };
    runtime_dir.unwrap_or_else(|| PathBuf::from("/run/ballast"))
}

/// The value of `runtime_dir` where it stands on a line of its own.
pub(super) fn runtime_dir(text: &str) -> Option<PathBuf> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("runtime_dir:"))?;
    let value = line.split(" #").next()?.trim().trim_matches(['"', '\'']);
    value.starts_with('/').then(|| PathBuf::from(value))
}
