//! Logs: to the journal where systemd connected us to it, else to stderr.
//!
//! `RUST_LOG` filters (default `info`). Records of the `log` crate (packets of `--trace-packets`
//! come that way) are taken along.

use std::{io, os::unix::fs::MetadataExt as _};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// How lines on stderr look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Starts logging; `None` for the journal where there is one.
pub fn start(format: Option<Format>) {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let sink = match format {
        None => journal().unwrap_or_else(text),
        Some(Format::Text) => text(),
        Some(Format::Json) => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(io::stderr)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(sink.with_filter(filter))
        .init();
}

fn text() -> Box<dyn Layer<Registry> + Send + Sync> {
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_target(false);
    layer.with_writer(io::stderr).boxed()
}

/// The journal, if stderr is connected to it. The variable alone proves nothing: it is inherited
/// (systemd.exec(5), `JOURNAL_STREAM`).
fn journal() -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = std::fs::metadata("/proc/self/fd/2").ok()?;
    if stream != format!("{}:{}", stderr.dev(), stderr.ino()) {
        return None;
    }
    Some(
        tracing_journald::layer()
            .ok()?
            .with_field_prefix(None)
            .boxed(),
    )
}
