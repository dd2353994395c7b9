//! An HTTP or HTTPS check: every page answers as expected.
//!
//! HTTP/1.1, one connection a page, no redirects followed. The whole answer is read, as keepalived does: a server that breaks off in
//! the middle is not well. [`ANSWER`] bytes are read at most and [`BODY`] of them kept.

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, Version,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use md5::{Digest as _, Md5};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use self::{budget::Budget, drive::drive};
use super::{
    failure::{Failure, by},
    socket,
    tls::Clients,
};
use crate::health::{
    target::{Http, Page, Target},
    text::Text,
};

mod budget;
mod drive;
#[cfg(test)]
mod tests;

/// Asks for every page, one after the other.
pub(super) async fn attempt(
    target: &Target,
    http: &Http,
    clients: &Clients,
    deadline: Instant,
) -> Result<Text, Failure> {
    let mut last = Text::new("no pages");
    for page in &http.pages {
        let stream = socket::connect(target, deadline).await?;
        last = over(stream, http, page, clients, deadline).await?;
    }
    Ok(match http.pages.len() {
        0 | 1 => last,
        pages => Text::new(format_args!("{pages} pages")),
    })
}

/// Asks for one page over a connection.
async fn over<IO>(
    io: IO,
    http: &Http,
    page: &Page,
    clients: &Clients,
    deadline: Instant,
) -> Result<Text, Failure>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin,
{
    // Under TLS, so that an endless handshake counts, too.
    let io = Budget::new(io, ANSWER);
    let result = match &http.tls {
        None => ask(io, http, page, deadline).await,
        Some(tls) => {
            let io = clients.connect(tls, io, deadline).await?;
            ask(io, http, page, deadline).await
        }
    };
    result.map_err(|failure| match failure {
        Failure::Theirs(text) if http.pages.len() > 1 => {
            Failure::theirs(format_args!("{}: {text}", page.path))
        }
        other => other,
    })
}

async fn ask<IO>(io: IO, http: &Http, page: &Page, deadline: Instant) -> Result<Text, Failure>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin,
{
    let request = request(&http.host, page)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| Failure::of("no HTTP", &error))?;
    let conversation = async {
        let response = by(deadline, "no answer", sender.send_request(request))
            .await?
            .map_err(|error| Failure::of("no answer", &error))?;
        judge(response, page, deadline).await
    };
    drive(connection, conversation).await
}

fn request(host: &str, page: &Page) -> Result<Request<Empty<Bytes>>, Failure> {
    Request::get(&page.path)
        .version(Version::HTTP_11)
        .header(header::HOST, host)
        .header(header::USER_AGENT, AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Failure::Ours(Text::new(format_args!("cannot be asked for: {error}"))))
}

/// What the answer is to its page.
async fn judge(
    response: Response<Incoming>,
    page: &Page,
    deadline: Instant,
) -> Result<Text, Failure> {
    let status = response.status().as_u16();
    if !page.status.contains(&status) {
        let wanted: Vec<String> = page.status.iter().map(ToString::to_string).collect();
        return Err(Failure::theirs(format_args!(
            "status {status}, expected {}",
            wanted.join(" or ")
        )));
    }
    let body = read(response.into_body(), page, deadline).await?;
    if let (Some(wanted), Some(digest)) = (page.digest, body.digest)
        && wanted != digest
    {
        return Err(Failure::theirs(format_args!(
            "status {status}, digest {}, expected {}",
            hex(&digest),
            hex(&wanted)
        )));
    }
    if let Some(pattern) = &page.body
        && !pattern.is_match(&body.start)
    {
        let start = body.start.get(..SHOWN).unwrap_or(&body.start);
        return Err(Failure::theirs(format_args!(
            "status {status}, {} does not match \"{}\"",
            pattern.as_str(),
            Text::from_bytes(start)
        )));
    }
    Ok(Text::new(format_args!("status {status}")))
}

/// What is wanted of a body.
struct Body {
    start: Vec<u8>,
    digest: Option<[u8; 16]>,
}

/// Reads the body to its end.
async fn read(mut body: Incoming, page: &Page, deadline: Instant) -> Result<Body, Failure> {
    let mut start = Vec::new();
    let room = if page.body.is_some() { BODY } else { 0 };
    let mut digest = page.digest.map(|_| Md5::new());
    while let Some(frame) = by(deadline, "the body does not end", body.frame()).await? {
        let frame = frame.map_err(|error| Failure::of("the body breaks off", &error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if let Some(digest) = &mut digest {
            digest.update(data);
        }
        let wanted = data.len().min(room - start.len());
        start.extend_from_slice(&data[..wanted]);
    }
    Ok(Body {
        start,
        digest: digest.map(|digest| digest.finalize().into()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What we say we are.
const AGENT: &str = concat!("ballast/", env!("CARGO_PKG_VERSION"), " (health check)");
/// Bytes of one answer that are read, TLS included; whoever sends more is not well.
const ANSWER: u64 = 16 << 20;
/// Bytes of a body that a regular expression sees.
const BODY: usize = 64 << 10;
/// Bytes of a head, and of a body under way.
const HEAD: usize = 64 << 10;
/// Bytes of a body that are shown when it does not match.
const SHOWN: usize = 60;
