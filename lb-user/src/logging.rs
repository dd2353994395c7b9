//! Logs: to the journal where systemd connected us to it, else to stderr.
//!
//! `RUST_LOG` filters (default `info`). Records of the `log` crate (packets of `--trace-packets`
//! come that way) are taken along.
//!
//! Whoever logs waits for nobody: lines go through a [`queue`] to a thread that writes them. A terminal
//! that was stopped or a journal that hangs costs lines, which are counted, and no advert.

mod journal;
mod queue;

use std::{
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::LevelFilter,
    fmt::{format::Writer, time::FormatTime as _},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub use self::queue::Guard;
use self::queue::Queue;

#[cfg(test)]
mod tests;

/// How lines on stderr look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Starts logging; `None` for the journal where there is one. The last lines are written when the guard
/// is dropped.
///
/// # Errors
/// There is no thread to be had.
pub fn start(format: Option<Format>) -> io::Result<Guard> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    // It has a line for each answer that came too late, thousands of them.
    let filter = match QUIET.parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    };
    let (sink, guard) = match (format, format.is_none().then(journal).flatten()) {
        (None, Some(socket)) => {
            let (queue, guard) = queue::start(
                move |entry| journal::send(&socket, entry),
                journal::lines_lost,
            )?;
            (entries(queue), guard)
        }
        (None | Some(Format::Text), _) => {
            let (queue, guard) = queue::start(to_stderr, lines_lost)?;
            (text(queue), guard)
        }
        (Some(Format::Json), _) => {
            let (queue, guard) = queue::start(to_stderr, lines_lost_json)?;
            (json(queue), guard)
        }
    };
    tracing_subscriber::registry()
        .with(sink.with_filter(filter))
        .init();
    std::panic::set_hook(Box::new(panicked));
    Ok(guard)
}

/// The usual hook writes to stderr, which may block: a thread that panics is to end, so that what it
/// held is given up.
fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        tracing::error!(%panic, %backtrace, "a thread panicked");
    } else {
        tracing::error!(%panic, "a thread panicked");
    }
}

fn to_stderr(line: &[u8]) -> io::Result<()> {
    io::stderr().write_all(line)
}

fn entries(queue: Queue) -> Box<dyn Layer<Registry> + Send + Sync> {
    journal::Journal::new(queue).boxed()
}

fn text(queue: Queue) -> Box<dyn Layer<Registry> + Send + Sync> {
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_target(false)
        // It would write to stderr itself.
        .log_internal_errors(false)
        .with_writer(move || queue.clone())
        .boxed()
}

fn json(queue: Queue) -> Box<dyn Layer<Registry> + Send + Sync> {
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .log_internal_errors(false)
        .with_writer(move || queue.clone())
        .boxed()
}

/// What a library has to say only where it fails.
const QUIET: &str = "netlink_proto=error";

/// What stands where lines are missing.
fn lines_lost(lines: u64) -> Vec<u8> {
    format!("{}  WARN {LOST} lines={lines}\n", now()).into_bytes()
}

fn lines_lost_json(lines: u64) -> Vec<u8> {
    let line = serde_json::json!({
        "timestamp": now(),
        "level": "WARN",
        "message": LOST,
        "lines": lines,
        "target": module_path!(),
    });
    format!("{line}\n").into_bytes()
}

/// As other lines have it.
fn now() -> String {
    let mut text = String::new();
    let written =
        tracing_subscriber::fmt::time::SystemTime.format_time(&mut Writer::new(&mut text));
    // Writing to a string does not fail.
    debug_assert!(written.is_ok());
    text
}

/// The journal, if stderr is connected to it. The variable alone proves nothing: it is inherited
/// (systemd.exec(5), `JOURNAL_STREAM`).
fn journal() -> Option<std::os::unix::net::UnixDatagram> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = std::fs::metadata("/proc/self/fd/2").ok()?;
    if stream != format!("{}:{}", stderr.dev(), stderr.ino()) {
        return None;
    }
    journal::open().ok()
}

const LOST: &str = "log lines are missing here: nobody took them in time";
