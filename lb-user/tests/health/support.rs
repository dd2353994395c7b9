//! Attempts and servers inside of a namespace.

use std::{
    env,
    future::Future,
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::Arc,
    time::Duration,
};

use lb_user::health::{
    Network, Outcome,
    fsm::Timing,
    probe::Prober,
    target::{Http, Page, Target, Tls, What},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use crate::namespace::{Namespace, can_make_namespaces};

/// Runs a test in a process of its own: for what counts or limits a whole process. `name` is the test's.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const CHILD: &str = "BALLAST_TEST_ALONE";
    if !can_make_namespaces() {
        return;
    }
    if env::var_os(CHILD).is_some() {
        return test();
    }
    let program = env::current_exe().expect("we run");
    let output = Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it can be run again");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    eprintln!("{errors}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Runs a test on a runtime whose threads are all in the namespace.
pub(crate) fn inside<T: Send>(namespace: &Namespace, test: impl Future<Output = T> + Send) -> T {
    namespace.run(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads can be started")
            .block_on(test)
    })
}

pub(crate) fn target(at: SocketAddr, what: What) -> Target {
    Target {
        at,
        source: None,
        timing: Timing {
            interval: Duration::from_secs(6),
            timeout: Duration::from_secs(1),
            retries: 1,
            retry_delay: Duration::from_secs(1),
            rise: 1,
        },
        what,
    }
}

pub(crate) fn from(source: &str, target: Target) -> Target {
    let source: IpAddr = source.parse().expect("an address");
    Target {
        source: Some(source),
        ..target
    }
}

pub(crate) fn page() -> Page {
    Page {
        path: "/".to_owned(),
        status: vec![200],
        digest: None,
        body: None,
    }
}

pub(crate) fn http(page: Page) -> What {
    What::Http(Http {
        tls: None,
        host: "web.example".to_owned(),
        pages: vec![page],
    })
}

pub(crate) fn https(name: &str, verify: bool) -> What {
    What::Http(Http {
        tls: Some(Tls {
            name: name.to_owned(),
            verify,
        }),
        host: name.to_owned(),
        pages: vec![page()],
    })
}

/// One attempt, and how long it took.
pub(crate) async fn attempt(
    network: &Network,
    target: Target,
    timeout: Duration,
) -> (Outcome, Duration) {
    let started = Instant::now();
    let outcome = network.attempt(Arc::new(target), started + timeout).await;
    (outcome, started.elapsed())
}

/// Serves every connection to a port of its own with `serve`, until dropped.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start<S, F>(ip: &str, serve: S) -> Self
    where
        S: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let ip: IpAddr = ip.parse().expect("an address");
        let listener = TcpListener::bind((ip, 0)).await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { at, _tasks: tasks }
    }
}

/// Reads a request to its end.
pub(crate) async fn hear(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    while !heard.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => heard.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
}
