//! What ten thousand checks cost. `cargo test -p lb-user --test health scale -- --nocapture` prints it.

use std::{collections::BTreeMap, fs, num::NonZeroU16, sync::Arc, time::Duration};

use lb_user::{
    config::model::{BackendKey, Protocol, ServiceKey},
    health::{Health, Network, Subject, driver, fsm::Timing, target::Target},
};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use tokio::{io::AsyncWriteExt as _, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    namespace::Namespace,
    support::{Server, alone, hear, http, page},
};

const CHECKS: u16 = 10_000;
const LISTENERS: u16 = 100;
const INTERVAL: Duration = Duration::from_secs(6);

/// One check a listener's page.
fn wanted(servers: &[Server]) -> BTreeMap<Subject, Arc<Target>> {
    (0..CHECKS)
        .map(|number| {
            let server = &servers[usize::from(number % LISTENERS)];
            let port = NonZeroU16::new(number + 1).expect("not 0");
            let subject = Subject {
                service: ServiceKey {
                    address: [192, 0, 2, 1].into(),
                    port,
                    protocol: Protocol::Tcp,
                },
                backend: BackendKey {
                    address: server.at.ip(),
                    port,
                },
            };
            let mut page = page();
            page.path = format!("/{number}");
            let target = Target {
                at: server.at,
                source: None,
                timing: Timing {
                    interval: INTERVAL,
                    timeout: Duration::from_secs(3),
                    retries: 1,
                    retry_delay: Duration::from_secs(1),
                    rise: 1,
                },
                what: http(page),
            };
            (subject, Arc::new(target))
        })
        .collect()
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("we exist");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|n| n.parse().ok())
        .expect("the kernel says it")
}

fn cpu() -> Duration {
    let clock = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has it");
    clock.into()
}

#[test]
fn ten_thousand_http_checks_fit_one_core_and_keep_their_time() {
    alone(
        "scale::ten_thousand_http_checks_fit_one_core_and_keep_their_time",
        measure,
    );
}

fn measure() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it can be asked");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let namespace = Namespace::new();
    let (servers, stop) = (CancellationToken::new(), CancellationToken::new());
    let (send, receive) = std::sync::mpsc::channel();
    let listening = namespace.start({
        let servers = servers.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a thread can be started");
            runtime.block_on(async {
                let mut listeners = Vec::new();
                for _ in 0..LISTENERS {
                    let server = Server::start("127.0.0.1", async |mut stream| {
                        hear(&mut stream).await;
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        stream.write_all(answer).await.ok();
                    });
                    listeners.push(server.await);
                }
                send.send(wanted(&listeners)).expect("the test waits");
                servers.cancelled().await;
            });
        }
    });
    let wanted = receive.recv().expect("the servers listen");
    let before = resident();
    let checking = namespace.start({
        let stop = stop.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a thread can be started");
            runtime.block_on(async {
                let (driver, checks, _changes) = driver(Network::new(), 4096);
                let mut tasks = JoinSet::new();
                tasks.spawn(driver.run(stop));
                checks.set_targets(wanted).await.expect("it runs");
                tokio::time::sleep(INTERVAL).await;
                let started = cpu();
                tokio::time::sleep(INTERVAL).await;
                let used = cpu() - started;
                (checks.report().await.expect("it runs"), used, resident())
            })
        }
    });
    let ((reports, load), used, after) = checking.join().expect("no panic");
    stop.cancel();
    servers.cancel();
    listening.join().expect("no panic");
    let down = reports.values().filter(|r| r.verdict.health != Health::Up);
    let down = down.count();
    let cores = used.as_secs_f64() / INTERVAL.as_secs_f64();
    let p99 = load.lateness.quantile(990).expect("attempts were made");
    let worst = load.lateness.quantile(1000).expect("attempts were made");
    eprintln!(
        "{CHECKS} checks every {INTERVAL:?}: {cores:.2} cores, start late p99 < {p99:?}, max < {worst:?}, {} ended, {} KiB, {down} not up",
        load.ended,
        after - before,
    );
    assert_eq!(down, 0);
    assert!(load.ended >= u64::from(CHECKS));
    assert!(cores < 1.0, "{cores} cores");
    assert!(p99 <= Duration::from_millis(128), "{p99:?}");
}
