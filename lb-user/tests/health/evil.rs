//! Servers that mean harm: each check ends by its deadline, as a failure with a printable reason, in bounded memory.

use std::{fs, pin::Pin, sync::Arc, time::Duration};

use lb_user::health::{
    Network, Outcome,
    target::{Page, Pattern, What},
};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    namespace::Namespace,
    support::{Server, alone, attempt, hear, http, https, inside, page, target},
};

const TIMEOUT: Duration = Duration::from_secs(1);
/// How late an attempt may end on a busy machine.
const SLACK: Duration = Duration::from_millis(400);

type Serve = Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

struct Case {
    name: &'static str,
    what: What,
    serve: Serve,
    /// Part of the reason.
    because: &'static str,
}

fn case<S, F>(name: &'static str, what: What, because: &'static str, serve: S) -> Case
where
    S: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Case {
        name,
        what,
        serve: Arc::new(move |stream| Box::pin(serve(stream))),
        because,
    }
}

/// Answers any request with this, and closes.
fn says(name: &'static str, because: &'static str, answer: &'static [u8]) -> Case {
    case(name, http(page()), because, async move |mut stream| {
        hear(&mut stream).await;
        stream.write_all(answer).await.ok();
    })
}

/// Answers with `head`, then `again` for ever.
fn repeats(
    name: &'static str,
    because: &'static str,
    head: &'static [u8],
    again: &'static [u8],
    pause: Duration,
) -> Case {
    case(name, http(page()), because, move |mut stream| async move {
        hear(&mut stream).await;
        stream.write_all(head).await.ok();
        repeat(&mut stream, again, pause).await;
    })
}

async fn repeat(stream: &mut (impl AsyncWrite + Unpin), again: &[u8], pause: Duration) {
    let block = if pause.is_zero() {
        again.repeat(4096usize.div_ceil(again.len()))
    } else {
        again.to_vec()
    };
    while stream.write_all(&block).await.is_ok() {
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

async fn forever() {
    std::future::pending::<()>().await;
}

fn reset(stream: TcpStream) {
    let linger = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    linger.expect("a TCP socket has it");
}

const NO_PAUSE: Duration = Duration::ZERO;
const DRIP: Duration = Duration::from_millis(50);

/// Slow or silent.
fn slow() -> Vec<Case> {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        case(
            "accepts and hangs",
            http(page()),
            "no answer: timed out",
            async |_stream| {
                forever().await;
            },
        ),
        repeats(
            "drips its status line",
            "no answer: timed out",
            b"",
            b"H",
            DRIP,
        ),
        repeats(
            "drips header lines",
            "no answer: timed out",
            b"HTTP/1.1 200 OK\r\n",
            b"a: b\r\n",
            DRIP,
        ),
        repeats("drips empty lines", "no answer: ", b"", b"\r\n", DRIP),
        repeats(
            "drips interim answers",
            "no answer: timed out",
            b"",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            DRIP,
        ),
        repeats(
            "drips a body",
            "does not end: timed out",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"x",
            DRIP,
        ),
        repeats(
            "drips chunks",
            "does not end: timed out",
            chunked,
            b"1\r\nx\r\n",
            DRIP,
        ),
        repeats("drips a chunk's size", "the body", chunked, b"0", DRIP),
        repeats(
            "promises a body and sends none",
            "does not end: timed out",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n",
            b"",
            DRIP,
        ),
    ]
}

/// As fast as they can, without end.
fn floods() -> Vec<Case> {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        repeats(
            "floods header lines",
            "no answer: ",
            b"HTTP/1.1 200 OK\r\n",
            b"a: b\r\n",
            NO_PAUSE,
        ),
        repeats(
            "floods one header",
            "no answer: ",
            b"HTTP/1.1 200 OK\r\na: ",
            b"b",
            NO_PAUSE,
        ),
        repeats(
            "floods its status line",
            "no answer: ",
            b"HTTP/1.1 200 ",
            b"OK",
            NO_PAUSE,
        ),
        repeats(
            "floods interim answers",
            "",
            b"",
            b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n",
            NO_PAUSE,
        ),
        repeats(
            "floods a body",
            "too long",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"xxxxxxxx",
            NO_PAUSE,
        ),
        repeats("floods chunks", "", chunked, b"8\r\nxxxxxxxx\r\n", NO_PAUSE),
        repeats(
            "floods a chunk's extension",
            "the body breaks off",
            chunked,
            b"1;a=b",
            NO_PAUSE,
        ),
        repeats(
            "floods trailers",
            "the body breaks off",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"a: b\r\n",
            NO_PAUSE,
        ),
        repeats("floods zeros", "no answer: ", b"", b"\0", NO_PAUSE),
        repeats("floods empty lines", "no answer: ", b"", b"\r\n", NO_PAUSE),
        case(
            "floods before it was asked",
            http(page()),
            "no answer: ",
            async |mut stream| {
                repeat(&mut stream, b"\xff\xfe", NO_PAUSE).await;
            },
        ),
        case(
            "floods in place of a handshake",
            https("web.example", true),
            "TLS handshake: ",
            async |mut stream| {
                repeat(
                    &mut stream,
                    b"\x16\x03\x03\x00\x04\x00\x00\x00\x00",
                    NO_PAUSE,
                )
                .await;
            },
        ),
    ]
}

