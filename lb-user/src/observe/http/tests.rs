use std::{
    io::{Read as _, Write as _},
    net::Ipv4Addr,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::Instant,
};

use super::*;
use crate::observe::text::tests::snapshot;

/// A listener whose agent answers at once, and counts.
struct Running {
    at: SocketAddr,
    answered: Arc<std::sync::atomic::AtomicUsize>,
    control: watch::Sender<Option<SocketAddr>>,
    states: watch::Receiver<State>,
    _tasks: JoinSet<()>,
}

impl Running {
    async fn start() -> Self {
        let at = free();
        let (server, mut listener) = listener();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(CancellationToken::new()));
        let answered = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        listener.listen(Some(at));
        let (control, mut wanted) = watch::channel(Some(at));
        let states = listener.state.clone();
        let count = Arc::clone(&answered);
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    asked = listener.asked() => {
                        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        asked.answer(snapshot());
                    }
                    Ok(()) = wanted.changed() => listener.listen(*wanted.borrow_and_update()),
                }
            }
        });
        let mut this = Self {
            at,
            answered,
            control,
            states,
            _tasks: tasks,
        };
        this.wait_for(|state| state.listen == Some(at) && state.problem.is_none())
            .await;
        this
    }

    async fn wait_for(&mut self, wanted: impl FnMut(&State) -> bool) -> State {
        let state = timeout(Duration::from_secs(20), self.states.wait_for(wanted)).await;
        state.expect("in time").expect("it runs").clone()
    }
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap()
}

/// The whole answer to these bytes.
async fn send(at: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end, too.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

async fn get(at: SocketAddr, path: &str) -> String {
    send(
        at,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    )
    .await
}

#[tokio::test]
async fn metrics_and_status_are_served() {
    let running = Running::start().await;
    let metrics = get(running.at, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"));
    assert!(metrics.contains("\nballast_build_info{"), "{metrics}");
    let status = get(running.at, "/api/status").await;
    let (head, body) = status.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, snapshot().json().unwrap());
}

#[tokio::test]
async fn prometheus_gets_openmetrics() {
    let running = Running::start().await;
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nAccept: application/openmetrics-text\r\n\r\n";
    let metrics = send(running.at, request).await;
    assert!(metrics.contains("content-type: application/openmetrics-text"));
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[tokio::test]
async fn whatever_else_is_asked_is_refused() {
    let running = Running::start().await;
    for path in [
        "/",
        "/metrics/",
        "/metrics%00",
        "/api/status/../../etc/passwd",
        "*",
    ] {
        let answer = get(running.at, path).await;
        assert!(
            answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "),
            "{path}: {answer}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let answer = send(running.at, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
    let answer = send(running.at, b"\x16\x03\x01\x00\xff\r\n\r\n").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    let long = format!(
        "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
        "a".repeat(64 << 10)
    );
    let answer = send(running.at, long.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    assert!(
        get(running.at, "/metrics")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let running = Running::start().await;
    let answer = send(running.at, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: "), "{head}");
    assert!(body.is_empty(), "{body}");
}

#[tokio::test]
async fn clients_at_one_time_share_one_snapshot() {
    let running = Running::start().await;
    let answers = (0..CONNECTIONS).map(|_| get(running.at, "/metrics"));
    let answers = futures_util::future::join_all(answers).await;
    assert!(answers.iter().all(|one| one.starts_with("HTTP/1.1 200 ")));
    let answered = running.answered.load(std::sync::atomic::Ordering::Relaxed);
    assert!(answered < CONNECTIONS, "asked {answered} times");
}

/// The clients hold every place; each is cut off at its limit, and then it is others' turn.
#[tokio::test]
async fn clients_that_say_nothing_are_cut_off() {
    let running = Running::start().await;
    let mut silent = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = std::net::TcpStream::connect(running.at).unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET /met").unwrap();
        }
        silent.push(stream);
    }
    let began = Instant::now();
    let answer = timeout(HEAD_LIMIT * 6, get(running.at, "/metrics")).await;
    let answer = answer.expect("they are cut off");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(began.elapsed() >= HEAD_LIMIT / 2, "the cap holds");
    for mut stream in silent {
        stream.set_read_timeout(Some(HEAD_LIMIT * 6)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"),
            "{rest:?}"
        );
    }
}

#[tokio::test]
async fn a_place_that_is_taken_is_told_and_taken_later() {
    let mut running = Running::start().await;
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let there = taken.local_addr().unwrap();
    running.control.send(Some(there)).unwrap();
    let state = running.wait_for(|state| state.problem.is_some()).await;
    assert_eq!(state.listen, Some(there));
    assert_eq!(
        state.problem.as_deref(),
        Some(
            "address already in use: another program listens there; change `observability.listen`"
        )
    );
    assert!(
        TcpStream::connect(running.at).await.is_err(),
        "the old place is left"
    );
    drop(taken);
    running
        .wait_for(|state| state.listen == Some(there) && state.problem.is_none())
        .await;
    assert!(get(there, "/metrics").await.starts_with("HTTP/1.1 200 "));
    running.control.send(None).unwrap();
    running.wait_for(|state| *state == State::default()).await;
    assert!(TcpStream::connect(there).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_is_no_reason_to_hang() {
    let (ask, mut asked) = mpsc::channel(1);
    let source = Source::new(ask);
    let began = Instant::now();
    assert!(source.snapshot().await.is_err());
    assert!(began.elapsed() <= AGENT_LIMIT + Duration::from_millis(10));
    // It is only late: the next one gets an answer.
    drop(asked.recv().await);
    let answering = async { asked.recv().await.unwrap().answer(snapshot()) };
    let (got, ()) = tokio::join!(source.snapshot(), answering);
    assert!(got.is_ok());
}
