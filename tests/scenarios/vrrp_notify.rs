//! Operators' programs: once for each change of role, in order.

use std::time::Duration;

use anyhow::ensure;
use lb_tests::{
    pair::{NOTIFY, Pair, Setup, notified},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair};

#[test]
fn notify_any_is_called_once_for_each_change_in_order_with_its_four_arguments() {
    let setup = Setup::new(BALLAST, |index| front(index).track(0).notify(NOTIFY));
    on_pair(setup, |pair| {
        pair.wait_until_at_rest()?;
        pair.kill_tracked(0)?;
        pair.wait_for_master(1, SOON)?;
        pair.run_tracked(0)?;
        pair.wait_for_master(0, SOON)?;
        pair.wait_until_at_rest()?;
        pair.stop(0)?;
        pair.wait_for_master(1, SOON)?;
        states(
            pair,
            0,
            &["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"],
        )?;
        states(pair, 1, &["BACKUP", "MASTER", "BACKUP", "MASTER"])
    });
}

fn states(pair: &Pair<'_>, index: usize, expected: &[&str]) -> anyhow::Result<()> {
    let lb = &pair.net.lbs[index].host;
    let said = || notified(lb);
    wait_for("the notifications", SOON, || {
        let said = said();
        let states: Vec<_> = said.iter().map(|line| line[2].as_str()).collect();
        ensure!(states == expected, "{states:?}, expected {expected:?}");
        Ok(())
    })?;
    // And no one more comes after it.
    lb_tests::wait::pause(Duration::from_millis(200));
    ensure!(said().len() == expected.len(), "{:?}", said());
    for line in said() {
        ensure!(line[0] == "INSTANCE" && line[1] == "front", "{line:?}");
        let priority = pair.setup.routers[index][0].priority.to_string();
        ensure!(line[3] == priority, "{line:?}");
    }
    Ok(())
}
