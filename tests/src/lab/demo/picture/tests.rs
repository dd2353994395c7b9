use std::time::Duration;

use super::Scene;

#[test]
fn a_failover_is_seen_at_a_glance() {
    let ms = |times: &[u64]| times.iter().map(|ms| ms * 1_000_000).collect();
    let scene = Scene {
        start: 0,
        column: Duration::from_millis(10),
        columns: 8,
        event: 25_000_000,
        balancers: vec![
            ("lb1".to_owned(), ms(&[5, 15]), ms(&[1, 11, 21])),
            ("lb2".to_owned(), ms(&[55, 65, 75]), ms(&[60, 70, 900])),
        ],
        answers: ms(&[2, 12, 22, 61, 71]),
    };
    assert_eq!(
        scene.draw(),
        [
            "                v",
            "lb1 adverts   AA......",
            "lb1 forwards  ###.....",
            "lb2 adverts   .....AAA",
            "lb2 forwards  ......##",
            "client hears  |||...||",
        ]
    );
}
