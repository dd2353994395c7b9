//! Over streams in memory and a clock that jumps: what a server can do to an HTTP check.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::{Instant, sleep},
};

use super::*;
use crate::health::target::Pattern;

const TIMEOUT: Duration = Duration::from_secs(3);

fn page() -> Page {
    Page {
        path: "/".to_owned(),
        status: vec![200],
        digest: None,
        body: None,
    }
}

fn http(page: Page) -> Http {
    Http {
        tls: None,
        host: "www.example.com".to_owned(),
        pages: vec![page],
    }
}

/// What the check says of a server that runs `serve` on its end, and how long it took.
async fn check<S, F>(page: Page, serve: S) -> (Result<Text, Failure>, Duration)
where
    S: FnOnce(DuplexStream) -> F,
    F: Future<Output = ()>,
{
    let (ours, theirs) = duplex(16 << 10);
    let started = Instant::now();
    let clients = Clients::with_roots(Vec::new());
    let http = http(page);
    let attempt = over(ours, &http, &http.pages[0], &clients, started + TIMEOUT);
    let result = drive(serve(theirs), attempt).await;
    (result, started.elapsed())
}

/// Reads the request to its end.
async fn hear(stream: &mut DuplexStream) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(heard).unwrap()
}

/// A server that says this and closes.
async fn says(answer: &[u8], page: Page) -> Result<Text, Failure> {
    let answer = answer.to_vec();
    check(page, async move |mut stream| {
        hear(&mut stream).await;
        // The client may have heard enough.
        stream.write_all(&answer).await.ok();
    })
    .await
    .0
}

