//! Entries of the journal, in its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one
//! datagram each.
//!
//! Not `tracing-journald`: it sends from the thread that logs, and waits there while the journal's queue
//! is full. Fields have the names that it gives them.

use std::{
    fmt::{self, Write as _},
    io,
    os::unix::net::UnixDatagram,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{LOST, queue::Queue};

/// Makes an entry of each event.
pub(super) struct Journal(Queue);

impl Journal {
    pub(super) fn new(queue: Queue) -> Self {
        Self(queue)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = Entry::new(*metadata.level(), metadata.target());
        if let Some(file) = metadata.file() {
            entry.put("CODE_FILE", file);
        }
        if let Some(line) = metadata.line() {
            entry.put("CODE_LINE", &line.to_string());
        }
        event.record(&mut entry);
        self.0.put(entry.0);
    }
}

/// A socket to the journal, if one listens.
pub(super) fn open() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // The journal takes no notice of an empty entry.
    socket.send_to(&[], SOCKET)?;
    Ok(socket)
}

/// Sends an entry. Not through a connection: the journal may be restarted.
pub(super) fn send(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    socket.send_to(entry, SOCKET).map(drop)
}

/// What stands where entries are missing.
pub(super) fn lines_lost(lines: u64) -> Vec<u8> {
    let mut entry = Entry::new(Level::WARN, module_path!());
    entry.put("MESSAGE", LOST);
    entry.put("LINES", &lines.to_string());
    entry.0
}

struct Entry(Vec<u8>);

impl Entry {
    fn new(level: Level, target: &str) -> Self {
        let mut entry = Self(Vec::with_capacity(512));
        // Those of syslog(3); the journal shows `info` only to those who ask for it.
        entry.put(
            "PRIORITY",
            match level {
                Level::ERROR => "3",
                Level::WARN => "4",
                Level::INFO => "5",
                Level::DEBUG => "6",
                Level::TRACE => "7",
            },
        );
        entry.put("TARGET", target);
        entry.put("SYSLOG_IDENTIFIER", "ballast");
        entry
    }

    /// Name, length and value: a value may have lines.
    fn put(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(VALUE)];
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0
            .extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(&name(field.name()), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A value that cannot be written is one that is not there.
        if write!(text, "{value:?}").is_ok() {
            self.put(&name(field.name()), &text);
        }
    }
}

/// The journal drops fields with names other than of A–Z, 0–9 and `_`, or that begin with `_`.
fn name(field: &str) -> String {
    field
        .chars()
        .map(|c| if c == '.' { '_' } else { c })
        .skip_while(|c| *c == '_')
        .filter(|c| *c == '_' || c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

const SOCKET: &str = "/run/systemd/journal/socket";
/// Bytes of a value: a datagram holds about 200 KiB, and no entry of ours has ten long values.
const VALUE: usize = 16 << 10;

#[cfg(test)]
mod tests;
