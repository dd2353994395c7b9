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

/// The unit's settings: a name for each section and key, and its values in order.
fn unit() -> Vec<(String, &'static str)> {
    let text = include_str!("../../../config/systemd/ballast.service");
    let mut section = "";
    let mut settings = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').expect("a section");
        } else if !line.is_empty() {
            let (key, value) = line.split_once('=').expect(line);
            settings.push((format!("{section}.{key}"), value));
        }
    }
    settings
}

fn values(key: &str) -> Vec<&'static str> {
    let settings = unit().into_iter();
    let values = settings.filter(|(of, _)| of == key);
    values.map(|(_, value)| value).collect()
}

#[test]
fn the_unit_always_restarts_and_cleans_up_behind_an_agent_that_does_not_come_back() {
    assert_eq!(values("Service.Restart"), ["always"]);
    assert_eq!(values("Unit.StartLimitIntervalSec"), ["0"]);
    // Below three intervals of the shortest that can be told from a stall.
    assert_eq!(values("Service.RestartSec"), ["100ms"]);
    assert_eq!(values("Service.Type"), ["notify"]);
    assert_eq!(values("Service.KillMode"), ["mixed"]);
    assert_eq!(values("Service.TimeoutStopSec"), ["90s"]);
    assert_eq!(
        values("Service.ExecStopPost"),
        ["/usr/bin/ballast withdraw --unless-restarting"]
    );
}

#[test]
fn what_the_unit_runs_are_commands_of_ours() {
    for key in ["ExecStartPre", "ExecStart", "ExecReload", "ExecStopPost"] {
        let lines = values(&format!("Service.{key}"));
        assert!(!lines.is_empty(), "{key}");
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[0], "/usr/bin/ballast", "{line}");
            Args::try_parse_from(words).expect(line);
        }
    }
}

#[test]
fn the_unit_grants_what_the_agent_needs() {
    let granted = values("Service.CapabilityBoundingSet").join(" ");
    for capability in [
        "BPF",
        "PERFMON",
        "NET_ADMIN",
        "NET_RAW",
        "SYS_ADMIN",
        "SYS_NICE",
        "IPC_LOCK",
        // `/proc/PID/exe` of others' processes.
        "SYS_PTRACE",
    ] {
        let name = format!("CAP_{capability}");
        assert!(granted.split(' ').any(|one| one == name), "{name}");
    }
}