fn reason(result: Result<Text, Failure>) -> String {
    match result {
        Err(Failure::Theirs(text)) => text.to_string(),
        other => panic!("not the server's fault: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_a_server_expects() {
    let (sender, heard) = tokio::sync::oneshot::channel();
    let (result, _) = check(page(), async move |mut stream| {
        sender.send(hear(&mut stream).await).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    assert_eq!(result, Ok(Text::new("status 200")));
    insta::assert_snapshot!(heard.await.unwrap().replace("\r\n", "\n"), @r"
    GET / HTTP/1.1
    host: www.example.com
    user-agent: ballast/0.1.0 (health check)
    accept: */*
    connection: close
    ");
}

#[tokio::test(start_paused = true)]
async fn the_status_must_be_one_of_the_set() {
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        reason(says(redirect, page()).await),
        "status 302, expected 200",
        "a redirect is not followed"
    );
    let wanted = Page {
        status: vec![200, 302],
        ..page()
    };
    assert!(says(redirect, wanted).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_old_server_that_ends_its_body_by_closing_is_good() {
    assert!(says(b"HTTP/1.0 200 OK\r\n\r\nhello", page()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_digest_is_the_md5_of_the_body_without_its_chunks() {
    // `echo ok | md5sum`
    let digest = Some(0xeff5_bc1e_f8ec_9d03_e640_fc43_70f5_eacd_u128.to_be_bytes());
    let wanted = || Page { digest, ..page() };
    let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n\n\r\n0\r\n\r\n";
    assert!(says(plain, wanted()).await.is_ok());
    assert!(says(chunked, wanted()).await.is_ok());
    let other = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nko\n";
    let text = reason(says(other, wanted()).await);
    assert!(text.starts_with("status 200, digest "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_body_must_match_and_is_shown_where_it_does_not() {
    let wanted = || Page {
        body: Some(Pattern::new("^all (is )?well").unwrap()),
        ..page()
    };
    let good = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nall is well";
    assert!(says(good, wanted()).await.is_ok());
    let evil = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n\x1b[2J no\0 \r\n!";
    assert_eq!(
        reason(says(evil, wanted()).await),
        "status 200, ^all (is )?well does not match \"\\u{1b}[2J no\\u{0} \\r\\n!\""
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_body_is_read_to_its_end_but_only_its_start_is_searched() {
    let mut answer = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    answer.extend(vec![b'x'; 200 << 10]);
    answer.extend(b"end");
    assert!(says(&answer, page()).await.is_ok());
    let wanted = Page {
        body: Some(Pattern::new("end").unwrap()),
        ..page()
    };
    assert!(reason(says(&answer, wanted).await).starts_with("status 200, end does not match"));
    let digest = Some(Md5::digest(&answer[19..]).into());
    assert!(says(&answer, Page { digest, ..page() }).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn of_several_pages_the_bad_one_is_named() {
    let answer = b"HTTP/1.1 503 Sorry\r\ncontent-length: 0\r\n\r\n";
    let (ours, mut theirs) = duplex(16 << 10);
    let second = Page {
        path: "/health?deep=1".to_owned(),
        ..page()
    };
    let http = Http {
        pages: vec![page(), second],
        ..http(page())
    };
    let clients = Clients::with_roots(Vec::new());
    let serve = async {
        let heard = hear(&mut theirs).await;
        assert!(
            heard.starts_with("GET /health?deep=1 HTTP/1.1\r\n"),
            "{heard}"
        );
        theirs.write_all(answer).await.unwrap();
    };
    let attempt = over(
        ours,
        &http,
        &http.pages[1],
        &clients,
        Instant::now() + TIMEOUT,
    );
    assert_eq!(
        reason(drive(serve, attempt).await),
        "/health?deep=1: status 503, expected 200"
    );
}

/// A server that never ends: it repeats this.
async fn repeats(head: &'static [u8], again: &'static [u8], pause: Duration) -> (String, Duration) {
    let (result, took) = check(page(), async move |mut stream| {
        hear(&mut stream).await;
        stream.write_all(head).await.unwrap();
        while stream.write_all(again).await.is_ok() {
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
    })
    .await;
    (reason(result), took)
}

const SLOW: Duration = Duration::from_secs(1);
const FAST: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn what_drips_ends_at_the_deadline() {
    let (text, took) = repeats(b"", b"H", SLOW).await;
    assert_eq!((text.as_str(), took), ("no answer: timed out", TIMEOUT));
    let (text, took) = repeats(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", SLOW).await;
    assert_eq!((text.as_str(), took), ("no answer: timed out", TIMEOUT));
    let (text, took) = repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"x", SLOW).await;
    assert_eq!(
        (text.as_str(), took),
        ("the body does not end: timed out", TIMEOUT)
    );
}

#[tokio::test(start_paused = true)]
async fn what_floods_ends_at_a_limit() {
    let (text, _) = repeats(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", FAST).await;
    assert!(text.starts_with("no answer: "), "{text}");
    let (text, _) = repeats(b"HTTP/1.1 200 OK\r\na: ", b"bbbbbbbb", FAST).await;
    assert!(text.starts_with("no answer: "), "{text}");
    let (text, _) = repeats(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 8192], FAST).await;
    assert_eq!(
        text,
        "the body breaks off: error reading a body from connection: the answer is too long"
    );
    let (text, _) = repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n", FAST).await;
    assert!(text.contains("the answer is too long"), "{text}");
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let (text, _) = repeats(chunked, b"1\r\nx\r\n", FAST).await;
    assert!(text.contains("the answer is too long"), "{text}");
    let (text, _) = repeats(chunked, b"1;ext=", FAST).await;
    assert!(text.starts_with("the body breaks off"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline() {
    let (result, took) = check(page(), async |mut stream| {
        hear(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(reason(result), "no answer: timed out");
    assert_eq!(took, TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_named_and_harmless() {
    let cases: &[&[u8]] = &[
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 2\x0000 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x1b[31mK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nna\0me: value\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0xff; 100_000],
    ];
    for case in cases {
        let shown = String::from_utf8_lossy(&case[..case.len().min(60)]).into_owned();
        let text = match says(case, page()).await {
            Err(Failure::Theirs(text)) => text.to_string(),
            other => panic!("{shown:?}: {other:?}"),
        };
        assert!(
            !text.is_empty() && !text.chars().any(char::is_control),
            "{shown:?}: {text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_no_uri_is_our_mistake() {
    let path = Page {
        path: "/\"<>".to_owned(),
        ..page()
    };
    let (result, _) = check(path, async |_| std::future::pending().await).await;
    assert!(matches!(result, Err(Failure::Ours(_))), "{result:?}");
}

mod tls {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
    use rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::health::target::Tls;

    /// A server's certificate and key, signed by itself.
    struct Identity {
        certificate: Vec<u8>,
        acceptor: TlsAcceptor,
    }

    fn identity(names: &[&str], expired: bool) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, names[0].clone());
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        Identity {
            certificate: certificate.der().to_vec(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    /// What a check says of a server with `identity` that it expects to be `name`.
    async fn check(
        identity: &Identity,
        name: &str,
        verify: bool,
        trusted: bool,
    ) -> Result<Text, Failure> {
        let (ours, theirs) = duplex(16 << 10);
        let http = Http {
            tls: Some(Tls {
                name: name.to_owned(),
                verify,
            }),
            ..http(page())
        };
        let other = super::tls::identity(&["other.example"], false).certificate;
        let roots = if trusted {
            identity.certificate.clone()
        } else {
            other
        };
        let clients = Clients::with_roots(vec![roots]);
        let serve = async {
            let Ok(mut stream) = identity.acceptor.accept(theirs).await else {
                return;
            };
            let mut heard = [0; 1024];
            if stream.read(&mut heard).await.is_ok() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await
                    .ok();
                stream.flush().await.ok();
            }
        };
        let attempt = over(
            ours,
            &http,
            &http.pages[0],
            &clients,
            Instant::now() + TIMEOUT,
        );
        drive(serve, attempt).await
    }

    #[tokio::test]
    async fn a_trusted_certificate_with_the_right_name_is_good() {
        let server = identity(&["web.example", "192.0.2.1"], false);
        assert!(check(&server, "web.example", true, true).await.is_ok());
        assert!(check(&server, "192.0.2.1", true, true).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_certificate_is_said() {
        let server = identity(&["web.example"], false);
        let text = reason(check(&server, "www.example", true, true).await);
        assert!(text.contains("not valid for"), "{text}");
        let text = reason(check(&server, "web.example", true, false).await);
        assert!(text.contains("UnknownIssuer"), "{text}");
        let old = identity(&["web.example"], true);
        let text = reason(check(&old, "web.example", true, true).await);
        assert!(text.contains("expired"), "{text}");
    }

    #[tokio::test]
    async fn without_verification_any_certificate_will_do() {
        let old = identity(&["other.example"], true);
        assert!(check(&old, "web.example", false, false).await.is_ok());
    }

    #[tokio::test]
    async fn a_host_without_roots_blames_itself() {
        let clients = Clients::with_roots(Vec::new());
        let (ours, _theirs) = duplex(1024);
        let tls = Tls {
            name: "web.example".to_owned(),
            verify: true,
        };
        let result = clients.connect(&tls, ours, Instant::now() + TIMEOUT).await;
        assert!(matches!(result, Err(Failure::Ours(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_speaks_no_tls_is_bad() {
        let speak = async |bytes: &'static [u8], end: bool| {
            let (ours, mut theirs) = duplex(16 << 10);
            let http = Http {
                tls: Some(Tls {
                    name: "web.example".to_owned(),
                    verify: false,
                }),
                ..http(page())
            };
            let clients = Clients::with_roots(Vec::new());
            let serve = async move {
                while theirs.write_all(bytes).await.is_ok() {
                    if end {
                        return;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let attempt = over(
                ours,
                &http,
                &http.pages[0],
                &clients,
                Instant::now() + TIMEOUT,
            );
            reason(drive(serve, attempt).await)
        };
        let plain = speak(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
        assert!(plain.starts_with("TLS handshake: "), "{plain}");
        // An alert, then a record that announces more than comes.
        let alert = speak(b"\x15\x03\x03\x00\x02\x02\x28", true).await;
        assert!(alert.starts_with("TLS handshake: "), "{alert}");
        let half = speak(b"\x16\x03\x03\x40\x00", true).await;
        assert!(half.starts_with("TLS handshake: "), "{half}");
        assert_eq!(speak(b"", false).await, "TLS handshake: timed out");
    }
}
