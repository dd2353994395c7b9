//! A mail server that keeps what it gets.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, poll};

use crate::netns::Host;

/// It takes every mail. Dropping it stops it within a moment.
#[derive(Debug)]
pub struct MailServer {
    stop: Arc<AtomicBool>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    /// Starts it at an address of `host`.
    ///
    /// # Errors
    /// When address and port cannot be had.
    pub fn start(host: &Host, place: SocketAddr) -> Result<Self> {
        let listener = host.run(|| Ok(TcpListener::bind(place)?))?;
        let this = Self {
            stop: Arc::default(),
            mails: Arc::default(),
        };
        let (stop, mails) = (Arc::clone(&this.stop), Arc::clone(&this.mails));
        // The socket belongs to the host's network wherever it is used.
        std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                if poll(&mut ready, STOP_INTERVAL).is_ok_and(|ready| ready > 0)
                    && let Ok((stream, _)) = listener.accept()
                {
                    // A client that goes away shows in what has not arrived.
                    converse(stream, &mails).ok();
                }
            }
        });
        Ok(this)
    }

    /// Everything that has arrived, headers and bodies, lines joined as they were before they were encoded.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.mails).concat().replace("=\n", "")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// As much of RFC 5321 as a client needs.
fn converse(stream: TcpStream, mails: &Mutex<Vec<String>>) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    writer.write_all(b"220 lab ESMTP\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        if word == "QUIT" {
            writer.write_all(b"221 bye\r\n")?;
            break;
        }
        if word == "DATA" {
            writer.write_all(b"354 go on\r\n")?;
            let mut mail = String::new();
            while let Some(line) = lines.next().transpose()? {
                if line == "." {
                    break;
                }
                mail += &line;
                mail.push('\n');
            }
            lock(mails).push(mail);
        }
        writer.write_all(b"250 fine\r\n")?;
    }
    Ok(())
}

fn lock(mails: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    mails.lock().unwrap_or_else(PoisonError::into_inner)
}

const STOP_INTERVAL: u8 = 50;
/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(5);
