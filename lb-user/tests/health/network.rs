//! What the kernel and the network say, and whose fault it is.

use std::time::Duration;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, rdata},
};
use lb_user::{
    config::model::{Command, DnsType, Payload, ScriptProbe},
    health::{
        Network, Outcome,
        target::{DnsQuestion, Target, What},
    },
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

use crate::{
    namespace::{Namespace, can_make_namespaces},
    support::{Server, attempt, from, hear, http, inside, page, target},
};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Both loopback addresses.
const BOTH: [&str; 2] = ["127.0.0.1", "::1"];

async fn check(target: Target) -> Outcome {
    let network = Network::with_roots(Vec::new());
    attempt(&network, target, TIMEOUT).await.0
}

fn is_bad(outcome: &Outcome, because: &str) {
    assert!(
        matches!(outcome, Outcome::Bad(text) if text.as_str().contains(because)),
        "{outcome}"
    );
}

fn is_good(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Good(_)), "{outcome}");
}

fn is_ours(outcome: &Outcome, because: &str) {
    assert!(
        matches!(outcome, Outcome::Inconclusive(text) if text.as_str().contains(because)),
        "{outcome}"
    );
}

fn silent_udp() -> What {
    What::Udp {
        payload: Payload(b"ping".to_vec()),
        reply: None,
    }
}

fn udp_reply(reply: &[u8]) -> What {
    What::Udp {
        payload: Payload(b"ping".to_vec()),
        reply: Some(Payload(reply.to_vec())),
    }
}

#[test]
fn tcp_and_http_tell_an_open_port_from_a_closed_one() {
    if !can_make_namespaces() {
        return;
    }
    inside(&Namespace::new(), async {
        for ip in BOTH {
            let server = Server::start(ip, async |mut stream| {
                hear(&mut stream).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.ok();
            })
            .await;
            let at = server.at;
            is_good(&check(target(at, What::Tcp)).await);
            is_good(&check(target(at, http(page()))).await);
            is_good(&check(from(ip, target(at, What::Tcp))).await);
            drop(server);
            // The listener is closed when its task is next looked at; what was waiting in it is reset.
            while !check(target(at, What::Tcp))
                .await
                .text()
                .as_str()
                .contains("refused")
            {
                tokio::task::yield_now().await;
            }
            is_bad(
                &check(target(at, What::Tcp)).await,
                "cannot connect: connection refused",
            );
            is_bad(&check(target(at, http(page()))).await, "connection refused");
        }
    });
}

#[test]
fn a_server_that_accepts_nothing_more_is_bad() {
    if !can_make_namespaces() {
        return;
    }
    inside(&Namespace::new(), async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let at = listener.local_addr().unwrap();
        // Fill the queue: what does not fit is not even refused.
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let connect = tokio::net::TcpStream::connect(at);
            waiting.push(tokio::time::timeout(Duration::from_millis(200), connect).await);
        }
        let network = Network::with_roots(Vec::new());
        let timeout = Duration::from_millis(300);
        let (outcome, took) = attempt(&network, target(at, What::Tcp), timeout).await;
        is_bad(&outcome, "cannot connect: timed out");
        assert!(took < 2 * timeout, "{took:?}");
    });
}

