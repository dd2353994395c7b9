//! A cloud provider's API, as far as scripts that move an address need it: it tells who asks, takes
//! assignments, and remembers them.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Result;

use crate::{netns::Host, wait::pause};

/// The server; dropping it ends it. `GET /id` answers the asker's address, `POST /assign/ID` is written
/// down; of the latter the first [`Endpoint::failures`] get a 503 and are not.
#[derive(Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    failures: AtomicUsize,
    assigned: Mutex<Vec<(IpAddr, String)>>,
}

impl Endpoint {
    /// Serves on port 80 of every address of `host`.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start(host: &Host) -> Result<Self> {
        let listener = host.run(|| Ok(TcpListener::bind("0.0.0.0:80")?))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        // The socket belongs to the host's network wherever it is used.
        let thread = thread::spawn(move || server.serve(&listener));
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Lets so many of the next assignments fail.
    pub fn fail(&self, count: usize) {
        self.shared.failures.store(count, Ordering::Release);
    }

    /// How many failures are still to come.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.shared.failures.load(Ordering::Acquire)
    }

    /// The assignments so far: who asked, and for whom.
    #[must_use]
    pub fn assigned(&self) -> Vec<(IpAddr, String)> {
        let assigned = self.shared.assigned.lock();
        assigned.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the endpoint panicked");
        }
    }
}

impl Shared {
    fn serve(&self, listener: &TcpListener) {
        while !self.stop.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((stream, from)) => {
                    // A client that goes away is its own affair.
                    self.answer(stream, from.ip()).ok();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => pause(POLL),
                Err(error) => {
                    eprintln!("the endpoint: {error}");
                    return;
                }
            }
        }
    }

    fn answer(&self, stream: TcpStream, from: IpAddr) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(&stream);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = request.split(' ');
        let (status, body) = match (words.next(), words.next()) {
            (Some("GET"), Some("/id")) => ("200 OK", from.to_string()),
            (Some("POST"), Some(path)) => self.assign(from, path),
            _ => ("404 Not Found", String::new()),
        };
        let length = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )?;
        Ok(())
    }

    fn assign(&self, from: IpAddr, path: &str) -> (&'static str, String) {
        let Some(id) = path.strip_prefix("/assign/") else {
            return ("404 Not Found", String::new());
        };
        let take = |left: usize| left.checked_sub(1);
        let failed = self
            .failures
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok();
        if failed {
            return ("503 Service Unavailable", String::new());
        }
        let assigned = self.assigned.lock();
        assigned
            .unwrap_or_else(PoisonError::into_inner)
            .push((from, id.to_owned()));
        ("200 OK", String::new())
    }
}

const POLL: Duration = Duration::from_millis(5);
