use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};

use super::{args::Args, exit, remote::runtime_dir};
use crate::{
    config,
    control::{
        client::AskError,
        proto::{BackendChange, Protocol, Request},
    },
};

fn request(line: &[&str]) -> Option<Request> {
    Args::try_parse_from([&["ballast"], line].concat())
        .unwrap()
        .command
        .request()
}

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn commands_become_requests() {
    assert_eq!(request(&["status", "--json"]), Some(Request::Status));
    assert_eq!(request(&["-c", "x.yaml", "reload"]), Some(Request::Reload));
    assert_eq!(request(&["check", "-c", "x.yaml"]), None);
    let flow = [
        "explain",
        "--proto",
        "udp",
        "--src",
        "[2001:db8::1]:9",
        "--dst",
        "[2001:db8::2]:53",
    ];
    let explain = Request::Explain {
        protocol: Protocol::Udp,
        source: "[2001:db8::1]:9".parse().unwrap(),
        destination: "[2001:db8::2]:53".parse().unwrap(),
    };
    assert_eq!(request(&flow), Some(explain));
    let weight = Request::Backend {
        service: "web".to_owned(),
        backend: "web1".to_owned(),
        change: BackendChange::Weight(7),
    };
    assert_eq!(
        request(&["backend", "weight", "web", "web1", "7"]),
        Some(weight)
    );
}

#[test]
fn exit_codes_are_as_documented() {
    let socket = PathBuf::from("/run/ballast/ballast.sock");
    let code = |error: anyhow::Error| exit::code(&error.context("somewhere"));
    assert_eq!(code(AskError::NotRunning(socket.clone()).into()), 5);
    assert_eq!(code(AskError::NotPermitted(socket).into()), 4);
    assert_eq!(code(exit::Refused(vec![]).into()), 1);
    let missing = config::load_and_validate(Path::new("/nonexistent.yaml")).unwrap_err();
    assert_eq!(code(missing.into()), 3);
    let wrong = config::validate_str("x.yaml", "services: 7\n").unwrap_err();
    assert_eq!(code(wrong.into()), 1);
}

#[test]
fn the_socket_of_a_file_with_mistakes_is_found() {
    let found = |text| runtime_dir(text);
    assert_eq!(
        found("services: 7\nruntime_dir: /run/b # here\n"),
        Some("/run/b".into())
    );
    assert_eq!(found("runtime_dir: \"/run/c\""), Some("/run/c".into()));
    assert_eq!(found("services: []\n  runtime_dir: /x"), None);
}
