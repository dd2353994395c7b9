//! Between those who log and the one thread that writes: bounded, and never waited for.
//!
//! A line that finds the queue full is lost; the next one that does not says how many were. Own code,
//! since tracing-appender's queue waits for stderr in its drop when nobody reads it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

/// The end of those who log.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Line {
    /// Lines that should have come before this one.
    lost_before: u64,
    /// Nothing, to wake the thread.
    bytes: Vec<u8>,
}

/// Writes what is left when it is dropped, for [`LAST_LINES`] at most.
#[derive(Debug)]
#[must_use]
pub struct Guard {
    queue: Queue,
    ending: Arc<AtomicBool>,
    ended: Receiver<()>,
}

/// Starts the thread that gives lines to `sink`, one a call; `say_lost` makes the line that says how many
/// are missing.
pub(super) fn start(
    sink: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    say_lost: fn(u64) -> Vec<u8>,
) -> io::Result<(Queue, Guard)> {
    let (lines, waiting) = sync_channel(LINES);
    let (ended_out, ended) = sync_channel(1);
    let lost = Arc::new(AtomicU64::new(0));
    let ending = Arc::new(AtomicBool::new(false));
    let mut writer = Writer {
        waiting,
        ending: Arc::clone(&ending),
        lost: Arc::clone(&lost),
        sink,
        say_lost,
    };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            writer.run();
            // Nobody may be waiting.
            ended_out.try_send(()).ok();
        })?;
    let queue = Queue { lines, lost };
    let guard = Guard {
        queue: queue.clone(),
        ending,
        ended,
    };
    Ok((queue, guard))
}

impl Queue {
    /// Takes a line, or counts it as lost.
    pub(super) fn put(&self, bytes: Vec<u8>) {
        let line = Line {
            lost_before: self.lost.swap(0, Ordering::Relaxed),
            bytes,
        };
        if let Err(TrySendError::Full(line) | TrySendError::Disconnected(line)) =
            self.lines.try_send(line)
        {
            self.lost.fetch_add(line.lost_before + 1, Ordering::Relaxed);
        }
    }
}

/// One line a call: `tracing-subscriber` writes each event as a whole.
impl io::Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer<S> {
    waiting: Receiver<Line>,
    ending: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    sink: S,
    say_lost: fn(u64) -> Vec<u8>,
}

impl<S: FnMut(&[u8]) -> io::Result<()>> Writer<S> {
    fn run(&mut self) {
        while let Some(line) = self.next() {
            self.say_lost(line.lost_before);
            if !line.bytes.is_empty() && (self.sink)(&line.bytes).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.say_lost(self.lost.swap(0, Ordering::Relaxed));
    }

    /// Waits for the next line; at the end only those are left that are there.
    fn next(&self) -> Option<Line> {
        if self.ending.load(Ordering::Acquire) {
            self.waiting.try_recv().ok()
        } else {
            self.waiting.recv().ok()
        }
    }

    fn say_lost(&mut self, lines: u64) {
        if lines > 0 && (self.sink)(&(self.say_lost)(lines)).is_err() {
            self.lost.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Only a thread that waits for lines needs waking, and then the queue is not full.
        self.queue.lines.try_send(Line::default()).ok();
        // Should nobody take them, the end does not wait for it.
        self.ended.recv_timeout(LAST_LINES).ok();
    }
}

/// Lines that may wait.
pub(super) const LINES: usize = 4096;
/// How long the last lines may take.
pub(super) const LAST_LINES: Duration = Duration::from_secs(1);
