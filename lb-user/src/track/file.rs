//! The number in a file.
//!
//! The file's directory is watched, so that a file that comes, goes, is written or replaced is noticed at once; once a second the file
//! is read anyway, for symbolic links, network file systems and directories that do not exist yet. A writer empties a file before it
//! writes: what is no number is believed when it has not changed for a moment.

mod watcher;

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::errno::Errno;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::watcher::Watcher;
use super::{Report, TrackerState, publish};

/// Watches the number in a file: an integer, with white space around it or not. Anything else is [`TrackerState::Missing`].
pub async fn file(path: PathBuf, out: watch::Sender<Report>, cancel: CancellationToken) {
    tokio::select! {
        () = cancel.cancelled() => {}
        () = follow(&path, &out, POLL) => {}
    }
}

async fn follow(path: &Path, out: &watch::Sender<Report>, poll: Duration) {
    let mut watcher = Watcher::new(path);
    let mut troubled = false;
    loop {
        // Before the file is read, so that no change is missed; again each time, for the directory may be another.
        watcher.arm();
        match settled(path).await {
            Ok(Content::Number(number)) => {
                publish(out, TrackerState::Number(number), number.to_string());
            }
            Ok(Content::Missing(why)) => publish(out, TrackerState::Missing, why),
            Err(error) if !troubled => {
                tracing::warn!(file = %path.display(), %error, "file cannot be read, its number stays");
                troubled = true;
            }
            Err(_) => {}
        }
        if timeout(poll, watcher.changed()).await.is_ok() {
            // One that is written without pause is not to cost us a processor.
            sleep(COALESCE).await;
        }
    }
}

/// What a file says, read again until it is a number or did not change for a while.
async fn settled(path: &Path) -> io::Result<Content> {
    let mut last = read(path).await?;
    for _ in 0..LOOKS {
        if matches!(last.0, Content::Number(_)) {
            break;
        }
        sleep(SETTLE).await;
        let next = read(path).await?;
        if std::mem::replace(&mut last, next) == last {
            break;
        }
    }
    Ok(last.0)
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Number(i64),
    /// And why.
    Missing(String),
}

/// What tells a file from the same file later: its inode and when it was written.
type Stamp = (u64, i64, i64);

/// Errors are those that say nothing of the file: no descriptor, no memory.
async fn read(path: &Path) -> io::Result<(Content, Stamp)> {
    let path = path.to_owned();
    let text = spawn_blocking(move || read_blocking(&path)).await;
    match text.map_err(io::Error::other)? {
        Ok((text, stamp)) => Ok((parse(&text), stamp)),
        Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => Err(error),
            errno => Ok((Content::Missing(errno.desc().to_owned()), Stamp::default())),
        },
    }
}

fn read_blocking(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // Without O_NONBLOCK, a pipe would make us wait for its writer.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut open = OpenOptions::new();
    let file = open.read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    let mut text = Vec::new();
    if meta.is_file() {
        file.take(LONGEST + 1).read_to_end(&mut text)?;
    }
    Ok((text, (meta.ino(), meta.mtime(), meta.mtime_nsec())))
}

fn parse(text: &[u8]) -> Content {
    let number = str::from_utf8(text.trim_ascii()).ok();
    match number.and_then(|text| text.parse().ok()) {
        Some(number) if text.len() as u64 <= LONGEST => Content::Number(number),
        _ if text.trim_ascii().is_empty() => Content::Missing("empty".to_owned()),
        _ => Content::Missing("not a number".to_owned()),
    }
}

/// Bytes of the longest content: a number and a comfortable amount of white space.
const LONGEST: u64 = 64;
/// How often the file is read without a reason.
const POLL: Duration = Duration::from_secs(1);
/// How long what is no number must stay as it is.
const SETTLE: Duration = Duration::from_millis(100);
/// How often it may change meanwhile: a second's worth.
const LOOKS: usize = 10;
/// Between a change and the look at it.
const COALESCE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
