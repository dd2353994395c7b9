//! The driver with real checks of a real server.

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc, time::Duration};

use lb_user::{
    config::model::{BackendKey, Protocol, ServiceKey},
    health::{
        Changes, Health, Network, Subject, driver,
        fsm::Timing,
        target::{Target, What},
    },
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    namespace::{Namespace, can_make_namespaces},
    support::{inside, target},
};

const TIMING: Timing = Timing {
    interval: Duration::from_millis(200),
    timeout: Duration::from_millis(100),
    retries: 1,
    retry_delay: Duration::from_millis(50),
    rise: 1,
};
/// What a busy machine adds.
const SLACK: Duration = Duration::from_millis(300);

/// Waits until the only backend is told to be so.
async fn becomes(changes: &mut Changes, wanted: Health) {
    let told = async {
        loop {
            let verdicts = changes.next().await;
            if verdicts.values().flatten().any(|v| v.health == wanted) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), told)
        .await
        .expect("it is told in time");
}

#[test]
fn a_server_that_dies_and_returns_is_noticed_within_the_promised_time() {
    if !can_make_namespaces() {
        return;
    }
    inside(&Namespace::new(), async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("it is bound");
        let subject = Subject {
            service: ServiceKey {
                address: [192, 0, 2, 1].into(),
                port: NonZeroU16::MIN,
                protocol: Protocol::Tcp,
            },
            backend: BackendKey {
                address: at.ip(),
                port: NonZeroU16::new(at.port()).expect("not 0"),
            },
        };
        let wanted = Target {
            timing: TIMING,
            ..target(at, What::Tcp)
        };
        let (driver, checks, mut changes) = driver(Network::with_roots(Vec::new()), 16);
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(cancel.clone()));
        let wanted = BTreeMap::from([(subject, Arc::new(wanted))]);
        checks.set_targets(wanted).await.expect("it runs");
        becomes(&mut changes, Health::Up).await;

        let died = Instant::now();
        drop(listener);
        becomes(&mut changes, Health::Down).await;
        // A refusal takes no time.
        let promised = TIMING.interval + TIMING.retry_delay;
        assert!(died.elapsed() < promised + SLACK, "{:?}", died.elapsed());

        let returned = Instant::now();
        let _listener = TcpListener::bind(at).await.expect("nobody took it");
        becomes(&mut changes, Health::Up).await;
        let took = returned.elapsed();
        assert!(took < TIMING.interval + SLACK, "{took:?}");

        let (reports, load) = checks.report().await.expect("it runs");
        assert_eq!(reports[&subject].verdict.reason.as_str(), "connected");
        assert_eq!(load.checks, 1);
        cancel.cancel();
        tasks.join_all().await;
    });
}
