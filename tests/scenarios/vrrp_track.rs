//! What is tracked decides who is master.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};
use lb_tests::{
    netns::Host,
    pair::{Pair, Setup},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair, router};

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

#[test]
fn a_script_that_fails_or_hangs_moves_the_address_and_is_cut_at_its_timeout() {
    let scripts = format!(
        "scripts:\n  - {{ name: check, command: [{CHECK}], interval: 200ms, timeout: 300ms, rise: 2, fall: 2 }}\n"
    );
    let setup = Setup::new(BALLAST, |index| {
        front(index).yaml("track: { scripts: [check] }")
    });
    in_pair(setup.yaml(&scripts), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let lb1 = pair.net.lbs[0].host.clone();
        for trouble in ["/run/lab-fail", "/run/lab-hang"] {
            lb1.sh(&format!("touch {trouble}"))?;
            pair.wait_for_master(1, SOON)?;
            pair.wait_for_state(0, "fault", SOON)?;
            lb1.sh(&format!("rm {trouble}"))?;
            pair.wait_for_master(0, SOON)?;
        }
        // Nothing of those that hung is left.
        wait_for("the scripts to be gone", SOON, || {
            let left = lb1.output(["pgrep", "-x", "sleep"])?;
            ensure!(left.stdout.is_empty(), "{:?}", left.stdout);
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn a_file_with_a_number_changes_the_priority() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).yaml("track: { files: [{ path: /run/maintenance, weight: -50 }] }")
    });
    in_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let lb1 = pair.net.lbs[0].host.clone();
        let set = |number: &str| lb1.run(|| Ok(fs::write("/run/maintenance", number)?));
        set("2")?;
        pair.wait_for_master(1, SOON)?;
        ensure!(router(pair, 0)?.effective_priority == 50);
        set("0")?;
        pair.wait_for_master(0, SOON)
    });
}

/// A pair with the program [`CHECK`] on both balancers.
fn in_pair(setup: Setup, body: impl FnOnce(&mut Pair<'_>) -> Result<()>) {
    lb_tests::lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, setup)?;
        for index in [0, 1] {
            install(&pair.net.lbs[index].host)?;
            pair.run(index)?;
        }
        body(&mut pair)
    });
}

fn install(host: &Host) -> Result<()> {
    let script = "#!/bin/sh\n[ ! -e /run/lab-hang ] || sleep 60\n[ ! -e /run/lab-fail ]\n";
    host.run(|| {
        fs::write(CHECK, script)?;
        fs::write("/run/maintenance", "0")?;
        Ok(fs::set_permissions(
            CHECK,
            fs::Permissions::from_mode(0o700),
        )?)
    })
}

const CHECK: &str = "/run/lab-check";