/// Wrong, broken off, or someone else.
fn wrong() -> Vec<Case> {
    vec![
        case(
            "closes at once",
            http(page()),
            "no answer: ",
            async |_stream| {},
        ),
        case(
            "resets at once",
            http(page()),
            "connection reset",
            async |stream| reset(stream),
        ),
        case(
            "resets when asked",
            http(page()),
            "connection reset",
            async |mut stream| {
                hear(&mut stream).await;
                reset(stream);
            },
        ),
        case(
            "resets in the middle of its head",
            http(page()),
            "no answer: ",
            async |mut stream| {
                hear(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nconte").await.ok();
                sleep(DRIP).await;
                reset(stream);
            },
        ),
        case(
            "resets in the middle of its body",
            http(page()),
            "the body breaks off: connection reset",
            async |mut stream| {
                hear(&mut stream).await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                    .await
                    .ok();
                sleep(DRIP).await;
                reset(stream);
            },
        ),
        says(
            "closes in the middle of its body",
            "the body breaks off",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        ),
        says(
            "closes in the middle of a chunk",
            "the body breaks off",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
        ),
        says(
            "has a chunk of no size",
            "the body breaks off",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nx\r\n",
        ),
        says(
            "has a chunk of any size",
            "the body breaks off",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n",
        ),
        says(
            "has a chunk longer than it says",
            "the body breaks off",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxxx\r\n0\r\n\r\n",
        ),
        says(
            "has two lengths",
            "no answer: ",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        ),
        says(
            "has a negative length",
            "no answer: ",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ),
        says(
            "has NUL in its status line",
            "no answer: ",
            b"HTTP/1.1 200 \0OK\r\n\r\n",
        ),
        says(
            "has escapes in its status line",
            "no answer: ",
            b"HTTP/1.1 200 \x1b[2J\x1b]0;owned\x07\r\n\r\n",
        ),
        says(
            "has NUL in a header",
            "no answer: ",
            b"HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n",
        ),
        says(
            "has a status of its own",
            "no answer: ",
            b"HTTP/1.1 6000 Fine\r\n\r\n",
        ),
        says(
            "has a version of its own",
            "no answer: ",
            b"HTTP/7.3 200 OK\r\n\r\n",
        ),
        says("speaks SSH", "no answer: ", b"SSH-2.0-OpenSSH_9.9\r\n"),
        says(
            "speaks HTTP/2",
            "no answer: ",
            b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff",
        ),
        says(
            "speaks TLS where none is spoken",
            "no answer: ",
            b"\x15\x03\x03\x00\x02\x02\x46",
        ),
        says(
            "sends us elsewhere",
            "status 302",
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        ),
        says(
            "switches protocols",
            "status 101",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        ),
        case(
            "hides its body from an expression",
            evil_body(),
            "\\u{1b}[31m\\u{0}",
            async |mut stream| {
                hear(&mut stream).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x1b[31m\0\xff\xfe\n";
                stream.write_all(answer).await.ok();
            },
        ),
    ]
}

fn evil_body() -> What {
    let body = Pattern::new("^healthy$").expect("it is an expression");
    http(Page {
        body: Some(body),
        ..page()
    })
}

/// A server's certificate and what it does with it.
struct Identity {
    certificate: Vec<u8>,
    acceptor: TlsAcceptor,
}

fn identity(name: &str, expired: bool) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
    params.distinguished_name.push(DnType::CommonName, name);
    if expired {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    }
    let key = KeyPair::generate().expect("ring makes keys");
    let certificate = params.self_signed(&key).expect("ring signs");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key fits");
    Identity {
        certificate: certificate.der().to_vec(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    }
}

/// Over TLS; with the roots that the check trusts.
fn encrypted() -> (Vec<Case>, Vec<Vec<u8>>) {
    let good = identity("web.example", false);
    let expired = identity("old.example", true);
    let unknown = identity("new.example", false);
    let roots = vec![good.certificate, expired.certificate];
    let answers =
        |name, ask: &str, acceptor: &TlsAcceptor, because, answer: &'static [u8], end: bool| {
            let acceptor = acceptor.clone();
            case(name, https(ask, true), because, move |stream| {
                let acceptor = acceptor.clone();
                async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    hear(&mut stream).await;
                    stream.write_all(answer).await.ok();
                    stream.flush().await.ok();
                    if !end {
                        forever().await;
                    }
                }
            })
        };
    let good = &good.acceptor;
    let well = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let says = |name, because, bytes: &'static [u8]| {
        case(
            name,
            https("web.example", true),
            because,
            async move |mut stream| {
                stream.write_all(bytes).await.ok();
                forever().await;
            },
        )
    };
    let cases = vec![
        answers(
            "has an expired certificate",
            "old.example",
            &expired.acceptor,
            "expired",
            well,
            true,
        ),
        answers(
            "has a certificate of nobody we know",
            "new.example",
            &unknown.acceptor,
            "UnknownIssuer",
            well,
            true,
        ),
        answers(
            "has the certificate of another",
            "other.example",
            good,
            "not valid for",
            well,
            true,
        ),
        answers(
            "encrypts and says nothing",
            "web.example",
            good,
            "no answer: timed out",
            b"",
            false,
        ),
        answers(
            "encrypts half a body and hangs",
            "web.example",
            good,
            "does not end: timed out",
            half,
            false,
        ),
        answers(
            "encrypts half a body and closes",
            "web.example",
            good,
            "the body breaks off",
            half,
            true,
        ),
        answers(
            "cuts off a body without saying so",
            "web.example",
            good,
            "the body breaks off",
            b"HTTP/1.0 200 OK\r\n\r\nhalf",
            true,
        ),
        says(
            "speaks in the clear where TLS is wanted",
            "TLS handshake: ",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ),
        says("alerts", "TLS handshake: ", b"\x15\x03\x03\x00\x02\x02\x28"),
        says(
            "begins a record and hangs",
            "TLS handshake: timed out",
            b"\x16\x03\x03\x10\x00",
        ),
        says(
            "has a record that is too long",
            "TLS handshake: ",
            b"\x16\x03\x03\xff\xff\x02",
        ),
        says("accepts TLS and hangs", "TLS handshake: timed out", b""),
        case(
            "closes in the handshake",
            https("web.example", true),
            "TLS handshake: ",
            async |_stream| {},
        ),
    ];
    (cases, roots)
}

