//! Against mail servers on the loopback, good and bad ones, and a real program.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc as std_mpsc,
    thread,
    time::{Duration, SystemTime},
};

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::*;
use crate::exec::tests::{self as exec, guarded_dir, is_root, script_file};

/// What a mail server got.
#[derive(Debug)]
struct Got {
    from: String,
    to: Vec<String>,
    data: String,
}

/// How a mail server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Takes,
    /// Says hello and then nothing.
    Hangs,
    /// Answers `550` to every recipient, with an escape sequence in it.
    Refuses,
}

/// A mail server on a thread of its own, for as long as the test runs.
fn server(manner: Manner) -> (SocketAddr, std_mpsc::Receiver<Got>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let (out, mails) = std_mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away is none of the server's business.
            drop(stream.map(|stream| converse(stream, manner, &out)));
        }
    });
    (at, mails)
}

fn converse(stream: TcpStream, manner: Manner, out: &std_mpsc::Sender<Got>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    writer.write_all(b"220 test ESMTP\r\n")?;
    let (mut from, mut to) = (String::new(), Vec::new());
    while let Some(line) = lines.next().transpose()? {
        if manner == Manner::Hangs {
            continue;
        }
        let word = line.split([' ', ':']).next().unwrap_or_default();
        match word.to_ascii_uppercase().as_str() {
            "MAIL" => line.clone_into(&mut from),
            "RCPT" if manner == Manner::Refuses => {
                writer.write_all(b"550 5.1.1 nobody\x1b[2J here\r\n")?;
                continue;
            }
            "RCPT" => to.push(line),
            "DATA" => {
                writer.write_all(b"354 go on\r\n")?;
                let mut data = String::new();
                for line in lines.by_ref() {
                    let line = line?;
                    if line == "." {
                        break;
                    }
                    data.push_str(&line);
                    data.push('\n');
                }
                let (from, to) = (std::mem::take(&mut from), std::mem::take(&mut to));
                drop(out.send(Got { from, to, data }));
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => {}
        }
        writer.write_all(b"250 fine\r\n")?;
    }
    Ok(())
}

fn smtp(at: SocketAddr, limit: Duration) -> model::Alerts {
    model::Alerts {
        smtp: Some(Smtp {
            host: at.ip().to_string(),
            port: at.port(),
            timeout: limit,
            from: "lb@example.com".to_owned(),
            to: vec!["ops@example.com".to_owned(), "boss@example.com".to_owned()],
        }),
        command: None,
    }
}

fn down(backend: &str) -> Event {
    Event {
        at: SystemTime::UNIX_EPOCH,
        what: What::Backend {
            service: "web".to_owned(),
            backend: backend.to_owned(),
            address: "10.0.0.1:80".to_owned(),
            health: Health::Down,
            reason: "bad: connection refused".to_owned(),
        },
    }
}

/// Tellers at work.
struct Running {
    alerts: Alerts,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(wanted: &model::Alerts) -> Self {
        let (alerts, tellers) = alerts();
        alerts.configure("lb01", wanted);
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(tellers.run(cancel.clone()));
        Self {
            alerts,
            cancel,
            tasks,
        }
    }

    async fn wait_for(&self, by: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let looking = async {
            loop {
                let reports = self.alerts.report();
                if let Some(report) = reports.into_iter().find(|r| r.by == by && wanted(r)) {
                    return report;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, looking).await.expect("in time")
    }

    async fn stop(mut self) -> Duration {
        let began = Instant::now();
        self.cancel.cancel();
        self.tasks.join_next().await.unwrap().unwrap();
        began.elapsed()
    }
}

#[tokio::test]
async fn a_mail_arrives_with_everything_that_happened() {
    let (at, mails) = server(Manner::Takes);
    let running = Running::start(&smtp(at, SOON));
    running.alerts.tell(&down("web1"));
    running.alerts.tell(&down("web2"));
    let report = running
        .wait_for("smtp", |report| report.counts.sent == 1)
        .await;
    assert_eq!((report.waiting, report.problem), (0, None));
    let Got { from, to, data } = mails.try_recv().unwrap();
    assert!(from.contains("<lb@example.com>"), "{from}");
    assert_eq!(to.len(), 2, "{to:?}");
    for part in [
        "Subject: [lb01] 2 changes: 2 x backend DOWN",
        "From: \"Ballast on lb01\" <lb@example.com>",
        "Auto-Submitted: auto-generated",
        "backend web1 (10.0.0.1:80) of service web is DOWN: bad: connection refused",
        "backend web2 ",
    ] {
        assert!(data.replace("=\n", "").contains(part), "{part}\n{data}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_holds_up_nobody_and_is_cut_off() {
    let (at, _mails) = server(Manner::Hangs);
    let running = Running::start(&smtp(at, Duration::from_millis(200)));
    running.alerts.tell(&down("web1"));
    let report = running
        .wait_for("smtp", |report| report.counts.failed == 1)
        .await;
    let expected = format!("127.0.0.1 port {}: timed out", at.port());
    assert_eq!(report.problem, Some(expected));
    let began = Instant::now();
    for n in 0..10_000 {
        running.alerts.tell(&down(&n.to_string()));
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let bounded = |report: &Report| report.waiting == outbox::WAITING;
    let report = running.wait_for("smtp", bounded).await;
    assert!(report.counts.left_out > 0, "{report:?}");
    let took = running.stop().await;
    assert!(took < worker::LAST * 5, "the end took {took:?}");
}

#[tokio::test]
async fn a_refusal_is_told_and_the_mail_goes_to_the_next_server() {
    let (at, _mails) = server(Manner::Refuses);
    let running = Running::start(&smtp(at, SOON));
    running.alerts.tell(&down("web1"));
    let report = running
        .wait_for("smtp", |report| report.problem.is_some())
        .await;
    let problem = report.problem.unwrap();
    assert!(
        problem.contains("550") || problem.contains("nobody"),
        "{problem}"
    );
    assert!(!problem.contains('\x1b'), "{problem:?}");
    let (better, mails) = server(Manner::Takes);
    running.alerts.configure("lb01", &smtp(better, SOON));
    running
        .wait_for("smtp", |report| report.counts.sent == 1)
        .await;
    assert!(mails.try_recv().unwrap().data.contains("web1"));
}

#[tokio::test]
async fn nobody_at_the_port_is_a_reason_that_names_it() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let running = Running::start(&smtp(at, SOON));
    running.alerts.tell(&down("web1"));
    let report = running
        .wait_for("smtp", |report| report.problem.is_some())
        .await;
    let problem = report.problem.unwrap();
    assert!(
        problem.starts_with(&format!("127.0.0.1 port {}: ", at.port())),
        "{problem}"
    );
    assert!(
        problem.to_lowercase().contains("connection refused"),
        "{problem}"
    );
}

#[tokio::test]
async fn what_waits_at_the_end_is_told_before_it() {
    let (at, mails) = server(Manner::Takes);
    let running = Running::start(&smtp(at, SOON));
    running.alerts.tell(&down("web1"));
    running.stop().await;
    assert!(mails.try_recv().unwrap().data.contains("web1"));
}

#[tokio::test]
async fn a_program_gets_subject_and_text() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let out = dir.path().join("out");
    let text = format!(
        "#!/bin/sh\nprintf '%s|%s|%s' \"$1\" \"$2\" \"$3\" > {}\n",
        out.display()
    );
    let script = script_file(dir.path(), "alert.sh", &text, 0o755);
    let running = Running::start(&command(&[script.to_str().unwrap(), "first"]));
    running.alerts.tell(&down("web1"));
    running
        .wait_for("command", |report| report.counts.sent == 1)
        .await;
    assert_eq!(
        std::fs::read_to_string(out).unwrap(),
        "first|[lb01] backend web1 of web DOWN|1970-01-01T00:00:00Z  backend web1 (10.0.0.1:80) of service web is DOWN: bad: connection refused\n"
    );
}

#[tokio::test]
async fn a_program_that_fails_is_not_run_again_for_the_same() {
    if !is_root() {
        return;
    }
    let dir = guarded_dir();
    let out = dir.path().join("out");
    let text = format!(
        "#!/bin/sh\necho x >> {}\necho no network\nexit 3\n",
        out.display()
    );
    let script = script_file(dir.path(), "alert.sh", &text, 0o755);
    let running = Running::start(&command(&[script.to_str().unwrap()]));
    running.alerts.tell(&down("web1"));
    let report = running
        .wait_for("command", |report| report.counts.failed == 1)
        .await;
    assert_eq!(report.waiting, 0);
    let problem = report.problem.unwrap();
    assert!(problem.ends_with("exit code 3: no network"), "{problem}");
    running.stop().await;
    assert_eq!(std::fs::read_to_string(out).unwrap(), "x\n");
}

#[tokio::test]
async fn nobody_is_told_where_nobody_is_configured() {
    let running = Running::start(&model::Alerts::default());
    running.alerts.tell(&down("web1"));
    assert_eq!(running.alerts.report(), []);
    let (at, mails) = server(Manner::Takes);
    running.alerts.configure("lb01", &smtp(at, SOON));
    running.alerts.tell(&down("web2"));
    running
        .wait_for("smtp", |report| report.counts.sent == 1)
        .await;
    let data = mails.try_recv().unwrap().data;
    assert!(data.contains("web2") && !data.contains("web1"), "{data}");
    running.alerts.configure("lb01", &model::Alerts::default());
    running.alerts.tell(&down("web3"));
    assert_eq!(running.alerts.report(), []);
}

fn command(words: &[&str]) -> model::Alerts {
    model::Alerts {
        smtp: None,
        command: Some(exec::command(words)),
    }
}

/// A limit for things that take no time.
const SOON: Duration = Duration::from_secs(20);
