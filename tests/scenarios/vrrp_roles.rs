//! Who is master, and what it holds.

use std::time::Duration;

use anyhow::ensure;
use lb_tests::{
    pair::{Setup, has_address},
    topology::{VIP, host_prefix},
    vrrp::{Version, VirtualRouter, sync_group},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair, priority, router};

#[test]
fn an_address_that_somebody_removes_is_put_back_without_a_change_of_role() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = [router(pair, 0)?.transitions, router(pair, 1)?.transitions];
        let host = &pair.net.lbs[0].host;
        let vip = host_prefix(VIP.into());
        for _ in 0..3 {
            host.sh(&format!("ip address del {vip} dev eth0"))?;
            wait_for("the address to be back", SOON, || {
                has_address(host, VIP.into())
            })?;
        }
        ensure!(pair.wait_until_at_rest()? == 0);
        let after = [router(pair, 0)?.transitions, router(pair, 1)?.transitions];
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    });
}

#[test]
fn members_of_a_sync_group_move_together() {
    let routers = |index: usize| {
        let member = |name: &str, id| {
            VirtualRouter::new(name, id, Version::V3)
                .interval(Duration::from_millis(100))
                .priority(priority(index == 0))
        };
        vec![
            member("outside", 1).address(VIP).track(0),
            member("inside", 2).address([10, 0, 0, 126]),
        ]
    };
    let setup = Setup::many(BALLAST, routers).yaml(&sync_group("gateway", &["outside", "inside"]));
    on_pair(setup, |pair| {
        pair.wait_for_masters(&[0, 0], SOON)?;
        // Only the outer one tracks the process.
        pair.kill_tracked(0)?;
        pair.wait_for_masters(&[1, 1], SOON)?;
        pair.run_tracked(0)?;
        pair.wait_for_masters(&[0, 0], SOON)?;
        pair.power_off(0)?;
        pair.wait_for_masters(&[1, 1], SOON)?;
        pair.power_on(0)?;
        pair.wait_for_masters(&[0, 0], SOON)
    });
}

#[test]
fn a_tracked_process_with_a_weight_changes_the_priority_and_status_says_why() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).priority(101 - u8::from(index == 1)).track(2)
    });
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = router(pair, 0)?;
        ensure!(before.effective_priority == 103, "{before:?}");
        pair.kill_tracked(0)?;
        pair.wait_for_master(1, SOON)?;
        let after = router(pair, 0)?;
        ensure!(after.effective_priority == 101, "{after:?}");
        ensure!(before.reasons != after.reasons, "{after:?}");
        // Dead on both: the first has the address again.
        pair.kill_tracked(1)?;
        pair.wait_for_master(0, SOON)
    });
}