async fn judge(network: Network, case: Case) {
    let name = case.name;
    let server = Server::start("127.0.0.1", move |stream| (case.serve)(stream)).await;
    let (outcome, took) = attempt(&network, target(server.at, case.what), TIMEOUT).await;
    let Outcome::Bad(text) = &outcome else {
        panic!("a server that {name}: {outcome}");
    };
    assert!(
        text.as_str().contains(case.because),
        "a server that {name}: {text}"
    );
    assert!(!text.as_str().is_empty() && !text.as_str().chars().any(char::is_control));
    assert!(took < TIMEOUT + SLACK, "a server that {name}: {took:?}");
}

/// The most memory this process had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("we exist");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|n| n.parse().ok())
        .expect("the kernel says it")
}

#[test]
fn every_evil_server_is_cut_off_in_time_with_a_printable_reason() {
    alone(
        "evil::every_evil_server_is_cut_off_in_time_with_a_printable_reason",
        all,
    );
}

fn all() {
    inside(&Namespace::new(), async {
        let (encrypted, roots) = encrypted();
        let network = Network::with_roots(roots);
        let quiet = slow().into_iter().chain(wrong()).chain(encrypted);
        let mut count = 0;
        let mut cases = JoinSet::new();
        for case in quiet {
            count += 1;
            cases.spawn(judge(network.clone(), case));
        }
        while let Some(ended) = cases.join_next().await {
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        let before = peak();
        for case in floods() {
            count += 1;
            judge(network.clone(), case).await;
        }
        let grown = peak() - before;
        assert!(grown < 16 << 10, "{grown} KiB more for floods");
        assert!(count >= 50, "{count} cases");
    });
}
