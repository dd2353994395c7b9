//! Nothing happens, and nobody believes that something did.

use std::time::Duration;

use anyhow::ensure;
use lb_tests::{
    gap::{STALL, calm},
    pair::Setup,
};

use crate::support::{BALLAST, front, on_pair};

#[test]
fn at_10_ms_with_all_cores_busy_there_is_no_false_takeover() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).interval(Duration::from_millis(10))
    });
    on_pair(setup, |pair| {
        for _ in 0..TRIES {
            let seen = calm(pair, WATCHED)?;
            if seen.stall > STALL {
                eprintln!("the machine stalled, again: {seen:?}");
                continue;
            }
            ensure!(seen.from_backup == 0, "a false take-over: {seen:?}");
            // At least nine of ten are sent: a machine may stall below the canary's limit.
            let expected = usize::try_from(WATCHED.as_millis() / 10 * 9 / 10)?;
            ensure!(seen.from_master >= expected, "too few adverts: {seen:?}");
            return Ok(());
        }
        anyhow::bail!("the machine stalled in each of {TRIES} tries")
    });
}

const WATCHED: Duration = Duration::from_secs(8);
const TRIES: usize = 5;
