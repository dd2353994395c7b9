//! From an error to what is printed and what the process ends with.
//!
//! 0 done · 1 invalid configuration, failed start, refused by the agent · 2 wrong usage (clap's) ·
//! 3 file unreadable · 4 not permitted · 5 agent not running.

use crate::{
    agent::NotPermitted, config::ConfigErrors, control::client::AskError, import::ReadError,
};

/// The command failed, and what is to be said is in these lines.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(super) struct Refused(pub(super) Vec<String>);

/// Prints an error: lines that name their place as they are, others with our name before them.
pub(super) fn report(error: &anyhow::Error) {
    let as_it_is =
        error.is::<Refused>() || matches!(error.downcast_ref(), Some(ConfigErrors::Invalid(_)));
    if as_it_is {
        let text = error.to_string();
        if !text.is_empty() {
            eprintln!("{text}");
        }
    } else {
        eprintln!("ballast: {error:#}");
    }
}

/// The same, for an agent, which is restarted when it has ended: a stderr that nobody reads does not
/// keep it.
pub(super) fn report_in_time(error: anyhow::Error) {
    let (done, wait) = std::sync::mpsc::sync_channel(1);
    let reporter = std::thread::Builder::new().spawn(move || {
        report(&error);
        done.try_send(()).ok();
    });
    if reporter.is_ok() {
        wait.recv_timeout(REPORT_LIMIT).ok();
    }
}

/// The process's exit code.
pub(super) fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<NotPermitted>() {
            return NOT_PERMITTED;
        }
        if let Some(config) = cause.downcast_ref::<ConfigErrors>() {
            return config.exit_code();
        }
        if cause.is::<ReadError>() {
            return UNREADABLE;
        }
        match cause.downcast_ref() {
            Some(AskError::NotRunning(_)) => return NOT_RUNNING,
            Some(AskError::NotPermitted(_)) => return NOT_PERMITTED,
            _ => {}
        }
    }
    FAILED
}

/// How long an agent's last words may take.
const REPORT_LIMIT: std::time::Duration = std::time::Duration::from_secs(1);
const FAILED: u8 = 1;
const UNREADABLE: u8 = 3;
const NOT_PERMITTED: u8 = 4;
const NOT_RUNNING: u8 = 5;