#[test]
fn what_is_wrong_with_this_host_says_nothing_about_a_backend() {
    if !can_make_namespaces() {
        return;
    }
    let namespace = Namespace::new();
    namespace.ip("route add blackhole 198.51.100.0/24");
    namespace.ip("route add prohibit 203.0.113.0/24");
    inside(&namespace, async {
        let kinds = || [What::Tcp, http(page()), silent_udp(), What::Ping];
        for what in kinds() {
            let to = |at: &str| target(at.parse().unwrap(), what.clone());
            is_ours(&check(to("192.0.2.1:80")).await, "network is unreachable");
            is_ours(
                &check(to("[2001:db8::1]:80")).await,
                "network is unreachable",
            );
            is_ours(&check(to("198.51.100.1:80")).await, "invalid argument");
            is_ours(&check(to("203.0.113.1:80")).await, "permission denied");
            let not_here = from("192.0.2.9", to("127.0.0.1:80"));
            is_ours(&check(not_here).await, "cannot assign requested address");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        is_good(&check(from("127.0.0.9", target(at, What::Tcp))).await);
    });
}

#[test]
fn a_neighbour_that_does_not_answer_is_bad_even_for_udp() {
    if !can_make_namespaces() {
        return;
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    here.ip(&format!(
        "link add wire0 type veth peer name wire1 netns {}",
        there.path()
    ));
    here.ip("address add 10.0.0.1/24 dev wire0");
    here.ip("link set wire0 up");
    there.ip("link set wire1 up");
    here.run(|| {
        let neighbour = "/proc/sys/net/ipv4/neigh/wire0";
        std::fs::write(format!("{neighbour}/mcast_solicit"), "1").expect("it is writable");
        std::fs::write(format!("{neighbour}/retrans_time_ms"), "50").expect("it is writable");
    });
    inside(&here, async {
        for what in [What::Tcp, http(page()), silent_udp(), What::Ping] {
            let dead = target("10.0.0.9:80".parse().unwrap(), what);
            is_bad(&check(dead).await, "no route to host");
        }
    });
    here.ip("link set wire0 down");
    inside(&here, async {
        for what in [What::Tcp, silent_udp(), What::Ping] {
            let dead = target("10.0.0.9:80".parse().unwrap(), what);
            is_ours(&check(dead).await, "network is unreachable");
        }
    });
}

#[test]
fn udp_wants_the_reply_it_was_told_or_no_refusal() {
    if !can_make_namespaces() {
        return;
    }
    inside(&Namespace::new(), async {
        for ip in BOTH {
            let echo = UdpSocket::bind((ip, 0)).await.unwrap();
            let at = echo.local_addr().unwrap();
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let mut buffer = [0; 64];
                while let Ok((_, from)) = echo.recv_from(&mut buffer).await {
                    echo.send_to(b"pong \x1b[0m", from).await.ok();
                }
            });
            is_good(&check(target(at, udp_reply(b"pong"))).await);
            is_good(&check(target(at, silent_udp())).await);
            let other = check(target(at, udp_reply(b"PONG"))).await;
            is_bad(&other, "\"pong \\u{1b}[0m\"");
            tasks.shutdown().await;
            is_bad(&check(target(at, silent_udp())).await, "connection refused");
            is_bad(
                &check(target(at, udp_reply(b"p"))).await,
                "connection refused",
            );

            let silent = UdpSocket::bind((ip, 0)).await.unwrap();
            let at = silent.local_addr().unwrap();
            let network = Network::with_roots(Vec::new());
            let short = Duration::from_millis(100);
            let (outcome, _) = attempt(&network, target(at, silent_udp()), short).await;
            is_good(&outcome);
            let (outcome, took) = attempt(&network, target(at, udp_reply(b"p")), short).await;
            is_bad(&outcome, "no answer: timed out");
            assert!(took < TIMEOUT);
        }
    });
}

#[test]
fn dns_wants_a_record() {
    if !can_make_namespaces() {
        return;
    }
    let question = |name: &str| {
        What::Dns(DnsQuestion {
            name: name.to_owned(),
            record: DnsType::A,
        })
    };
    inside(&Namespace::new(), async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = server.recv_from(&mut buffer).await {
                for reply in replies(&buffer[..length]) {
                    server.send_to(&reply, from).await.ok();
                }
            }
        });
        is_good(&check(target(at, question("good.example"))).await);
        is_good(&check(target(at, question("late.example."))).await);
        is_bad(
            &check(target(at, question("fail.example"))).await,
            "Server Failure",
        );
        is_bad(
            &check(target(at, question("empty.example"))).await,
            "no such record",
        );
        is_bad(
            &check(target(at, question("garbage.example"))).await,
            "no DNS",
        );
        is_bad(&check(target(at, question("loop.example"))).await, "no DNS");
        let network = Network::with_roots(Vec::new());
        let stranger = target(at, question("stranger.example"));
        let (outcome, _) = attempt(&network, stranger, Duration::from_millis(100)).await;
        is_bad(&outcome, "no answer: timed out");
    });
}

