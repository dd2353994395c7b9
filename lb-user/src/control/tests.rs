use std::{io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    client::{self, AskError},
    proto::{self, DecodeError, Reply, Request},
    server::{self, BindError, Pending},
};

/// Runs `client` against a server that answers every request with its debug form.
async fn with_server<T: Send + 'static>(client: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(super::SOCKET);
    let listener = server::bind(dir.path()).unwrap();
    let (requests, mut pending) = mpsc::channel::<Pending>(1);
    let cancel = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(Pending { request, reply }) = pending.recv().await {
            drop(reply.send(Reply::refused(format!("{request:?}"))));
        }
    });
    let token = cancel.clone();
    tasks.spawn(async move { server::serve(listener, requests, token).await.unwrap() });
    let socket = path.clone();
    let result = tokio::task::spawn_blocking(move || client(&socket))
        .await
        .unwrap();
    cancel.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(!path.exists(), "the socket's file stayed");
    result
}

fn raw(socket: &Path, bytes: &[u8]) -> Reply {
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.write_all(bytes).unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).unwrap();
    proto::decode(line.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_request_gets_its_reply() {
    let reply = with_server(|socket| client::ask(socket, &Request::Status).unwrap()).await;
    assert_eq!(reply, Reply::refused("Status"));
}

#[tokio::test]
async fn garbage_is_refused_and_the_server_goes_on() {
    with_server(|socket| {
        for garbage in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"{}\n",
            b"{\"version\":1,\"body\":\"Nonsense\"}\n",
            b"\xff\xfe\n",
        ] {
            let Reply::Refused { errors } = raw(socket, garbage) else {
                panic!("was taken")
            };
            assert!(errors[0].contains("control protocol"), "{errors:?}");
        }
        let long = vec![b'x'; proto::MAX_REQUEST + 1];
        let Reply::Refused { errors } = raw(socket, &long) else {
            panic!("was taken")
        };
        assert!(errors[0].contains("longer than 65536"), "{errors:?}");
        client::ask(socket, &Request::Reload).unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_one_agent_has_a_directory_and_only_root_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(super::SOCKET);
    // What a killed agent leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = server::bind(dir.path()).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let error = server::bind(dir.path()).unwrap_err();
    assert!(matches!(error, BindError::Taken { .. }));
    assert_eq!(
        error.to_string(),
        format!("another ballast is running (pid {})", std::process::id())
    );
    drop(listener);
    server::bind(dir.path()).unwrap();
}

#[test]
fn without_an_agent_the_command_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join(super::SOCKET);
    assert!(matches!(
        client::ask(&socket, &Request::Status),
        Err(AskError::NotRunning(_))
    ));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(matches!(
        client::ask(&socket, &Request::Status),
        Err(AskError::NotRunning(_))
    ));
}

#[test]
fn another_version_is_named_whatever_else_it_says() {
    let error = proto::decode::<Request>(b"{\"version\":7,\"what\":[]}").unwrap_err();
    assert!(matches!(error, DecodeError::Version { theirs: 7 }));
}

#[tokio::test]
async fn a_socket_elsewhere_is_still_of_the_one_agent_of_its_runtime_dir() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("other.sock");
    let listener = server::bind_at(dir.path(), &path).unwrap();
    assert!(path.exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    server::bind(dir.path()).unwrap_err();
    drop(listener);
    assert!(!path.exists());
}
