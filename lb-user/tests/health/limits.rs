//! A host at its limits blames no backend.

use std::{fs::File, time::Duration};

use lb_user::{
    config::model::Payload,
    health::{Network, Outcome, target::What},
};
use nix::sys::resource::{Resource, setrlimit};
use tokio::net::TcpListener;

use crate::{
    namespace::Namespace,
    support::{alone, attempt, http, inside, page, target},
};

#[test]
fn without_descriptors_every_check_is_inconclusive() {
    alone(
        "limits::without_descriptors_every_check_is_inconclusive",
        starve,
    );
}

fn starve() {
    let udp = What::Udp {
        payload: Payload(b"x".to_vec()),
        reply: None,
    };
    inside(&Namespace::new(), async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("it is bound");
        let network = Network::with_roots(Vec::new());
        setrlimit(Resource::RLIMIT_NOFILE, 64, 64).expect("less is allowed");
        let mut all = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            all.push(file);
        }
        for what in [What::Tcp, http(page()), udp, What::Ping] {
            let (outcome, _) = attempt(&network, target(at, what), Duration::from_secs(1)).await;
            assert!(
                matches!(&outcome, Outcome::Inconclusive(text) if text.as_str() == "no socket: too many open files"),
                "{outcome}"
            );
        }
        drop(all);
        let (outcome, _) = attempt(&network, target(at, What::Tcp), Duration::from_secs(1)).await;
        assert!(matches!(outcome, Outcome::Good(_)), "{outcome}");
    });
}