/// What the test's name server says to a question, by the name asked for.
fn replies(question: &[u8]) -> Vec<Vec<u8>> {
    let question = Message::from_vec(question).expect("a check asks well");
    let query = question.queries[0].clone();
    let name = query.name().clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_query(query);
    let mut other = answer.clone();
    other.metadata.id = other.metadata.id.wrapping_add(1);
    let other = bytes_of(&other);
    let address = Record::from_rdata(name.clone(), 60, RData::A(rdata::A::new(192, 0, 2, 1)));
    match name.to_utf8().trim_end_matches('.') {
        "good.example" => {
            answer.add_answer(address);
        }
        "late.example" => {
            answer.add_answer(address);
            return vec![other.clone(), other, bytes_of(&answer)];
        }
        "fail.example" => answer.metadata.response_code = ResponseCode::ServFail,
        "garbage.example" => return vec![vec![0xff; 512]],
        "loop.example" => {
            // A name that points to itself.
            let mut bytes = bytes_of(&answer);
            bytes.truncate(12);
            bytes.extend([0xc0, 12, 0, 1, 0, 1]);
            return vec![bytes];
        }
        "stranger.example" => return vec![other; 100],
        _ => {}
    }
    vec![bytes_of(&answer)]
}

fn bytes_of(message: &Message) -> Vec<u8> {
    message.to_vec().expect("it is short")
}

#[test]
fn ping_is_answered_with_and_without_the_privilege() {
    if !can_make_namespaces() {
        return;
    }
    let namespace = Namespace::new();
    for range in ["1 0", "0 2147483647"] {
        namespace.run(|| {
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", range).expect("it is writable");
        });
        inside(&namespace, async {
            for at in ["127.0.0.1:0", "[::1]:0"] {
                let at = at.parse().unwrap();
                // Many at once, so that each hears the replies to the others.
                let mut attempts = JoinSet::new();
                for _ in 0..50 {
                    attempts.spawn(check(target(at, What::Ping)));
                }
                while let Some(outcome) = attempts.join_next().await {
                    is_good(&outcome.unwrap());
                }
            }
        });
    }
    namespace.run(|| {
        let ignore = "/proc/sys/net/ipv4/icmp_echo_ignore_all";
        std::fs::write(ignore, "1").expect("it is writable");
    });
    inside(&namespace, async {
        let network = Network::with_roots(Vec::new());
        let ping = target("127.0.0.1:0".parse().unwrap(), What::Ping);
        let (outcome, _) = attempt(&network, ping, Duration::from_millis(100)).await;
        is_bad(&outcome, "no reply: timed out");
    });
}

#[test]
fn a_script_is_judged_by_its_exit_code_and_not_when_it_cannot_run() {
    if !can_make_namespaces() {
        return;
    }
    let script = |program: &str, args: &[&str]| {
        let args = args.iter().map(ToString::to_string).collect();
        What::Script(ScriptProbe {
            command: Command::new(program.into(), args).unwrap(),
            user: "root".to_owned(),
        })
    };
    let at = "10.0.0.1:80".parse().unwrap();
    inside(&Namespace::new(), async move {
        is_good(&check(target(at, script("/bin/true", &[]))).await);
        is_bad(
            &check(target(at, script("/bin/false", &[]))).await,
            "exit code 1",
        );
        let network = Network::with_roots(Vec::new());
        let slow = target(at, script("/bin/sleep", &["60"]));
        let (outcome, took) = attempt(&network, slow, Duration::from_millis(200)).await;
        is_bad(&outcome, "timed out");
        assert!(took < Duration::from_secs(10), "{took:?}");
        is_ours(
            &check(target(at, script("/nonexistent", &[]))).await,
            "not started",
        );
    });
}
