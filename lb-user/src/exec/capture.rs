//! What a program writes.

use std::{io::PipeWriter, os::fd::OwnedFd, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    time::{Instant, sleep_until},
};

/// Bytes of output that are kept; the rest is read and thrown away.
pub const OUTPUT: usize = 4096;

/// The reading end of a program's output.
#[derive(Debug)]
pub(super) struct Capture {
    /// `None` when everybody has closed the other end.
    pipe: Option<Receiver>,
    kept: Vec<u8>,
    total: usize,
    /// One that writes without end is not to cost us a processor.
    not_before: Instant,
}

/// A pipe to capture; the second end is the program's.
///
/// # Errors
/// No descriptor is free.
pub(super) fn pipe() -> std::io::Result<(Receiver, PipeWriter)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((Receiver::from_owned_fd(OwnedFd::from(reader))?, writer))
}

impl Capture {
    pub(super) fn new(pipe: Receiver) -> Self {
        Self {
            pipe: Some(pipe),
            kept: Vec::new(),
            total: 0,
            not_before: Instant::now(),
        }
    }

    /// Takes what comes next; never ends after the end. Cancel safe.
    pub(super) async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return std::future::pending().await;
        };
        sleep_until(self.not_before).await;
        let mut buffer = vec![0; CHUNK];
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(length) => self.take(&buffer[..length]),
        }
    }

    /// Takes what is there without waiting: a pipe's worth, for somebody may write for ever. Nothing is read afterwards.
    pub(super) fn take_rest(&mut self) {
        let Some(pipe) = self.pipe.take() else {
            return;
        };
        // Not by the runtime, which need not know yet that there is something.
        let mut buffer = vec![0; PIPE];
        let mut left = PIPE;
        while let Ok(length @ 1..) = nix::unistd::read(&pipe, &mut buffer) {
            self.take(&buffer[..length]);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    }

    /// One printable line.
    pub(super) fn text(&self) -> String {
        printable(&self.kept)
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = OUTPUT - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.total = self.total.saturating_add(bytes.len());
        if self.total > FULL_SPEED {
            self.not_before = Instant::now() + PAUSE;
        }
    }
}

/// One line of printable characters: what is not becomes a space, and spaces are joined.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let visible: String = text
        .chars()
        .map(|c| if is_hidden(c) { ' ' } else { c })
        .collect();
    let mut line = String::with_capacity(visible.len());
    for word in visible.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    // Replacement characters are longer than what they replace.
    line.truncate(line.floor_char_boundary(OUTPUT));
    line
}

/// Control characters, and what moves or hides text: zero widths, directions, the byte order mark.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Bytes read at once.
const CHUNK: usize = 8192;
/// What a pipe holds.
const PIPE: usize = 65_536;
/// Bytes read without a pause: more than any sensible program writes.
const FULL_SPEED: usize = 1 << 20;
/// The pause after each chunk beyond.
const PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
