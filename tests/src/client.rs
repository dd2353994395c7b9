//! HTTP requests from inside a host: single ones, and a steady load whose every request is accounted for.

mod load;

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use crate::netns::Host;

pub use load::{Load, Outcome, Pace, Report};

/// A request to make: `Get::new(vip).path("/big").from(source)`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Get {
    target: SocketAddr,
    path: String,
    source: Option<SocketAddr>,
    limit: Duration,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The server's name, from its `X-Server` header.
    pub server: String,
    /// The body.
    pub body: Vec<u8>,
    /// The client's address and port of the connection.
    pub source: SocketAddr,
}

impl Get {
    /// `GET /` at `target`, a new connection, at most 3 s.
    pub fn new(target: impl Into<SocketAddr>) -> Self {
        let limit = Duration::from_secs(3);
        Self {
            target: target.into(),
            path: "/".to_owned(),
            source: None,
            limit,
        }
    }

    /// Another path.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The client's address and port; port 0: any.
    pub fn from(mut self, source: impl Into<SocketAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How long connecting, sending and receiving may take, together.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Makes the request from `host`.
    ///
    /// # Errors
    /// When there is no complete answer within the limit.
    pub fn send(&self, host: &Host) -> Result<Reply> {
        host.run(|| self.send_here())
    }

    /// Makes the request from the calling thread's network.
    ///
    /// # Errors
    /// When there is no complete answer within the limit.
    pub fn send_here(&self) -> Result<Reply> {
        let mut connection = Connection::open(self)?;
        connection.request()?;
        connection.finish()
    }
}

/// A connection of which the test holds the pace: a request sent, its answer not yet read.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    get: Get,
    deadline: Instant,
    /// Whether a part of the request was sent.
    begun: bool,
}

impl Connection {
    /// Connects, from the calling thread's network.
    ///
    /// # Errors
    /// When the connection is not made within the limit.
    pub fn open(get: &Get) -> Result<Self> {
        let deadline = Instant::now() + get.limit;
        let socket = Socket::new(Domain::for_address(get.target), Type::STREAM, None)?;
        if let Some(source) = get.source {
            socket.set_reuse_address(true)?;
            socket
                .bind(&source.into())
                .with_context(|| format!("cannot send from {source}"))?;
        }
        socket
            .connect_timeout(&get.target.into(), get.limit)
            .with_context(|| format!("cannot connect to {}", get.target))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            get: get.clone(),
            deadline,
            begun: false,
        })
    }

    /// The client's address and port.
    ///
    /// # Errors
    /// That of the socket.
    pub fn source(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Sends the request, or the rest of it.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn request(&mut self) -> Result<()> {
        self.send_header("Connection: close\r\n")?;
        self.write("\r\n")
    }

    /// Sends the request's next header, the first one after its line.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_header(&mut self, header: &str) -> Result<()> {
        if self.begun {
            return self.write(header);
        }
        self.begun = true;
        let Get { path, target, .. } = &self.get;
        let text = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n{header}");
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.stream
            .write_all(text.as_bytes())
            .context("cannot send the request")
    }

    /// Reads to the end of the answer.
    ///
    /// # Errors
    /// When the connection breaks, the limit passes, or the answer is no HTTP.
    pub fn finish(mut self) -> Result<Reply> {
        let source = self.source()?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "no complete answer within {:?}",
                self.get.limit
            );
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut buffer).context("no answer")? {
                0 => break,
                n => bytes.extend(&buffer[..n]),
            }
        }
        parse(&bytes, source)
    }
}

/// With `Connection: close` and a length: the body must have that length, or the server died.
fn parse(bytes: &[u8], source: SocketAddr) -> Result<Reply> {
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .context("no end of the headers")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let body = bytes[end + 4..].to_vec();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    if let Some(length) = header("content-length") {
        ensure!(
            body.len() == length.parse::<usize>()?,
            "the body is cut: {} of {length}",
            body.len()
        );
    }
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no status")?;
    let server = header("x-server").unwrap_or_default();
    Ok(Reply {
        status,
        server,
        body,
        source,
    })
}

/// Runs `curl` on a host: at most 5 s, quiet, fails on HTTP errors. Gives the body.
///
/// # Errors
/// With curl's message.
pub fn curl(host: &Host, url: &str) -> Result<String> {
    host.exec([
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "5",
        "--noproxy",
        "*",
        url,
    ])
}

/// `http://ADDRESS:PORT/`, with the brackets of IPv6.
#[must_use]
pub fn url(target: impl Into<SocketAddr> + fmt::Debug) -> String {
    format!("http://{}/", target.into())
}
