use super::*;
use crate::health::{
    fsm::Timing,
    target::{Http, Page, Tls},
};

/// Thousands may hang at a time.
#[tokio::test]
async fn an_attempt_takes_little_memory() {
    let network = Network::with_roots(Vec::new());
    let page = Page {
        path: "/".to_owned(),
        status: vec![200],
        digest: None,
        body: None,
    };
    let http = Http {
        tls: Some(Tls {
            name: "web.example".to_owned(),
            verify: true,
        }),
        host: "web.example".to_owned(),
        pages: vec![page],
    };
    let target = Target {
        at: ([192, 0, 2, 1], 443).into(),
        source: None,
        timing: Timing {
            interval: std::time::Duration::from_secs(6),
            timeout: std::time::Duration::from_secs(3),
            retries: 1,
            retry_delay: std::time::Duration::from_secs(1),
            rise: 1,
        },
        what: What::Http(http),
    };
    let attempt = network.attempt(Arc::new(target), Instant::now());
    let size = size_of_val(&attempt);
    assert!(size <= 8 << 10, "{size} bytes");
}
